import assert from 'node:assert/strict'
import { test } from 'node:test'

import { around, BOX, layered, layers } from '../src/lib/graph'
import type { TopologyEdge, TopologyNode } from '../src/lib/types'

const node = (id: string): TopologyNode => ({ id, kind: 'service', name: id, attributes: {} })
const edge = (source: string, target: string): TopologyEdge => ({ source, target, kind: 'calls', count: 1, known_from: ['spans'], attributes: {} })

test('callers stand left of what they call', () => {
  const layer = layers(['c', 'b', 'a'].map(node), [edge('a', 'b'), edge('b', 'c'), edge('a', 'c')])
  assert.deepEqual([...layer].sort(), [['a', 0], ['b', 1], ['c', 2]])
})

test('a cycle ends, and its first node stays first', () => {
  const layer = layers(['a', 'b', 'c'].map(node), [edge('a', 'b'), edge('b', 'c'), edge('c', 'b')])
  assert.deepEqual([...layer].sort(), [['a', 0], ['b', 1], ['c', 2]])
})

test('no two of 60 nodes lie upon each other', () => {
  const nodes = Array.from({ length: 60 }, (_none, i) => node(`n${i}`))
  const edges = nodes.flatMap((_node, i) => [edge(`n${i}`, `n${(i * 7 + 1) % 60}`), edge(`n${Math.floor(i / 3)}`, `n${i}`)])
  const drawn = layered(nodes, edges)
  assert.equal(drawn.nodes.length, 60)
  for (const [i, a] of drawn.nodes.entries()) {
    assert.ok(a.x >= 0 && a.y >= -0.001 && a.x + BOX.width <= drawn.width && a.y + BOX.height <= drawn.height + 0.001)
    for (const b of drawn.nodes.slice(i + 1)) assert.ok(a.x !== b.x || Math.abs(a.y - b.y) >= BOX.height)
  }
})

test('a chain is a straight line', () => {
  const drawn = layered(['a', 'b', 'c'].map(node), [edge('a', 'b'), edge('b', 'c')])
  assert.equal(new Set(drawn.nodes.map(({ y }) => y)).size, 1)
  assert.equal(drawn.height, BOX.height)
})

test('the order of what comes in does not matter', () => {
  const nodes = ['a', 'b', 'c', 'd', 'e'].map(node)
  const edges = [edge('a', 'b'), edge('a', 'c'), edge('b', 'd'), edge('c', 'e')]
  const places = (drawn: ReturnType<typeof layered>) => drawn.nodes.map(({ node: { id }, x, y }) => `${id} ${x} ${Math.round(y)}`).sort()
  assert.deepEqual(places(layered(nodes, edges)), places(layered(nodes.toReversed(), edges.toReversed())))
})

test('an edge to what is not there is not drawn', () => {
  assert.deepEqual(layered([node('a')], [edge('a', 'gone'), edge('a', 'a')]).edges, [])
})

test('neighbours come along while they are few', () => {
  const nodes = ['a', 'b', 'c', 'd'].map(node)
  const edges = [edge('a', 'b'), edge('b', 'c'), edge('c', 'd')]
  assert.deepEqual(around(nodes, edges, new Set(['b']), 3).map(({ id }) => id), ['a', 'b', 'c'])
  assert.deepEqual(around(nodes, edges, new Set(['b']), 2).map(({ id }) => id), ['b'])
})
