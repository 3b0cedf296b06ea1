import assert from 'node:assert/strict'
import { test } from 'node:test'

import { chosen, glances, ordered } from '../src/lib/scoreboard'
import type { BoardCell, BoardMetric, BoardTable, Figure } from '../src/lib/types'

const F1: BoardMetric = { name: 'f1', about: '', higher_is_better: true }
const RMSE: BoardMetric = { name: 'rmse', about: '', higher_is_better: false }

function cell(model: string, told: Figure | null, { trivial = false, metric = F1 } = {}): BoardCell {
  return {
    id: `t/d@1/${model}/none`,
    model,
    enhancement: 'none',
    trivial,
    state: told ? 'done' : 'failed',
    reason: '',
    loses_to: '',
    figures: told ? { [metric.name]: told } : {},
    seconds: 1,
    peak_memory_bytes: 1,
    model_bytes: 1,
    date: '',
    curves: {},
  }
}

function table(task: string, data: string, cells: BoardCell[], metric = F1): BoardTable {
  return { task, stage: '', about: '', data, data_about: '', headline: metric.name, metrics: [metric], cells }
}

const never = cell('never', [0.5, 0.5, 0.5], { trivial: true })

for (const [told, beaten] of [
  [[0.7, 0.6, 0.8], 'yes'],
  [[0.7, 0.4, 0.8], 'not surely'],
  [[0.7, null, null], 'not surely'],
  [[0.5, 0.4, 0.6], 'no'],
  [[0.2, 0.1, 0.3], 'no'],
] as [Figure, string][]) {
  test(`${told} against .5 is beaten: ${beaten}`, () => {
    const [line] = glances([table('a', 'd@1', [never, cell('worse', [0.1, 0.1, 0.1]), cell('own', told)])])
    assert.deepEqual([line?.best?.model, line?.count, line?.baseline, line?.beaten], ['own', 2, { name: 'never', value: 0.5 }, beaten])
  })
}

test('where lower is better the upper end counts', () => {
  const mean = cell('mean', [40, 35, 45], { trivial: true, metric: RMSE })
  const of = (told: Figure) => glances([table('a', 'd@1', [mean, cell('own', told, { metric: RMSE })], RMSE)])[0]?.beaten
  assert.deepEqual([of([17, 14, 20]), of([39, 30, 48]), of([41, 30, 48])], ['yes', 'not surely', 'no'])
})

test('what has no figure at all has no line, and what has no baseline says so', () => {
  const lines = glances([table('a', 'none@1', [cell('own', null)]), table('a', 'alone@1', [cell('own', [0.7, 0.6, 0.8])])])
  assert.deepEqual(
    lines.map((line) => [line.table.data, line.beaten]),
    [['alone@1', '–']],
  )
})

test('the lines of a task stand together', () => {
  const lines = glances([table('b', '1', [never]), table('a', '2', [never]), table('b', '3', [never])])
  assert.deepEqual(
    lines.map((line) => line.table.data),
    ['1', '3', '2'],
  )
})

test('cells without what is ordered by come last', () => {
  const cells = [cell('failed', null), cell('low', [0.1, null, null]), cell('high', [0.9, null, null])]
  assert.deepEqual(
    ordered(cells, 'best', F1).map((one) => one.model),
    ['high', 'low', 'failed'],
  )
})

test('a choice leaves out tables without a cell', () => {
  const tables = [table('a', '1', [never]), table('b', '2', [cell('own', [1, 1, 1])])]
  assert.deepEqual(
    chosen(tables, { task: '', data: '', model: 'own', enhancement: '' }).map((one) => one.task),
    ['b'],
  )
})
