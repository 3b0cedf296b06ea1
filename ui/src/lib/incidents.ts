// Incidents in words: nodes, causes, categories, how long they last.

import { HOUR_MS, ms } from './time'
import type { IncidentSummary } from './types'

const ORDER = { critical: 0, warning: 1, info: 2 }

const CATEGORIES: Record<string, string> = {
  application_error: 'application error',
  resource_cpu: 'out of CPU',
  resource_memory: 'out of memory',
  resource_disk: 'out of disk',
  network: 'network',
  dependency: 'dependency',
  config_or_deploy: 'configuration or deploy',
  data: 'data',
  hardware_gpu: 'GPU hardware',
  hardware_disk: 'disk hardware',
  hardware_node: 'node hardware',
  external: 'external',
  unknown: 'unknown',
}

/** A topology id without its kind, where the kind is the usual one. */
export function nodeText(node: string): string {
  const at = node.indexOf(':')
  const kind = node.slice(0, at)
  const name = node.slice(at + 1)
  return kind === 'service' ? name : `${name} (${kind})`
}

/** The name of a node that is a service, else "". */
export function serviceOf(node: string): string {
  return node.startsWith('service:') ? node.slice('service:'.length) : ''
}

/** How sure a cause is, in words that claim neither certainty nor impossibility: 0.9992 -> "over 99 %". */
export function sureText(confidence: number): string {
  if (confidence > 0.99) return 'over 99 %'
  return confidence < 0.01 ? 'under 1 %' : `${Math.round(confidence * 100)} %`
}

const HAPPENINGS: Record<string, string> = {
  opened: 'opened',
  finding: 'finding',
  severity: 'severity',
  diagnosed: 'diagnosed',
  acknowledged: 'acknowledged',
  resolved: 'resolved',
  reopened: 'reopened',
  merged: 'merged',
  split: 'split',
  note: 'note',
  notified: 'told',
  change: 'change',
}

/** What kind of thing happened, in a word. */
export function happeningText(kind: string): string {
  return HAPPENINGS[kind] ?? kind
}

/** The category in words. */
export function categoryText(category: string): string {
  return CATEGORIES[category] ?? category.replaceAll('_', ' ')
}

/** What goes on first, then what matters most, then the newest. */
export function byUrgency(a: IncidentSummary, b: IncidentSummary): number {
  const over = (incident: IncidentSummary) => Number(incident.state === 'resolved' || incident.state === 'merged')
  return over(a) - over(b) || ORDER[a.severity] - ORDER[b.severity] || Number(b.opened_unix_ns) - Number(a.opened_unix_ns)
}

/** How long it lasts; one that goes on lasts until now, unless its telemetry is of another time. */
export function incidentLastedMs(incident: IncidentSummary, nowMs: number): number {
  const last = ms(incident.last_unix_ns)
  const over = incident.state === 'resolved' || incident.state === 'merged'
  const until = !over && nowMs - last < HOUR_MS ? nowMs : last
  return Math.max(0, until - ms(incident.first_unix_ns))
}
