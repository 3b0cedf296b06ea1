// The topology as it is drawn: nodes in layers from callers to callees, few crossings, long edges bent around what lies
// between. Pure functions of nodes and edges; cost grows with edges times sweeps, some milliseconds for 100 nodes.

import type { TopologyEdge, TopologyNode } from './types'

export const BOX = { width: 144, height: 34 }
const GAP = { x: 74, y: 16 }
const SWEEPS = 8

export interface Placed {
  node: TopologyNode
  /** The upper left corner. */
  x: number
  y: number
}

export interface Drawn {
  edge: TopologyEdge
  /** An SVG path from source to target. */
  path: string
  middle: [number, number]
}

export interface Layout {
  nodes: Placed[]
  edges: Drawn[]
  width: number
  height: number
}

/** A place in a layer: a node, or a bend of an edge that passes through. */
interface Spot {
  id: string
  layer: number
  tall: number
  y: number
  before: Spot[]
  after: Spot[]
}

/** Edges whose two ends are both there, each pair once, none from a node to itself. */
export function among(nodes: TopologyNode[], edges: TopologyEdge[]): TopologyEdge[] {
  const known = new Set(nodes.map((node) => node.id))
  const seen = new Set<string>()
  return edges.filter(({ source, target }) => {
    const pair = `${source}\n${target}`
    if (source === target || !known.has(source) || !known.has(target) || seen.has(pair)) return false
    seen.add(pair)
    return true
  })
}

/** The layer of each node: 0 for those nobody depends on, else one beyond the furthest that does. Cycles are cut where they close. */
export function layers(nodes: TopologyNode[], edges: TopologyEdge[]): Map<string, number> {
  const targets = grouped(edges.map(({ source, target }) => [source, target]))
  const state = new Map<string, 'open' | 'done'>()
  const order: string[] = []
  const forward: [string, string][] = []
  const visit = (id: string): void => {
    state.set(id, 'open')
    for (const target of targets.get(id) ?? []) {
      if (state.get(target) === 'open') forward.push([target, id])
      else {
        forward.push([id, target])
        if (!state.has(target)) visit(target)
      }
    }
    state.set(id, 'done')
    order.push(id)
  }
  const called = new Set(edges.map((edge) => edge.target))
  const begins = nodes.map((node) => node.id).toSorted((a, b) => Number(called.has(a)) - Number(called.has(b)) || (a < b ? -1 : 1))
  for (const id of begins) if (!state.has(id)) visit(id)
  const layer = new Map(order.map((id) => [id, 0]))
  const following = grouped(forward)
  for (const id of order.toReversed()) {
    for (const to of following.get(id) ?? []) layer.set(to, Math.max(layer.get(to) ?? 0, (layer.get(id) ?? 0) + 1))
  }
  return layer
}

/** What each first of the pairs leads to, in order of name. */
export function grouped(pairs: [string, string][]): Map<string, string[]> {
  const targets = new Map<string, string[]>()
  for (const [source, target] of pairs.toSorted()) {
    const own = targets.get(source)
    if (own) own.push(target)
    else targets.set(source, [target])
  }
  return targets
}

/** Lay the graph out, left to right. */
export function layered(nodes: TopologyNode[], all: TopologyEdge[]): Layout {
  const edges = among(nodes, all)
  const layer = layers(nodes, edges)
  const spots = new Map<string, Spot>()
  const rows: Spot[][] = []
  const put = (id: string, at: number, tall: number): Spot => {
    const spot: Spot = { id, layer: at, tall, y: 0, before: [], after: [] }
    ;(rows[at] ??= []).push(spot)
    spots.set(id, spot)
    return spot
  }
  for (const node of nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1))) put(node.id, layer.get(node.id) ?? 0, BOX.height)
  const ways = edges.map((edge): [TopologyEdge, Spot[]] => {
    const [a, b] = [spots.get(edge.source)!, spots.get(edge.target)!]
    const way = [a]
    const step = Math.sign(b.layer - a.layer)
    for (let at = a.layer + step; step && at !== b.layer; at += step) way.push(put(`${edge.source}\n${edge.target}\n${at}`, at, 6))
    way.push(b)
    way.forEach((spot, i) => i && join(way[i - 1]!, spot))
    return [edge, way]
  })
  order(rows)
  place(rows)
  const height = Math.max(BOX.height, ...rows.flat().map((spot) => spot.y + spot.tall))
  return {
    nodes: nodes.map((node) => ({ node, x: left(layer.get(node.id) ?? 0), y: spots.get(node.id)!.y })),
    edges: ways.map(([edge, way]) => ({ edge, ...curve(way) })),
    width: left(rows.length - 1) + BOX.width,
    height,
  }
}

