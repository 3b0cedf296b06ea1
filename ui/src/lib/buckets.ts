// A histogram as it is drawn: steps in which nothing came are zeros, not gaps.

import { ms } from './time'
import type { Histogram } from './types'

export interface Bucket {
  /** Seconds since the epoch. */
  at: number
  count: number
  errors: number
}

const MOST = 2000

/** Every step from the first to the last; none when nothing came at all. */
export function allBuckets(histogram: Histogram): Bucket[] {
  const step = Number(histogram.step_ns) / 1e9
  const told = histogram.items.map(({ time_unix_ns, count, errors }) => ({ at: ms(time_unix_ns) / 1000, count, errors }))
  const anchor = told[0]?.at
  if (anchor === undefined || !(step > 0)) return told
  const from = anchor - Math.floor((anchor - ms(histogram.from) / 1000) / step + 1e-6) * step
  const steps = Math.ceil((ms(histogram.to) / 1000 - from) / step - 1e-6)
  if (steps < told.length || steps > MOST) return told
  const all: Bucket[] = Array.from({ length: steps }, (_none, i) => ({ at: from + i * step, count: 0, errors: 0 }))
  for (const bucket of told) {
    const place = all[Math.round((bucket.at - from) / step)]
    if (place) Object.assign(place, { count: place.count + bucket.count, errors: place.errors + bucket.errors })
  }
  return all
}
