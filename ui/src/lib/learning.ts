// What is learned: workloads, watchlists, jobs, versions, why a line is judged; their shapes, and words for them.

import type { Attributes, Ns } from './types'

export interface Workload {
  cluster_id: string
  namespace: string
  deployment: string
}

export interface KnownWorkload extends Workload {
  log_count: number
  watchlists: string[]
}

export type CountState = 'counting' | 'no data' | 'error' | 'healthy'

export interface Workloads {
  state: CountState
  problem: string
  from_unix_ns: Ns
  until_unix_ns: Ns
  left_out: number
  total: number
  items: KnownWorkload[]
}

export type Stage = 'fetching data' | 'train' | 'evaluate' | 'save'
export type JobStatus = 'no model trained' | 'training' | 'completed' | 'training failed' | 'cancelled'

export interface Statistics {
  time_elapsed_s: number
  percentage_completed: number
  remaining_time_s: number | null
  current_epoch: number
  model_accuracy: number | null
  stage: Stage | null
}

export interface Watchlist {
  name: string
  items: (Workload & { log_count: number })[]
  submitted: Workload[]
  trained: Workload[]
  is_submitted: boolean
  submitted_unix_ns: Ns
  trained_unix_ns: Ns
  decision: '' | 'trained' | 'updated' | 'reset'
  status: { status: JobStatus; stage: Stage | null; statistics: Statistics; job_id: string; reason: string; model_version: number | null }
}

export interface Decision {
  decision: 'trained' | 'updated' | 'reset'
  job_id: string
  added: Workload[]
  removed: Workload[]
}

export interface Job {
  id: string
  status: JobStatus
  stage: Stage
  statistics: Statistics
  spec: { name: string; watchlist: string; workloads: Workload[]; from_unix_ns: Ns; until_unix_ns: Ns }
  reason: string
  log_tail: string
  version: number | null
  result: { quality?: Attributes; previous?: Attributes | null; verdict?: { promote: boolean; why: string }; promoted?: boolean }
  created_unix_ns: Ns
  ended_unix_ns: Ns
  resumptions: number
}

export interface Version {
  name: string
  number: number
  state: 'candidate' | 'active' | 'retired'
  created_unix_ns: Ns
  damaged: string
  parent: number | null
  card: { kind: string; job_id: string; trained_on: Attributes; parameters: Attributes; quality: Attributes; thresholds: Attributes; notes: string }
}

export interface AuditEntry {
  time_unix_ns: Ns
  name: string
  number: number | null
  what: string
  who: string
  why: string
}

export interface Token {
  token: string
  rank: number
  chance: number
  hit: boolean
}

export interface Neighbour {
  line: string
  times: number
  likeness: number
}

export interface Why {
  line: string
  masked: string
  service: string
  pattern: { lines: number; first_unix_ns: Ns; last_unix_ns: Ns } | null
  online: {
    window_s: number
    state: string
    services: { service: string; state: string; first_unix_ns: Ns; last_unix_ns: Ns; lines: number; expected: number; upper: number }[]
    services_count: number
    score: number | null
    threshold: number
  }
  models: {
    version: Version
    explanation: {
      masked: string
      source: 'known' | 'cache' | 'model'
      tokens: Token[]
      score: number
      chance: number
      measure: 'share' | 'chance'
      threshold: number
      strange: boolean
      neighbours: Neighbour[]
    }
  }[]
  no_model: string
  nearest: Neighbour[]
}

/** One text for one workload, to compare them by. */
export function keyOf(workload: Workload): string {
  return `${workload.cluster_id}/${workload.namespace}/${workload.deployment}`
}

export interface Group<T extends Workload> {
  name: string
  lines: number
  items: T[]
}

/** Workloads by cluster and namespace, the busiest group first; those that hold all the words of a search. */
export function grouped<T extends Workload & { log_count: number }>(items: T[], search: string): Group<T>[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  const groups = new Map<string, Group<T>>()
  for (const item of items) {
    const key = keyOf(item).toLowerCase()
    if (!words.every((word) => key.includes(word))) continue
    const name = `${item.cluster_id} / ${item.namespace}`
    const group = groups.get(name) ?? { name, lines: 0, items: [] }
    group.items.push(item)
    group.lines += item.log_count
    groups.set(name, group)
  }
  return [...groups.values()].sort((a, b) => b.lines - a.lines || (a.name < b.name ? -1 : 1))
}

/** What submitting a choice would do, told before it is done; the rule is the gateway's. */
export function consequence(chosen: ReadonlySet<string>, trained: Workload[]): 'train' | 'update' | 'reset' | 'nothing' {
  const known = new Set(trained.map(keyOf))
  if (!chosen.size) return known.size ? 'reset' : 'nothing'
  return [...chosen].some((key) => !known.has(key)) ? 'train' : 'update'
}

export interface Figure {
  name: string
  about: string
  now: number
  before: number | null
}

const FIGURES: [string, string, string][] = [
  ['held_out_accuracy', 'Words foretold', 'Share of hidden words of held-out lines among the best 50 guesses; higher is better.'],
  ['held_out_flagged', 'Held-out lines flagged', 'Share of normal lines that were not learned and would be told as strange; lower is better.'],
]

/** The held-out figures of a job beside those of the version before it. */
export function figures(result: Job['result']): Figure[] {
  return FIGURES.flatMap(([key, name, about]) => {
    const now = result.quality?.[key]
    const before = result.previous?.[key]
    return typeof now === 'number' ? [{ name, about, now, before: typeof before === 'number' ? before : null }] : []
  })
}

export type Told = 'likely' | 'foretold' | 'missed'

/** How well a word was foretold: likely (at least even odds), among the guesses that count, or missed. */
export function toldOf(token: Token): Told {
  if (!token.hit) return 'missed'
  return token.chance >= 0.5 ? 'likely' : 'foretold'
}

export const TOLD_WORDS: Record<Told, string> = {
  likely: 'foretold with even odds or better',
  foretold: 'among the guesses that count',
  missed: 'not among them',
}

/** A share as percent, with enough digits to tell small ones apart. */
export function share(value: number): string {
  const percent = value * 100
  return `${percent.toFixed(percent && percent < 1 ? 2 : 1)} %`
}
