import assert from 'node:assert/strict'
import { test } from 'node:test'

import { allBuckets } from '../src/lib/buckets'

const SECOND = 1_000_000_000
const at = (second: number) => String((1_763_700_000 + second) * SECOND)

test('steps in which nothing came are zeros', () => {
  const items = [
    { time_unix_ns: at(10), count: 3, errors: 1 },
    { time_unix_ns: at(30), count: 2, errors: 0 },
  ]
  const all = allBuckets({ from: at(0), to: at(50), step_ns: String(10 * SECOND), items })
  assert.deepEqual(all.map((bucket) => bucket.count), [0, 3, 0, 2, 0])
  assert.equal(all[1]?.errors, 1)
})

test('nothing at all stays nothing', () => {
  assert.deepEqual(allBuckets({ from: at(0), to: at(50), step_ns: String(SECOND), items: [] }), [])
})
