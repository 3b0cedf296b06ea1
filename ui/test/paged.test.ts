import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'

import { Paged } from '../src/lib/paged.svelte'

interface Item {
  id: string
}
type Answer = { items: Item[]; next_cursor: string | null }

const items = (...ids: number[]): Item[] => ids.map((id) => ({ id: String(id) }))
const idsOf = (list: Paged<Item>) => list.items.map((one) => Number(one.id))
const settled = () => new Promise((done) => setTimeout(done, 5))

/** Answers each request by what its address asks for; `null` answers with an error. */
function answering(answer: (params: URLSearchParams) => Answer | null | Promise<Answer>): void {
  globalThis.fetch = async (address) => {
    const told = await answer(new URL(String(address), 'http://here').searchParams)
    return told ? Response.json(told) : Response.json({ title: 'Broken', detail: 'the disk is gone' }, { status: 500 })
  }
}

const real = globalThis.fetch
afterEach(() => {
  globalThis.fetch = real
})

test('older pages follow until all are here', async () => {
  answering((params) => (params.get('cursor') ? { items: items(2, 1), next_cursor: null } : { items: items(4, 3), next_cursor: 'c' }))
  const list = new Paged<Item>('/things', (one) => one.id)
  assert.equal(list.known, false)
  list.ask({ state: 'open' })
  await settled()
  assert.deepEqual([idsOf(list), list.cursor], [[4, 3], 'c'])
  await list.more()
  assert.deepEqual([idsOf(list), list.cursor], [[4, 3, 2, 1], null])
  await list.more()
  assert.deepEqual(idsOf(list), [4, 3, 2, 1])
})

test('older ones stay when the same is asked for anew, and none stands twice', async () => {
  let newest = items(4, 3)
  answering((params) => (params.get('cursor') ? { items: items(2, 1), next_cursor: null } : { items: newest, next_cursor: 'c' }))
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({})
  await settled()
  await list.more()
  newest = items(5, 4)
  list.ask({})
  await settled()
  assert.deepEqual([idsOf(list), list.cursor], [[5, 4, 3, 2, 1], null])
})

test('what no longer belongs to the first page goes, what it pushed out stays', async () => {
  let newest = items(6, 5)
  answering((params) => (params.get('cursor') === 'c' ? { items: items(4, 3), next_cursor: 'd' } : { items: newest, next_cursor: 'c' }))
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({})
  await settled()
  await list.more()
  newest = items(7, 5) // 6 was closed
  list.ask({})
  await settled()
  assert.deepEqual([idsOf(list), list.cursor], [[7, 5, 4, 3], 'd'])
})

test('an older page that was asked for while the first came anew leaves nothing out', async () => {
  let newest = items(4, 3)
  let release = (_: Answer): void => {}
  answering((params) => {
    if (params.get('cursor') === 'after 3') return new Promise<Answer>((done) => (release = done))
    if (params.get('cursor') === 'after 4') return { items: items(3, 2), next_cursor: null }
    return { items: newest, next_cursor: newest[1]?.id === '3' ? 'after 3' : 'after 4' }
  })
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({})
  await settled()
  const late = list.more()
  await settled()
  newest = items(5, 4)
  list.ask({})
  await settled()
  release({ items: items(2, 1), next_cursor: null })
  await late
  assert.deepEqual([idsOf(list), list.cursor, list.asking], [[5, 4, 3, 2], null, false])
})

test('where the new page does not reach the old ones, they are read again', async () => {
  let newest = items(4, 3)
  answering((params) => (params.get('cursor') ? { items: items(2, 1), next_cursor: null } : { items: newest, next_cursor: 'c' }))
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({})
  await settled()
  await list.more()
  newest = items(9, 8)
  list.ask({})
  await settled()
  assert.deepEqual([idsOf(list), list.cursor], [[9, 8], 'c'])
})

test('an older page of another choice that comes late is ignored', async () => {
  let release = (_: Answer): void => {}
  answering((params) => {
    if (params.get('cursor')) return new Promise<Answer>((done) => (release = done))
    return { items: params.get('state') === 'open' ? items(4) : items(7), next_cursor: 'c' }
  })
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({ state: 'open' })
  await settled()
  const late = list.more()
  await settled()
  list.ask({ state: 'closed' })
  await settled()
  release({ items: items(3), next_cursor: null })
  await late
  assert.deepEqual([idsOf(list), list.cursor, list.asking], [[7], 'c', false])
})

test('an older page that cannot be read is told, and asked for again', async () => {
  let broken = true
  answering((params) => (params.get('cursor') ? (broken ? null : { items: items(1), next_cursor: null }) : { items: items(2), next_cursor: 'c' }))
  const list = new Paged<Item>('/things', (one) => one.id)
  list.ask({})
  await settled()
  await list.more()
  assert.deepEqual([list.olderError?.detail, idsOf(list), list.cursor], ['the disk is gone', [2], 'c'])
  broken = false
  await list.more()
  assert.deepEqual([list.olderError, idsOf(list)], [undefined, [2, 1]])
})
