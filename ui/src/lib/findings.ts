// What a finding tells beside its text, made fit to read: values with their unit, attributes in words.

import { address } from './route.svelte'
import { clean, percent, seconds, short, valueText, withUnit } from './format'
import type { Attributes } from './types'

const NAMES: Record<string, string> = {
  operation: 'Operation',
  caller: 'Caller',
  callee: 'Called',
  child: 'Missing call',
  measure: 'Measured',
  explained_by: 'Explained by',
  own_share: 'Of it its own',
  metric: 'Metric',
  series: 'Series',
  unit: 'Unit',
  aspect: 'Aspect',
  metrics: 'Metrics out of the ordinary',
  limit: 'Limit',
  time_to_limit_s: 'Time to the limit',
  silenced_by: 'Silenced by',
}
const TIMES = new Set(['s', 'ms', 'us', 'ns', 'By', 'By/s'])
const SHARES = new Set(['trace.error.rate'])

/** A value of a finding's series: times and bytes in words, shares of requests as percent, counts as they are. */
export function measured(value: number | null | undefined, unit: string, kind: string): string {
  if (value === null || value === undefined) return '–'
  if (unit === '1' && SHARES.has(kind)) return percent(value, 1)
  return TIMES.has(unit) ? withUnit(value, unit) : short(value)
}

/** Attributes in the order given, those without a value left out. */
export function attributeRows(attributes: Attributes): { name: string; text: string; href: string }[] {
  return Object.entries(attributes)
    .filter(([, value]) => value !== '' && value !== '{}' && value !== null && !(Array.isArray(value) && !value.length))
    .map(([name, value]) => ({ name: NAMES[name] ?? clean(name), text: told(name, value), href: hrefOf(name, value) }))
}

function told(name: string, value: unknown): string {
  if (name === 'own_share' && typeof value === 'number') return percent(value, 1)
  if (name === 'time_to_limit_s' && Array.isArray(value)) {
    const [earliest, expected, latest] = value as (number | null)[]
    return `about ${seconds(expected ?? 0)} (${seconds(earliest ?? 0)} to ${typeof latest === 'number' ? seconds(latest) : 'later'})`
  }
  if (name === 'series' && typeof value === 'string') return pairs(value)
  return Array.isArray(value) ? value.map(valueText).join(', ') : valueText(value)
}

// The attributes of a series come as JSON text.
function pairs(text: string): string {
  try {
    const read = JSON.parse(text) as unknown
    if (read && typeof read === 'object') return Object.entries(read).map(([key, value]) => `${clean(key)} ${valueText(value)}`).join(', ')
  } catch {
    // Shown as it came.
  }
  return clean(text)
}

function hrefOf(name: string, value: unknown): string {
  if (name === 'explained_by' && typeof value === 'string') return address('/findings', { service: value })
  return name === 'silenced_by' ? '/silences?ended=1' : ''
}
