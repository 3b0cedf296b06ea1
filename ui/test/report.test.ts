import assert from 'node:assert/strict'
import { test } from 'node:test'

import { pieces, readReport } from '../src/lib/report'

test('headings, paragraphs and lists', () => {
  assert.deepEqual(readReport('# `T`\n\n## S\n\none\ntwo\n\n- a\n- b\n'), [
    { kind: 'heading', level: 1, pieces: [{ kind: 'code', text: 'T' }] },
    { kind: 'heading', level: 2, pieces: [{ kind: 'text', text: 'S' }] },
    { kind: 'paragraph', pieces: [{ kind: 'text', text: 'one' }, { kind: 'text', text: ' ' }, { kind: 'text', text: 'two' }] },
    { kind: 'list', items: [[{ kind: 'text', text: 'a' }], [{ kind: 'text', text: 'b' }]] },
  ])
})

test('code holds whatever telemetry said, and only as text', () => {
  assert.deepEqual(pieces('seen: `` <img src=x>`x` `` \\[metric-1\\]'), [
    { kind: 'text', text: 'seen: ' },
    { kind: 'code', text: '<img src=x>`x`' },
    { kind: 'text', text: ' ' },
    { kind: 'cite', text: 'metric-1' },
  ])
})

test('escaped marks and strong words', () => {
  assert.deepEqual(pieces('a\\_b \\*c\\* **d** e*f'), [
    { kind: 'text', text: 'a_b *c* ' },
    { kind: 'strong', text: 'd' },
    { kind: 'text', text: ' e*f' },
  ])
})

test('HTML, links and pictures are none', () => {
  const text = '<script>alert(1)</script> [x](javascript:alert(1)) ![y](//z)'
  assert.deepEqual(readReport(text), [{ kind: 'paragraph', pieces: [{ kind: 'text', text }] }])
})

test('what is not closed stays as it is', () => {
  assert.deepEqual(pieces('a `b ``c'), [{ kind: 'text', text: 'a `b ``c' }])
  assert.deepEqual(pieces('end\\'), [{ kind: 'text', text: 'end\\' }])
})
