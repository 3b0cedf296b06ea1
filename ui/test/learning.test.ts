import assert from 'node:assert/strict'
import { test } from 'node:test'

import { consequence, figures, grouped, keyOf, share, toldOf } from '../src/lib/learning'

const workload = (namespace: string, deployment: string, log_count = 1) => ({ cluster_id: 'local', namespace, deployment, log_count })

test('workloads are grouped by cluster and namespace, the busiest group first', () => {
  const groups = grouped([workload('shop', 'cart', 3), workload('bank', 'ledger', 9), workload('shop', 'pay', 4)], '')
  assert.deepEqual(groups.map(({ name, lines }) => [name, lines]), [['local / bank', 9], ['local / shop', 7]])
  assert.deepEqual(groups[1]?.items.map(keyOf), ['local/shop/cart', 'local/shop/pay'])
})

test('a search keeps what holds all its words, in any part of the name', () => {
  const items = [workload('shop', 'cart'), workload('shop', 'pay'), workload('bank', 'pay')]
  assert.deepEqual(grouped(items, 'PAY shop').flatMap((group) => group.items.map(keyOf)), ['local/shop/pay'])
  assert.deepEqual(grouped(items, 'nothing'), [])
})

test('what submitting would do is decided against what was trained', () => {
  const trained = [workload('shop', 'cart'), workload('shop', 'pay')]
  assert.equal(consequence(new Set(['local/shop/cart', 'local/bank/pay']), trained), 'train')
  assert.equal(consequence(new Set(['local/shop/cart']), trained), 'update')
  assert.equal(consequence(new Set(), trained), 'reset')
  assert.equal(consequence(new Set(), []), 'nothing')
})

test('held-out figures stand beside those of the version before, where there is one', () => {
  const told = figures({ quality: { held_out_accuracy: 0.8, held_out_flagged: 0.01 }, previous: { held_out_accuracy: 0.7 } })
  assert.deepEqual(told.map(({ now, before }) => [now, before]), [[0.8, 0.7], [0.01, null]])
  assert.deepEqual(figures({}), [])
})

test('a word is likely, foretold or missed', () => {
  assert.equal(toldOf({ token: 'a', rank: 1, chance: 0.9, hit: true }), 'likely')
  assert.equal(toldOf({ token: 'a', rank: 20, chance: 0.01, hit: true }), 'foretold')
  assert.equal(toldOf({ token: 'a', rank: 80, chance: 0.0001, hit: false }), 'missed')
})

test('small shares keep their digits', () => {
  assert.deepEqual([share(0), share(0.001443), share(0.8182)], ['0.0 %', '0.14 %', '81.8 %'])
})
