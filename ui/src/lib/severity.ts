// Severities of log records and findings: their order, words and colours.

import { HOUR_MS, ms } from './time'
import type { Finding } from './types'

export const LOG_SEVERITIES = [
  { name: 'trace', min: 1 },
  { name: 'debug', min: 5 },
  { name: 'info', min: 9 },
  { name: 'warn', min: 13 },
  { name: 'error', min: 17 },
  { name: 'fatal', min: 21 },
] as const

/** The colour variable of a log severity number: only what deserves a look has a colour. */
export function logColour(severity_number: number): string {
  if (severity_number >= 17) return 'critical'
  if (severity_number >= 13) return 'warning'
  return severity_number >= 9 ? 'muted' : 'faint'
}

/** The colour variable of a severity's name. */
export function namedColour(severity: string): string {
  return logColour(LOG_SEVERITIES.find(({ name }) => severity.toLowerCase().startsWith(name))?.min ?? 0)
}

const ORDER = { critical: 0, warning: 1, info: 2 }

/** What matters most first, then the newest. */
export function byWeight(a: Finding, b: Finding): number {
  return (ORDER[a.severity] ?? 3) - (ORDER[b.severity] ?? 3) || Number(b.last_unix_ns) - Number(a.last_unix_ns)
}

const KINDS: Record<string, string> = {
  'log.template.unseen': 'a line never seen before',
  'log.parameter.unseen': 'a value never seen in its place',
  'log.template.rate': 'how often a line comes',
  'log.template.stopped': 'a line that no longer comes',
  'log.severity.burst': 'how many warnings are logged',
  'log.service.silent': 'a service that says nothing',
  'log.error.rate': 'how many errors are logged',
  'metric.level': 'how high or low a metric is',
  'metric.flat': 'a metric that stands still',
  'metric.missing': 'a metric that is no longer sent',
  'metric.joint': 'metrics that do not fit together',
  'metric.forecast': 'a limit that comes near',
  'trace.latency': 'how long requests take',
  'trace.error.rate': 'how many requests fail',
  'trace.throughput': 'how many requests come',
  'trace.path.unseen': 'a call never seen before',
  'trace.child.missing': 'a call that no longer happens',
  'trace.edge.gap': 'time lost between two services',
}

/** A kind in words where there are words for it. */
export function kindText(kind: string): string {
  if (kind.startsWith('alert.')) return 'an alert of your own rules'
  return KINDS[kind] ?? kind.replaceAll('.', ' · ')
}

/** How long a finding lasts. An open one lasts until now, unless its telemetry is of another time (a log file replayed). */
export function lastedMs(finding: Finding, nowMs: number): number {
  const last = ms(finding.last_unix_ns)
  const until = finding.state === 'open' && nowMs - last < HOUR_MS ? nowMs : last
  return Math.max(0, until - ms(finding.first_unix_ns))
}
