import assert from 'node:assert/strict'
import { test } from 'node:test'

import { strongest, tree, type Branch } from '../src/lib/causes'
import type { Cause, Proof, Ranking, TopologyEdge } from '../src/lib/types'

const proof = (weight: number, points: [string, number][] = []): Proof => ({ id: `p${weight}`, text: '', weight, signal: '', node: '', finding_id: '', trace_id: '', points })
const cause = (node: string, verdict: Cause['verdict'] = 'refuted', evidence = 1): Cause => ({ node, score: 1, confidence: 0, verdict, indicators: [], evidence_for: Array.from({ length: evidence }, () => proof(1)), evidence_against: [], why: '' })
const edge = (source: string, target: string): TopologyEdge => ({ source, target, kind: 'calls', count: 1, known_from: [], attributes: {} })
const ranking = (causes: Cause[], ruled_out: [string, string][] = []): Ranking => ({ causes, abstains: false, why: '', missing: [], ruled_out, fault_kind: '' })
const told = (branches: Branch[]): unknown[] => branches.map((branch) => (branch.children.length ? [branch.cause.node, told(branch.children)] : branch.cause.node))

test('callers hang under the callee that explains them', () => {
  const causes = ranking([cause('pay', 'supported'), cause('shop'), cause('front')], [['front', 'shop explains it']])
  const roots = tree(causes, [edge('front', 'shop'), edge('shop', 'pay')], [], 9)
  assert.deepEqual(told(roots), [['pay', [['shop', ['front']]]]])
  assert.equal(roots[0]?.children[0]?.children[0]?.against, 'shop explains it')
})

test('what depends on no likelier one is a root of its own', () => {
  assert.deepEqual(told(tree(ranking([cause('pay', 'supported'), cause('mail', 'possible')]), [edge('mail', 'smtp')], [], 9)), ['pay', 'mail'])
})

test('what is starved hangs under where work stopped', () => {
  assert.deepEqual(told(tree(ranking([cause('front', 'supported'), cause('pay')]), [edge('front', 'pay')], [['front', 'pay', true]], 9)), [['front', ['pay']]])
})

test('two that depend on each other do not vanish', () => {
  assert.deepEqual(told(tree(ranking([cause('a', 'possible'), cause('b', 'possible')]), [edge('a', 'b'), edge('b', 'a')], [], 9)), [['a', ['b']]])
})

test('the calm and refuted are left to the list of what was ruled out', () => {
  assert.deepEqual(told(tree(ranking([cause('a', 'supported'), cause('b', 'refuted', 0), cause('c', 'possible', 0)]), [], [], 9)), ['a', 'c'])
})

test('the strongest evidence that can be drawn', () => {
  const of = { ...cause('a'), evidence_for: [proof(1), proof(0.4, [['1', 1], ['2', 2]])], evidence_against: [proof(0.5, [['1', 1], ['2', 2]])] }
  assert.equal(strongest(of)?.weight, 0.5)
  assert.equal(strongest(cause('a')), undefined)
  const own = { ...of, indicators: [{ kind: 'metric', name: 'cpu', score: 1 }], evidence_against: [{ ...proof(0.5, [['1', 1], ['2', 2]]), text: 'b waits' }], evidence_for: [{ ...proof(0.2, [['1', 1], ['2', 2]]), text: 'cpu rose' }] }
  assert.equal(strongest(own)?.text, 'cpu rose')
})
