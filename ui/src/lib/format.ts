// Numbers, sizes and untrusted text made fit to read. Pure functions; telemetry goes through `clean` before it is shown.

const SI = ['', 'k', 'M', 'G', 'T']
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

function significant(value: number): string {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return String(Number(value.toFixed(digits)))
}

/** 1234 -> "1.23 k", 12 -> "12"; null and NaN -> "–". */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '-∞'
  let scaled = value
  let power = 0
  while (Math.abs(scaled) >= 999.5 && power < SI.length - 1) {
    scaled /= 1000
    power += 1
  }
  if (scaled !== 0 && Math.abs(scaled) < 0.01) return scaled.toExponential(1)
  return power ? `${significant(scaled)} ${SI[power]}` : significant(scaled)
}

/** All digits with separators: 1234567 -> "1,234,567". */
export function full(value: number): string {
  return whole.format(value)
}

/** 1536 -> "1.5 KiB". */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let scaled = value
  let power = 0
  while (Math.abs(scaled) >= 1024 && power < units.length - 1) {
    scaled /= 1024
    power += 1
  }
  return `${significant(scaled)} ${units[power]}`
}

/** Seconds as people say them: 0.0042 -> "4.2 ms", 95 -> "1 min 35 s". */
export function seconds(value: number): string {
  const size = Math.abs(value)
  if (size === 0) return '0 s'
  if (size < 1e-6) return `${significant(value * 1e9)} ns`
  if (size < 1e-3) return `${significant(value * 1e6)} µs`
  if (size < 1) return `${significant(value * 1e3)} ms`
  if (size < 60) return `${significant(value)} s`
  if (size < 3600) return two(value, 60, 'min', 's')
  if (size < 86_400) return two(value / 60, 60, 'h', 'min')
  return two(value / 3600, 24, 'd', 'h')
}

/** "40 s of 60 s", "6 min 52 s of 10 min": short spans stay in one unit, so that they can be compared at a glance. */
export function progressText(done_s: number, needed_s: number): string {
  const done = Math.round(Math.min(done_s, needed_s))
  return needed_s <= 120 ? `${done} s of ${significant(needed_s)} s` : `${seconds(done)} of ${seconds(needed_s)}`
}

function two(value: number, base: number, large: string, small: string): string {
  const rounded = Math.round(value)
  const rest = rounded % base
  return rest ? `${Math.floor(rounded / base)} ${large} ${rest} ${small}` : `${rounded / base} ${large}`
}

const UCUM: Record<string, string> = { '1': '', Cel: '°C', us: 'µs', By: 'bytes' }

/** A UCUM unit in words for people: "{request}" -> "request", "1" -> "". */
export function unitText(unit: string): string {
  return clean(UCUM[unit] ?? unit.replace(/[{}]/g, ''))
}

/** A metric's value with its unit (UCUM as OpenTelemetry sends it): (2048, "By") -> "2 KiB". */
export function withUnit(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (unit === 'By') return bytes(value)
  if (unit === 'By/s') return `${bytes(value)}/s`
  if (unit === 's') return seconds(value)
  if (unit === 'ms') return seconds(value / 1e3)
  if (unit === 'us') return seconds(value / 1e6)
  if (unit === 'ns') return seconds(value / 1e9)
  const word = unitText(unit)
  return word ? `${short(value)} ${word}` : short(value)
}

/** 0.123 of all -> "12.3 %". */
export function percent(part: number, whole_: number): string {
  return whole_ > 0 ? `${significant((100 * part) / whole_)} %` : '–'
}

// Terminal sequences (CSI, OSC, two-byte escapes), then what is left of control and bidirectional-override characters.
// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])|\u009b[0-?]*[ -/]*[@-~]/g
// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u200e\u200f\ufeff]/g

/** Telemetry's text without what could steer a terminal or turn the reading direction; new lines and tabs stay. */
export function clean(text: string | null | undefined): string {
  return (text ?? '').replace(ESCAPES, '').replace(/\r\n?/g, '\n').replace(CONTROLS, '')
}

/** The first line of a text, cleaned and cut. */
export function firstLine(text: string, length = 2000): string {
  const line = clean(text).trimStart()
  const end = line.indexOf('\n')
  return (end < 0 ? line : line.slice(0, end)).slice(0, length)
}

/** Any attribute value as text. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return clean(value)
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'object') return clean(JSON.stringify(value))
  return String(value)
}

/** "1 line", "2 lines". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${short(count)} ${count === 1 ? one : many}`
}

export interface EntityPart {
  part: string
  value: string
}

/** The parts of an entity's key: "service=cart|pod=cart-7f" -> [{service, cart}, {pod, cart-7f}]. */
export function entityParts(key: string): EntityPart[] {
  return key
    .split('|')
    .filter(Boolean)
    .map((pair) => {
      const at = pair.indexOf('=')
      const text = at < 0 ? pair : pair.slice(at + 1)
      const value = text.replace(/%(25|7C|3D)/g, (_all, code: string) => String.fromCharCode(parseInt(code, 16)))
      return { part: at < 0 ? '' : pair.slice(0, at), value: clean(value) }
    })
}
