// Spans of one trace as a tree in reading order, with the time each has on the critical path: the chain of work that the
// whole trace waited for. Spans without a known parent are roots of their own.

import { ms } from './time'
import type { Span } from './types'

export interface Bar {
  span: Span
  depth: number
  children: number
  startMs: number
  endMs: number
  /** Pieces of this span on the critical path, in milliseconds since the epoch. */
  critical: [number, number][]
  criticalMs: number
  failed: boolean
}

export interface Waterfall {
  bars: Bar[]
  startMs: number
  endMs: number
}

/** Whether the span's status is error (OTLP: 2). */
export function failed(span: Span): boolean {
  return span.status_code === 2 || String(span.status_code).toLowerCase().includes('error')
}

const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer']

/** The kind in a word. */
export function kindName(kind: number | string): string {
  return typeof kind === 'number' ? (KINDS[kind] ?? '') : String(kind).toLowerCase().replace('span_kind_', '')
}

/** Lay out the spans; cost: n log n. */
export function waterfall(spans: Span[]): Waterfall {
  const byParent = new Map<string, Bar[]>()
  const known = new Set(spans.map((span) => span.span_id))
  const bars = spans.map(bar)
  const roots: Bar[] = []
  for (const one of bars) {
    const parent = one.span.parent_span_id
    if (!parent || !known.has(parent) || parent === one.span.span_id) roots.push(one)
    else if (byParent.has(parent)) byParent.get(parent)?.push(one)
    else byParent.set(parent, [one])
  }
  const inOrder = walk(roots, byParent)
  // Spans that are one another's parents hang from no root; they are shown all the same.
  const placed = new Set(inOrder)
  const lost = bars.filter((one) => !placed.has(one)).map((one) => ({ ...one, children: 0 }))
  const taken = new Set<string>()
  for (const root of roots) critical(root, byParent, taken)
  const all = [...inOrder, ...lost]
  return {
    bars: all,
    startMs: all.reduce((least, one) => Math.min(least, one.startMs), Infinity),
    endMs: all.reduce((most, one) => Math.max(most, one.endMs), -Infinity),
  }
}

function bar(span: Span): Bar {
  const startMs = ms(span.start_unix_ns)
  return { span, depth: 0, children: 0, startMs, endMs: startMs + Number(span.duration_ns) / 1e6, critical: [], criticalMs: 0, failed: failed(span) }
}

function walk(roots: Bar[], byParent: Map<string, Bar[]>): Bar[] {
  const byStart = (a: Bar, b: Bar) => b.startMs - a.startMs
  const stack = roots.toSorted(byStart)
  const inOrder: Bar[] = []
  const taken = new Set<string>()
  for (let next = stack.pop(); next; next = stack.pop()) {
    inOrder.push(next)
    const children = takeChildren(next, byParent, taken)
    next.children = children.length
    for (const child of children.toSorted(byStart)) {
      child.depth = next.depth + 1
      stack.push(child)
    }
  }
  return inOrder
}

// Where several spans carry one id, the first takes the children: each span is placed once, whatever was sent.
function takeChildren(parent: Bar, byParent: Map<string, Bar[]>, taken: Set<string>): Bar[] {
  const id = parent.span.span_id
  if (taken.has(id)) return []
  taken.add(id)
  return byParent.get(id) ?? []
}

// Backwards from the end of a span: what ended last is what was waited for.
function critical(root: Bar, byParent: Map<string, Bar[]>, taken: Set<string>): void {
  const open: [Bar, number][] = [[root, root.endMs]]
  for (let next = open.pop(); next; next = open.pop()) {
    const [one, until] = next
    let cursor = Math.min(one.endMs, until)
    const children = takeChildren(one, byParent, taken).toSorted((a, b) => b.endMs - a.endMs)
    for (const child of children) {
      const end = Math.min(child.endMs, cursor)
      if (child.startMs >= cursor || end <= one.startMs) continue
      mark(one, end, cursor)
      open.push([child, end])
      cursor = Math.max(child.startMs, one.startMs)
    }
    mark(one, one.startMs, cursor)
  }
}

function mark(one: Bar, from: number, to: number): void {
  if (to <= from) return
  one.critical.push([from, to])
  one.criticalMs += to - from
}
