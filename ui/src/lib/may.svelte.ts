// What the token of this tab may do: asked for once, so that nothing is offered that would be refused.

import { get } from './api'
import { Query } from './query.svelte'

class May {
  #query = new Query<{ name: string; role: string; may_operate: boolean }>()

  /** Ask anew; a view that offers acts does so when it is shown. */
  ask(): void {
    void this.#query.run((signal) => get('/session', {}, signal))
  }

  /** Whether anything may be changed; false until it is known. */
  get operate(): boolean {
    return this.#query.data?.may_operate ?? false
  }

  /** The role, where it allows only to look. */
  get looksOnly(): boolean {
    return this.#query.data !== undefined && !this.#query.data.may_operate
  }

  /** Whether acts need a name, for no token gives one. */
  get nameless(): boolean {
    return this.#query.data?.name === ''
  }
}

export const may = new May()

/** The name that somebody gave, kept while the page is open, so that it is typed once. */
export const person = $state({ name: '' })

/** Who does it, as the API takes it: nothing where the token has a name. */
export function by(): { by?: string } {
  return may.nameless && person.name.trim() ? { by: person.name.trim() } : {}
}
