// One request at a time for one part of a view: a newer one ends the older, and what was shown stays until it is replaced.

import { ApiError } from './api'

export class Query<T> {
  data = $state.raw<T | undefined>()
  error = $state.raw<ApiError | undefined>()
  loading = $state(false)
  #running: AbortController | null = null

  /** Ask; answers of older requests are ignored. */
  async run(ask: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#running?.abort()
    const mine = new AbortController()
    this.#running = mine
    this.loading = true
    try {
      const data = await ask(mine.signal)
      if (this.#running !== mine) return
      this.data = data
      this.error = undefined
    } catch (error) {
      if (this.#running !== mine) return
      this.error = error instanceof ApiError ? error : new ApiError(0, 'The page failed', String(error))
    }
    this.loading = false
  }

  /** Forget what is shown and end what runs. */
  reset(): void {
    this.#running?.abort()
    this.#running = null
    this.data = undefined
    this.error = undefined
    this.loading = false
  }
}
