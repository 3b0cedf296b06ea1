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

  /** Ask for the first page. What comes after it stays where the same is asked for and the new page ends within it. */
  ask(params: Params): void {
    const same = JSON.stringify(params) === JSON.stringify(this.#asked)
    this.#asked = params
    if (!same) this.#turn += 1
    const mine = this.#turn
    void this.#newest.run(async (signal) => {
      const page = await get<Page<T>>(this.#path, params, signal)
      if (mine !== this.#turn) return page
      const rest = same && this.#older.length && page.next_cursor ? this.#after(page.items) : null
      this.#older = rest ?? []
      if (!rest) {
        this.cursor = page.next_cursor
        this.olderError = undefined
      }
      return page
    })
  }

  /** Ask for the next page of what was asked for last; once more where the first page came anew meanwhile. */
  async more(): Promise<void> {
    if (this.asking) return
    const mine = this.#turn
    this.asking = true
    try {
      while (this.cursor && mine === this.#turn) {
        const cursor = this.cursor
        const page = await get<Page<T>>(this.#path, { ...this.#asked, cursor })
        if (mine !== this.#turn || cursor !== this.cursor) continue
        this.#older = [...this.#older, ...page.items]
        this.cursor = page.next_cursor
        this.olderError = undefined
        return
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      if (mine === this.#turn) this.olderError = error
    } finally {
      this.asking = false
    }
  }

  /** What stood here after the last of a new first page; null when that one was not here, so that something may lie between. */
  #after(page: T[]): T[] | null {
    const before = this.items
    const last = page.at(-1)
    const at = last === undefined ? -1 : before.findIndex((item) => this.#keyOf(item) === this.#keyOf(last))
    return at < 0 ? null : before.slice(at + 1)
  }
}
