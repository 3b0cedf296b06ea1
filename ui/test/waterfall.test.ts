import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Span } from '../src/lib/types'
import { failed, waterfall } from '../src/lib/waterfall'

const MS = 1_000_000

function span(span_id: string, parent_span_id: string, from_ms: number, ms: number, more: Partial<Span> = {}): Span {
  const start_unix_ns = String(BigInt(1_763_700_000_000 + from_ms) * 1_000_000n)
  return {
    span_id, parent_span_id, service: 's', name: span_id, kind: 'internal', start_unix_ns, duration_ns: ms * MS, status_code: 'unset',
    status_message: '', attributes: {}, resource_attributes: {}, events: [], links: [], ...more,
  }
}

test('spans stand below their parents, by start', () => {
  const laid = waterfall([span('late', 'root', 50, 10), span('root', '', 0, 100), span('leaf', 'early', 12, 5), span('early', 'root', 10, 20)])
  assert.deepEqual(laid.bars.map((bar) => [bar.span.span_id, bar.depth]), [['root', 0], ['early', 1], ['leaf', 2], ['late', 1]])
  assert.equal(laid.endMs - laid.startMs, 100)
})

test('the critical path is what the trace waited for, and is as long as the trace', () => {
  const laid = waterfall([span('root', '', 0, 100), span('short', 'root', 10, 20), span('long', 'root', 10, 60), span('after', 'root', 75, 20)])
  const own = Object.fromEntries(laid.bars.map((bar) => [bar.span.span_id, Math.round(bar.criticalMs)]))
  assert.deepEqual(own, { root: 20, short: 0, long: 60, after: 20 })
})

test('missing parents, loops and twice the same id lose no span', () => {
  const laid = waterfall([span('a', 'gone', 0, 10), span('b', 'c', 1, 2), span('c', 'b', 1, 2), span('d', 'd', 3, 1), span('a', 'gone', 5, 1)])
  assert.equal(laid.bars.length, 5)
})

test('failure is told by number or name', () => {
  assert.ok(failed(span('a', '', 0, 1, { status_code: 2 })))
  assert.ok(failed(span('a', '', 0, 1, { status_code: 'error' })))
  assert.ok(!failed(span('a', '', 0, 1, { status_code: 'ok' })))
})

test('ids given twice at every level do not multiply the spans', () => {
  const spans = Array.from({ length: 60 }, (_none, level) => [0, 1].map((twin) => span(`s${level}`, level ? `s${level - 1}` : '', level, 90 - level + twin))).flat()
  assert.equal(waterfall(spans).bars.length, 120)
})

test('ten thousand spans are laid out at once', () => {
  const spans = Array.from({ length: 10_000 }, (_none, i) => span(`s${i}`, i ? `s${Math.floor(i / 2)}` : '', i % 50, 100))
  assert.equal(waterfall(spans).bars.length, 10_000)
})
