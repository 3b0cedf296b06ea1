import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Learning, Status } from '../src/lib/types'
import { verdict } from '../src/lib/verdict'

const NOW = Date.parse('2026-11-21T08:00:00Z')
const learned = (state: Learning['state'], learned_s: number): Learning => ({ service: 'cart', state, learned_s, needed_s: 60, lines: 9 })

interface Given {
  rows?: number
  newestMs?: number
  per_second?: number
  learning?: Learning[]
  open?: number
  incidents?: { open: number; acknowledged: number; critical: number }
}

function status({ rows = 0, newestMs = NOW, per_second = 0, learning = [], open = 0, incidents = { open: 0, acknowledged: 0, critical: 0 } }: Given): Status {
  const counts = { accepted: rows, rejected: 0, dropped: 0, deduplicated: 0, per_second }
  const stored = { rows, bytes: 0, segments: 0, oldest_unix_ns: null, newest_unix_ns: rows ? String(BigInt(newestMs) * 1_000_000n) : null }
  const signals = { logs: stored, metrics: { ...stored, rows: 0, newest_unix_ns: null }, spans: { ...stored, rows: 0, newest_unix_ns: null } }
  const ingest = { logs: counts, metrics: { ...counts, accepted: 0 }, spans: { ...counts, accepted: 0 } }
  return { ingest, store: { signals }, learning, findings: { open, opened_1h: open }, incidents } as unknown as Status
}

test('no data, learning, nothing found and something wrong are four answers', () => {
  assert.equal(verdict(status({}), NOW).kind, 'none')
  const warming = verdict(status({ rows: 5, per_second: 1, learning: [learned('warming', 40)] }), NOW)
  assert.deepEqual([warming.kind, warming.title], ['warming', 'Warming up: 40 s of 60 s'])
  assert.equal(verdict(status({ rows: 5, per_second: 1, learning: [learned('watching', 60)] }), NOW).kind, 'well')
  assert.equal(verdict(status({ rows: 5, learning: [learned('watching', 60)], open: 1 }), NOW).title, '1 thing is out of the ordinary')
})

test('silence is no all-clear', () => {
  const silent = verdict(status({ rows: 5, newestMs: NOW - 600_000, learning: [learned('watching', 60)] }), NOW)
  assert.equal(silent.kind, 'stale')
  assert.match(silent.more, /10 min old/)
})

test('incidents come before findings', () => {
  const one = verdict(status({ rows: 5, open: 12, incidents: { open: 1, acknowledged: 0, critical: 1 } }), NOW)
  assert.deepEqual([one.kind, one.title], ['wrong', '1 incident goes on, critical'])
  assert.match(one.more, /^Nobody has acknowledged it · 12 open findings/)
  const three = verdict(status({ rows: 5, incidents: { open: 1, acknowledged: 2, critical: 1 } }), NOW)
  assert.equal(three.title, '3 incidents go on, 1 of them critical')
  assert.match(three.more, /^Somebody is at 2/)
})

test('what cannot be learned from is not judged', () => {
  assert.equal(verdict(status({ rows: 5, per_second: 1 }), NOW).kind, 'unjudged')
})
