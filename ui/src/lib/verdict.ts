// What can be said of now, in one sentence. "No data", "learning", "nothing found" and "something is wrong" are four
// answers, and none of them stands in for another.

import { progressText } from './format'
import { age, ms } from './time'
import { SIGNALS, type Status } from './types'

export interface Verdict {
  kind: 'wrong' | 'none' | 'stale' | 'warming' | 'unjudged' | 'well'
  title: string
  more: string
}

const STALE_MS = 5 * 60_000

function plural(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`
}

/** How far learning has come, told for all services together. */
export function learningText(status: Status): string {
  const watching = status.learning.filter((entry) => entry.state === 'watching').length
  const warming = status.learning.length - watching
  const parts = []
  if (watching) parts.push(`watching ${plural(watching, 'service')}`)
  if (warming) parts.push(`${plural(warming, 'service')} still warming up, not judged yet`)
  const text = parts.join(' · ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function newestMs(status: Status): number {
  return Math.max(...SIGNALS.map((signal) => ms(status.store.signals[signal]?.newest_unix_ns)).filter((at) => !Number.isNaN(at)), 0)
}

/** Judge the status. */
export function verdict(status: Status, nowMs: number): Verdict {
  const kept = SIGNALS.some((signal) => status.store.signals[signal]?.rows > 0 || status.ingest[signal]?.accepted > 0)
  const learning = learningText(status)
  const { open, acknowledged, critical } = status.incidents
  const incidents = open + acknowledged
  if (incidents > 0) {
    const worst = !critical ? '' : critical === incidents ? ', critical' : `, ${critical} of them critical`
    const more = [acknowledged ? `Somebody is at ${acknowledged === incidents ? (incidents === 1 ? 'it' : 'all of them') : acknowledged}` : 'Nobody has acknowledged it', plural(status.findings.open, 'open finding'), learning]
    return { kind: 'wrong', title: `${plural(incidents, 'incident')} ${incidents === 1 ? 'goes' : 'go'} on${worst}`, more: more.filter(Boolean).join(' · ') }
  }
  if (status.findings.open > 0) {
    const count = status.findings.open
    return { kind: 'wrong', title: `${count} ${count === 1 ? 'thing is' : 'things are'} out of the ordinary`, more: learning }
  }
  if (!kept) return { kind: 'none', title: 'No data yet', more: 'Nothing has been sent, so nothing can be said: neither good nor bad.' }
  const quiet = SIGNALS.every((signal) => !status.ingest[signal]?.per_second)
  const newest = newestMs(status)
  if (quiet && newest && nowMs - newest > STALE_MS) {
    return { kind: 'stale', title: 'No data is coming in', more: `The newest record is ${age((nowMs - newest) / 1000)} old, so nothing can be said about now.` }
  }
  const warming = status.learning.filter((entry) => entry.state === 'warming')
  const furthest = warming.toSorted((a, b) => b.learned_s / (b.needed_s || 1) - a.learned_s / (a.needed_s || 1))[0]
  if (furthest && warming.length === status.learning.length) {
    const more = 'Learning what is normal. Nothing is judged yet: this is neither an alarm nor an all-clear.'
    return { kind: 'warming', title: `Warming up: ${progressText(furthest.learned_s, furthest.needed_s)}`, more }
  }
  if (!status.learning.length) {
    return { kind: 'unjudged', title: 'Nothing is judged yet', more: 'Telemetry comes in, but nothing that could be learned from yet.' }
  }
  return { kind: 'well', title: 'Nothing found wrong', more: learning }
}
