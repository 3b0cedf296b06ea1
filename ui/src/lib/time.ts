// Times and ranges. The API speaks Unix nanoseconds (often as text); the page reckons in milliseconds.

import type { Ns } from './types'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

const UNITS_MS: Record<string, number> = { s: 1000, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS, w: 7 * DAY_MS }

/** Nanoseconds (text or number) to milliseconds with their fraction; NaN for none. */
export function ms(ns: Ns | null | undefined): number {
  if (ns === null || ns === undefined || ns === '' || ns === 0 || ns === '0') return NaN
  if (typeof ns === 'number') return ns / 1e6
  return ns.length > 6 ? Number(ns.slice(0, -6)) + Number(`0.${ns.slice(-6)}`) : Number(ns) / 1e6
}

/** Milliseconds to nanoseconds as text. */
export function ns(milliseconds: number): string {
  return `${BigInt(Math.round(milliseconds)) * 1_000_000n}`
}

/** "15m" -> 900000; null when it is no duration. */
export function durationMs(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?)\s*([smhdw])$/.exec(text.trim())
  return found ? Number(found[1]) * (UNITS_MS[found[2] ?? ''] ?? NaN) : null
}

/** A span of time: `last` (a duration before now) or two fixed ends in milliseconds. */
export interface Range {
  last: string | null
  fromMs: number
  toMs: number
}

export const RANGES = ['15m', '1h', '6h', '24h', '7d'] as const

/** Read `from` and `to` of the address: a duration, or RFC 3339 / nanoseconds for fixed ends. */
export function readRange(from: string | null, to: string | null, nowMs: number, fallback: string): Range {
  const last = durationMs(from ?? '')
  if (from && last !== null && !to) return { last: from, fromMs: nowMs - last, toMs: nowMs }
  const fromMs = instant(from)
  if (fromMs !== null) {
    const toMs = instant(to) ?? nowMs
    if (toMs > fromMs) return { last: null, fromMs, toMs }
  }
  return { last: fallback, fromMs: nowMs - (durationMs(fallback) ?? HOUR_MS), toMs: nowMs }
}

function instant(text: string | null): number | null {
  if (!text) return null
  if (/^\d{15,}$/.test(text)) return ms(text)
  const parsed = Date.parse(text)
  return Number.isNaN(parsed) ? null : parsed
}

/** The range as `from` and `to` of an API request. */
export function rangeParams(range: Range): { from: string; to?: string } {
  return range.last ? { from: range.last } : { from: ns(range.fromMs), to: ns(range.toMs) }
}

/** The range as it stands in the address: readable, to the millisecond. */
export function rangeAddress(range: Range): { from: string; to: string | null } {
  if (range.last) return { from: range.last, to: null }
  return { from: new Date(range.fromMs).toISOString(), to: new Date(range.toMs).toISOString() }
}

/** A fixed range from `fromMs` to `toMs`. */
export function fixed(fromMs: number, toMs: number): Range {
  return { last: null, fromMs: Math.floor(fromMs), toMs: Math.ceil(toMs) }
}

const two = (value: number) => String(value).padStart(2, '0')

/** "14:03:22.120", local. */
export function clock(milliseconds: number, fraction = 3): string {
  if (Number.isNaN(milliseconds)) return '–'
  const at = new Date(milliseconds)
  const base = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return fraction ? `${base}.${String(at.getMilliseconds()).padStart(3, '0')}` : base
}

/** "2026-11-21", local. */
export function day(milliseconds: number): string {
  const at = new Date(milliseconds)
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}

/** The time of day, with the date in front when it is not today. */
export function when(milliseconds: number, nowMs: number, fraction = 0): string {
  if (Number.isNaN(milliseconds)) return '–'
  const time = clock(milliseconds, fraction)
  return day(milliseconds) === day(nowMs) ? time : `${day(milliseconds)} ${time}`
}

/** The same instant in UTC, for tooltips: "2026-11-21 07:08:22.000 UTC". */
export function utc(milliseconds: number): string {
  return Number.isNaN(milliseconds) ? '' : `${new Date(milliseconds).toISOString().replace('T', ' ').replace('Z', '')} UTC`
}

/** "just now", "40 s ago", "3 min ago", "2 h ago", "5 d ago". */
export function ago(milliseconds: number, nowMs: number): string {
  if (Number.isNaN(milliseconds)) return 'never'
  const passed = (nowMs - milliseconds) / 1000
  return passed < 2 ? 'just now' : `${age(passed)} ago`
}

/** One rounded unit: "40 s", "3 min", "2 h", "5 d". */
export function age(passed_s: number): string {
  if (passed_s < 90) return `${Math.max(0, Math.round(passed_s))} s`
  if (passed_s < 90 * 60) return `${Math.round(passed_s / 60)} min`
  if (passed_s < 36 * 3600) return `${Math.round(passed_s / 3600)} h`
  return `${Math.round(passed_s / 86_400)} d`
}

/** "last 15 minutes" or both ends. */
export function rangeText(range: Range, nowMs: number): string {
  const words: Record<string, string> = { s: 'second', m: 'minute', h: 'hour', d: 'day', w: 'week' }
  if (range.last) {
    const amount = range.last.slice(0, -1)
    const word = words[range.last.slice(-1)] ?? ''
    return amount === '1' ? `the last ${word}` : `the last ${amount} ${word}s`
  }
  const sameDay = day(range.fromMs) === day(range.toMs)
  return `${when(range.fromMs, nowMs)} to ${sameDay ? clock(range.toMs, 0) : when(range.toMs, nowMs)}`
}
