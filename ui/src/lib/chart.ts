// What all uPlot charts of the page share: quiet axes, bars and lines, a band of what was expected, zoom by dragging.

import uPlot from 'uplot'

import { colour, faded } from './theme.svelte'
import { day, when } from './time'

export interface Line {
  label: string
  /** Name of a colour variable. */
  colour: string
  kind: 'line' | 'area' | 'bars'
  dashed?: boolean
  thin?: boolean
}

export interface ChartOptions {
  lines: Line[]
  height: number
  /** How a value is written, on the axis and under the cursor. */
  text: (value: number | null | undefined) => string
  /** Ends of the x axis in seconds; the data's own ends when absent. */
  fromTo?: [number, number]
  /** What was expected, shaded. */
  band?: { low: number | null; high: number | null }
  /** Shaded between two lines, by their places: [upper, lower, colour variable]. */
  between?: [number, number, string][]
  /** Moments worth a line: [seconds, colour variable]. */
  marks?: [number, string][]
  /** Axes are left out where there is no room for them. */
  bare?: boolean
  /** What `text` depends on: another unit draws the axis anew. */
  unit?: string
  /** Values are counts: no half steps on the axis. */
  whole?: boolean
  /** Values are bytes: the axis steps in powers of two. */
  binary?: boolean
  onzoom?: (fromMs: number, toMs: number) => void
  /** A span was chosen where there is nothing to zoom into; it stays marked. */
  onpick?: (fromMs: number, toMs: number) => void
  oncursor?: (index: number | null) => void
}

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
const POWERS_OF_TWO = Array.from({ length: 60 }, (_none, power) => 2 ** (power - 4))
const WHOLE_STEPS = Array.from({ length: 12 }, (_none, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat()
const bars = uPlot.paths.bars?.({ size: [0.82, 40], align: 1, gap: 1 })

function series(line: Line): uPlot.Series {
  const stroke = colour(line.colour)
  const filled = line.kind === 'bars' ? faded(stroke, 0.85) : faded(stroke, 0.12)
  return {
    label: line.label,
    stroke: line.kind === 'bars' ? 'transparent' : stroke,
    width: line.kind === 'bars' ? 0 : line.thin ? 0.5 : 1.5,
    fill: line.kind === 'line' ? undefined : filled,
    dash: line.dashed ? [4, 4] : undefined,
    paths: line.kind === 'bars' ? bars : undefined,
    points: { show: line.kind === 'bars' ? false : lonely, size: 4, fill: stroke },
  }
}

// Points are drawn only where a value stands alone between gaps, and would be invisible as a line.
function lonely(plot: uPlot, seriesIndex: number, from: number, to: number): boolean {
  const values = plot.data[seriesIndex]
  if (!values) return false
  let shown = 0
  for (let i = from; i <= to; i += 1) if (values[i] !== null && values[i] !== undefined) shown += 1
  return shown <= 2
}

function axes(options: ChartOptions): uPlot.Axis[] {
  const stroke = colour('faint')
  const grid = { stroke: colour('line'), width: 1 }
  if (options.bare) return [{ show: false }, { show: false }]
  return [
    { stroke, font: FONT, grid: { show: false }, ticks: { show: false }, space: 70, size: 24, gap: 4, values: timeLabels },
    { stroke, font: FONT, grid, ticks: { show: false }, size: axisWidth, gap: 6, space: 32, incrs: options.binary ? POWERS_OF_TWO : options.whole ? WHOLE_STEPS : undefined, values: (_plot, splits) => splits.map(options.text) },
  ]
}

function timeLabels(_plot: uPlot, splits: number[]): string[] {
  const step = splits.length > 1 ? (splits[1] ?? 0) - (splits[0] ?? 0) : 60
  return splits.map((at, i) => {
    const date = new Date(at * 1000)
    const two = (value: number) => String(value).padStart(2, '0')
    const midnight = date.getHours() === 0 && date.getMinutes() === 0
    if (step >= 86_400 || (midnight && i > 0)) return day(at * 1000).slice(5)
    const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`
    return step < 60 ? `${minutes}:${two(date.getSeconds())}` : minutes
  })
}

function axisWidth(plot: uPlot, values: string[] | null, axis: number, cycle: number): number {
  const known = plot.axes[axis] as uPlot.Axis & { _size?: number }
  if (cycle > 1) return known._size ?? 44
  const longest = (values ?? []).reduce((most, text) => Math.max(most, text.length), 0)
  return Math.max(34, 12 + longest * 6.3)
}

function drawBand(options: ChartOptions): (plot: uPlot) => void {
  const fill = faded(colour('good'), 0.16)
  const edge = faded(colour('good'), 0.75)
  return (plot) => {
    const { low, high } = options.band ?? { low: null, high: null }
    if (low === null && high === null) return
    const { left, top, width, height } = plot.bbox
    const y = (value: number) => Math.min(top + height, Math.max(top, plot.valToPos(value, 'y', true)))
    const upper = high === null ? top : y(high)
    const lower = low === null ? top + height : y(low)
    plot.ctx.save()
    plot.ctx.fillStyle = fill
    plot.ctx.fillRect(left, Math.min(upper, lower - 2), width, Math.max(2, lower - upper))
    plot.ctx.fillStyle = edge
    if (high !== null) plot.ctx.fillRect(left, upper, width, 1)
    if (low !== null) plot.ctx.fillRect(left, lower - 1, width, 1)
    plot.ctx.restore()
  }
}

function drawMarks(options: ChartOptions): (plot: uPlot) => void {
  const marks = (options.marks ?? []).map(([at, name]) => [at, colour(name)] as const)
  return (plot) => {
    for (const [at, stroke] of marks) {
      const x = Math.round(plot.valToPos(at, 'x', true))
      if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) continue
      plot.ctx.save()
      plot.ctx.strokeStyle = stroke
      plot.ctx.setLineDash([3, 3])
      plot.ctx.beginPath()
      plot.ctx.moveTo(x, plot.bbox.top)
      plot.ctx.lineTo(x, plot.bbox.top + plot.bbox.height)
      plot.ctx.stroke()
      plot.ctx.restore()
    }
  }
}

function zoomed(options: ChartOptions): (plot: uPlot) => void {
  return (plot) => {
    if (plot.select.width < 4) return
    const from = plot.posToVal(plot.select.left, 'x')
    const to = plot.posToVal(plot.select.left + plot.select.width, 'x')
    if (!options.onzoom) {
      options.onpick?.(from * 1000, to * 1000)
      return
    }
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    options.onzoom(from * 1000, to * 1000)
  }
}

function yRange(options: ChartOptions): uPlot.Range.Function {
  return (_plot, min, max) => {
    const top = Math.max(max ?? 0, options.band?.high ?? 0)
    const bottom = Math.min(0, min ?? 0)
    // A line that hardly moves is drawn close up, or its shape could not be seen; bars and bands stand on zero.
    const close = options.lines.every((line) => line.kind === 'line') && !options.band && min !== null && min > 0 && max - min < 0.15 * max
    if (close && max > min) return [min - (max - min) * 0.2, max + (max - min) * 0.2]
    return top === bottom ? [bottom, bottom + 1] : [bottom < 0 ? bottom * 1.08 : 0, top + (top - bottom) * 0.08]
  }
}

/** The options of a uPlot chart of this width. */
export function plotOptions(options: ChartOptions, width: number): uPlot.Options {
  return {
    width,
    height: options.height,
    padding: options.bare ? [2, 0, 0, 0] : [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: Boolean(options.onzoom ?? options.onpick), y: false, setScale: false },
      points: { size: 6, show: !options.lines.some((line) => line.kind === 'bars') },
    },
    scales: { x: { time: true, range: (_plot, min, max) => options.fromTo ?? [min, max] }, y: { range: yRange(options) } },
    series: [{}, ...options.lines.map(series)],
    bands: options.between?.map(([upper, lower, name]) => ({ series: [upper + 1, lower + 1], fill: faded(colour(name), 0.16) })),
    axes: axes(options),
    hooks: {
      drawClear: [drawBand(options)],
      draw: [drawMarks(options)],
      setSelect: [zoomed(options)],
      setCursor: [(plot) => options.oncursor?.(plot.cursor.idx ?? null)],
    },
  }
}

/** What the tooltip says above the values. */
export function tipTime(at: number, nowMs: number): string {
  return when(at * 1000, nowMs)
}
