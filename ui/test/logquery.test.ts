import assert from 'node:assert/strict'
import { test } from 'node:test'

import { condition, marked, searched, withCondition } from '../src/lib/logquery'

test('conditions are quoted where they must be', () => {
  assert.equal(condition('service', 'cart'), 'service:cart')
  assert.equal(condition('user', 'Ann "A" B\\'), 'user:"Ann \\"A\\" B\\\\"')
  assert.equal(withCondition('timeout', 'service', 'cart'), 'timeout service:cart')
  assert.equal(withCondition('service:cart', 'service', 'cart'), 'service:cart')
})

test('only words and phrases that must be there are marked', () => {
  assert.deepEqual(searched('Timeout "card expired" -debug -"not this" service:cart status>=500'), ['timeout', 'card expired'])
  assert.deepEqual(marked('a TimeOut b', ['timeout']), [
    { text: 'a ', hit: false },
    { text: 'TimeOut', hit: true },
    { text: ' b', hit: false },
  ])
  assert.deepEqual(marked('a.b', ['.']).map((piece) => piece.hit), [false, true, false])
})
