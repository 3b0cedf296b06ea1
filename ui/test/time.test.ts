import assert from 'node:assert/strict'
import { test } from 'node:test'

import { age, durationMs, fixed, ms, ns, rangeAddress, rangeParams, rangeText, readRange } from '../src/lib/time'

const NOW = Date.parse('2026-11-21T08:00:00Z')

test('nanoseconds keep their milliseconds', () => {
  assert.equal(ms('1763700000123456789'), 1763700000123.4568)
  assert.equal(ms(1_500_000), 1.5)
  assert.ok(Number.isNaN(ms('0')))
  assert.ok(Number.isNaN(ms(null)))
  assert.equal(ns(1763700000123), '1763700000123000000')
})

test('ranges are read from the address and written back', () => {
  const last = readRange('15m', null, NOW, '1h')
  assert.deepEqual([last.last, last.toMs - last.fromMs], ['15m', 900_000])
  assert.deepEqual(rangeParams(last), { from: '15m' })
  const between = readRange('2026-11-20T10:00:00Z', '2026-11-20T11:00:00Z', NOW, '1h')
  assert.equal(between.last, null)
  assert.deepEqual(rangeAddress(between), { from: '2026-11-20T10:00:00.000Z', to: '2026-11-20T11:00:00.000Z' })
  assert.equal(rangeParams(between).to, '1795172400000000000')
})

test('a range that makes no sense falls back', () => {
  for (const [from, to] of [['x', null], ['2026-11-21', '2026-11-20'], [null, null], ['15q', null]] as const) {
    assert.equal(readRange(from, to, NOW, '6h').last, '6h', `${from} ${to}`)
  }
  assert.equal(durationMs('7d'), 7 * 86_400_000)
  assert.equal(durationMs('-1h'), null)
})

test('ranges and ages are told in words', () => {
  assert.equal(rangeText(readRange('1h', null, NOW, '1h'), NOW), 'the last hour')
  assert.equal(rangeText(readRange('15m', null, NOW, '1h'), NOW), 'the last 15 minutes')
  assert.match(rangeText(fixed(NOW - 60_000, NOW), NOW), /^\d\d:\d\d:\d\d to \d\d:\d\d:\d\d$/)
  assert.deepEqual([40, 100, 7200, 200_000].map(age), ['40 s', '2 min', '2 h', '2 d'])
})