const left = (layer: number) => Math.max(0, layer) * (BOX.width + GAP.x)

function join(a: Spot, b: Spot): void {
  const [low, high] = a.layer <= b.layer ? [a, b] : [b, a]
  low.after.push(high)
  high.before.push(low)
}

/** Sort each layer by where its neighbours stand, to and fro: few edges cross then. */
function order(rows: Spot[][]): void {
  for (const row of rows) row.forEach((spot, i) => (spot.y = i))
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const down = sweep % 2 === 0
    for (const row of down ? rows : rows.toReversed()) {
      const wish = new Map(row.map((spot) => [spot, mean((down ? spot.before : spot.after).map((other) => other.y)) ?? spot.y]))
      row.sort((a, b) => wish.get(a)! - wish.get(b)!)
      row.forEach((spot, i) => (spot.y = i))
    }
  }
}

/** Give heights: each spot near the middle of its neighbours, none upon another, the order kept. */
function place(rows: Spot[][]): void {
  for (const row of rows) stack(row, row.map(() => 0))
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const row of sweep % 2 ? rows.toReversed() : rows) {
      stack(row, row.map((spot) => (mean([...spot.before, ...spot.after].map(centre)) ?? centre(spot)) - spot.tall / 2))
    }
  }
  const top = Math.min(...rows.flat().map((spot) => spot.y))
  for (const spot of rows.flat()) spot.y -= top
}

// Isotonic placement: a run of spots that push each other takes the mean of what its members wish.
function stack(row: Spot[], wishes: number[]): void {
  const runs: { wish: number; size: number; from: number }[] = []
  let offset = 0
  const offsets = row.map((spot) => (offset += spot.tall + GAP.y) - spot.tall - GAP.y)
  row.forEach((_spot, i) => {
    let run = { wish: (wishes[i] ?? 0) - offsets[i]!, size: 1, from: i }
    for (let last = runs.at(-1); last && last.wish >= run.wish; last = runs.at(-1)) {
      run = { wish: (last.wish * last.size + run.wish * run.size) / (last.size + run.size), size: last.size + run.size, from: last.from }
      runs.pop()
    }
    runs.push(run)
  })
  for (const run of runs) for (let i = run.from; i < run.from + run.size; i += 1) row[i]!.y = run.wish + offsets[i]!
}

const centre = (spot: Spot) => spot.y + spot.tall / 2
const mean = (values: number[]) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null)

function curve(way: Spot[]): { path: string; middle: [number, number] } {
  const [first, last] = [way[0]!, way.at(-1)!]
  const forward = last.layer >= first.layer
  const points = way.map((spot, i): [number, number] => {
    const edge = i === 0 ? (forward ? BOX.width : 0) : i === way.length - 1 ? (forward ? 0 : BOX.width) : BOX.width / 2
    return [left(spot.layer) + edge, centre(spot)]
  })
  let path = `M${points[0]!.map(Math.round).join(' ')}`
  for (let i = 1; i < points.length; i += 1) {
    const [[x0, y0], [x1, y1]] = [points[i - 1]!, points[i]!]
    const half = (x0 + x1) / 2
    path += `C${[half, y0, half, y1, x1, y1].map(Math.round).join(' ')}`
  }
  const at = Math.floor((points.length - 1) / 2)
  const [a, b] = [points[at]!, points[at + 1]!]
  return { path, middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] }
}

/** The nodes within a step of those given; the given ones alone when there would be more than `most`. */
export function around(nodes: TopologyNode[], edges: TopologyEdge[], given: Set<string>, most: number): TopologyNode[] {
  const near = new Set(given)
  for (const { source, target, kind } of edges) {
    if (kind !== 'calls' && kind !== 'produces_to' && kind !== 'consumes_from') continue
    if (given.has(source)) near.add(target)
    if (given.has(target)) near.add(source)
  }
  const wanted = near.size > most ? given : near
  return nodes.filter((node) => wanted.has(node.id))
}
