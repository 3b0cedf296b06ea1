// A list that the API gives in pages, newest first: the first page is asked for anew whenever something changes, older ones
// on demand. What was asked for before and comes late is ignored.

import { ApiError, get, type Params } from './api'
import { Query } from './query.svelte'
import { unique } from './unique'

interface Page<T> {
  items: T[]
  next_cursor: string | null
}

export class Paged<T> {
  #path: string
  #keyOf: (item: T) => string
  #newest = new Query<Page<T>>()
  #older = $state.raw<T[]>([])
  #asked: Params = {}
  #turn = 0
  /** Where the next page begins, null when all are here. */
  cursor = $state<string | null>(null)
  olderError = $state.raw<ApiError | undefined>()
  asking = $state(false)

  constructor(path: string, keyOf: (item: T) => string) {
    this.#path = path
    this.#keyOf = keyOf
  }

  /** All that is here, none twice, in the order of the API. */
  get items(): T[] {
    return unique([...(this.#newest.data?.items ?? []), ...this.#older], this.#keyOf)
  }

  get error(): ApiError | undefined {
    return this.#newest.error
  }

  get loading(): boolean {
    return this.#newest.loading
  }

  /** Whether the first answer has come. */
  get known(): boolean {
    return this.#newest.data !== undefined
  }

  /** Ask for the first page. Older ones stay where the same is asked for and the new page reaches what was here. */
  ask(params: Params): void {
    const same = JSON.stringify(params) === JSON.stringify(this.#asked)
    this.#asked = params
    if (!same) this.#turn += 1
    const mine = this.#turn
    void this.#newest.run(async (signal) => {
      const page = await get<Page<T>>(this.#path, params, signal)
      if (mine === this.#turn && !(same && this.#older.length && this.#reaches(page.items))) {
        this.#older = []
        this.cursor = page.next_cursor
        this.olderError = undefined
      }
      return page
    })
  }

  /** Ask for the next page of what was asked for last. */
  async more(): Promise<void> {
    if (!this.cursor || this.asking) return
    const mine = this.#turn
    this.asking = true
    try {
      const page = await get<Page<T>>(this.#path, { ...this.#asked, cursor: this.cursor })
      if (mine !== this.#turn) return
      this.#older = [...this.#older, ...page.items]
      this.cursor = page.next_cursor
      this.olderError = undefined
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (mine === this.#turn) this.olderError = error
    } finally {
      this.asking = false
    }
  }

  /** Whether something of a new first page was here before, so that nothing is left out between it and the older ones. */
  #reaches(items: T[]): boolean {
    const before = new Set(this.items.map(this.#keyOf))
    return items.some((item) => before.has(this.#keyOf(item)))
  }
}
