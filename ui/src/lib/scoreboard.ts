// The scoreboard made fit to show: what is chosen of it, in which order, on which scale. Pure functions.

import type { BoardCell, BoardMetric, BoardTable, Figure } from './types'

export interface Choice {
  task: string
  data: string
  model: string
  enhancement: string
}

export type Order = 'best' | 'seconds' | 'memory' | 'size' | 'model'

/** Tables and cells that a choice leaves; "" chooses all. Tables without a cell are left out. */
export function chosen(tables: BoardTable[], choice: Choice): BoardTable[] {
  return tables
    .filter((table) => (!choice.task || table.task === choice.task) && (!choice.data || table.data === choice.data))
    .map((table) => ({
      ...table,
      cells: table.cells.filter((cell) => (!choice.model || cell.model === choice.model) && (!choice.enhancement || cell.enhancement === choice.enhancement)),
    }))
    .filter((table) => table.cells.length > 0)
}

const COST: Record<string, (cell: BoardCell) => number | null> = {
  seconds: (cell) => cell.seconds,
  memory: (cell) => cell.peak_memory_bytes,
  size: (cell) => cell.model_bytes,
}

/** Cells in order; those without what is ordered by come last, as they were. */
export function ordered(cells: BoardCell[], order: Order, metric: BoardMetric): BoardCell[] {
  const sign = metric.higher_is_better ? -1 : 1
  if (order === 'model') return [...cells].sort((a, b) => a.model.localeCompare(b.model))
  const cost = COST[order]
  const rank = (cell: BoardCell): number | null => (cost ? cost(cell) : mean(cell, metric.name) === null ? null : sign * (mean(cell, metric.name) as number))
  return [...cells].sort((a, b) => (rank(a) ?? Infinity) - (rank(b) ?? Infinity) || 0)
}

/** The value of a metric, null where there is none. */
export function mean(cell: BoardCell, metric: string): number | null {
  return cell.state === 'done' ? (cell.figures[metric]?.[0] ?? null) : null
}

/** The ends of the scale on which a metric of these cells is drawn: 0..1 where all lies within. */
export function scale(cells: BoardCell[], metric: string): [number, number] {
  const every = cells.flatMap((cell) => (cell.state === 'done' ? (cell.figures[metric] ?? []) : [])).filter((value): value is number => value !== null)
  const low = Math.min(0, ...every)
  const high = Math.max(...every, 0)
  return high <= 1 && low >= 0 ? [0, 1] : [low, high > low ? high : low + 1]
}

/** Percent of the width at which a value lies. */
export function place(value: number, [low, high]: [number, number]): number {
  return Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)))
}

/** The best trivial baseline: its value and name, null when there is none. */
export function baseline(cells: BoardCell[], metric: BoardMetric): { name: string; value: number } | null {
  const trivial = cells.filter((cell) => cell.trivial && cell.enhancement === 'none' && mean(cell, metric.name) !== null)
  if (!trivial.length) return null
  const best = ordered(trivial, 'best', metric)[0] as BoardCell
  return { name: best.model, value: mean(best, metric.name) as number }
}

export interface Glance {
  table: BoardTable
  metric: BoardMetric
  best: BoardCell | null
  baseline: { name: string; value: number } | null
  /** How many cells `best` is the best of. */
  count: number
  span: [number, number]
  /** Whether the best lies beyond the baseline with its whole interval, with its figure only, or not; "–" without one of them. */
  beaten: 'yes' | 'not surely' | 'no' | '–'
}

/** A line of each table that has a figure, those of a task together. */
export function glances(tables: BoardTable[]): Glance[] {
  const tasks = [...new Set(tables.map((table) => table.task))]
  return tables
    .map(glance)
    .filter((one): one is Glance => one !== null && (one.best !== null || one.baseline !== null))
    .sort((a, b) => tasks.indexOf(a.table.task) - tasks.indexOf(b.table.task))
}

function glance(table: BoardTable): Glance | null {
  const metric = table.metrics.find((one) => one.name === table.headline)
  if (!metric) return null
  const own = ordered(
    table.cells.filter((cell) => !cell.trivial && mean(cell, metric.name) !== null),
    'best',
    metric,
  )
  const best = own[0] ?? null
  const trivial = baseline(table.cells, metric)
  return { table, metric, best, baseline: trivial, count: own.length, span: scale(table.cells, metric.name), beaten: beaten(best, trivial?.value ?? null, metric) }
}

function beaten(best: BoardCell | null, other: number | null, metric: BoardMetric): Glance['beaten'] {
  const told = best?.figures[metric.name]
  if (!told || told[0] === null || other === null) return '–'
  const sign = metric.higher_is_better ? 1 : -1
  if (sign * told[0] <= sign * other) return 'no'
  const end = metric.higher_is_better ? told[1] : told[2]
  return end !== null && sign * end > sign * other ? 'yes' : 'not surely'
}

/** "0.812", "12.4", "–". */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  return Math.abs(value) < 10 ? value.toFixed(3) : Math.abs(value) < 1000 ? value.toFixed(1) : value.toExponential(2)
}

/** "0.812, 95 % interval 0.790 to 0.830". */
export function figureText(told: Figure | undefined): string {
  if (!told) return 'no figure'
  const [value, low, high] = told
  return low === null || high === null ? figure(value) : `${figure(value)}, 95 % interval ${figure(low)} to ${figure(high)}`
}

/** What is to be said of a cell beside its figures. */
export function mark(cell: BoardCell): { tone: 'bad' | 'quiet' | ''; text: string } {
  if (cell.state === 'failed') return { tone: 'bad', text: `failed: ${cell.reason}` }
  if (cell.state !== 'done') return { tone: 'quiet', text: cell.reason ? `${cell.state}: ${cell.reason}` : cell.state }
  if (cell.trivial) return { tone: 'quiet', text: 'baseline' }
  return cell.loses_to ? { tone: 'bad', text: `loses to ${cell.loses_to}` } : { tone: '', text: '' }
}

export interface Skip {
  reason: string
  count: number
  /** Which cells; none where the reason is of a sort of model. */
  cells: string[]
}

/** Reasons of the skipped with their cells, the most frequent first. */
export function skips(cells: BoardCell[]): Skip[] {
  const found = new Map<string, Skip>()
  for (const cell of cells) {
    if (cell.state !== 'skipped') continue
    const reason = cell.reason.replace(` ${cell.model}:`, ' the model:')
    const skip = found.get(reason) ?? { reason, count: 0, cells: [] }
    skip.count += 1
    if (reason === cell.reason) skip.cells.push(label(cell))
    found.set(reason, skip)
  }
  return [...found.values()].sort((a, b) => b.count - a.count)
}

/** The name of a cell within its table. */
export function label(cell: BoardCell): string {
  return cell.enhancement === 'none' ? cell.model : `${cell.model} + ${cell.enhancement}`
}

/** Distinct values in order of the alphabet. */
export function names(values: string[]): string[] {
  return [...new Set(values)].sort()
}
