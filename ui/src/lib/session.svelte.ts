// The token of this tab, asked for only when the API answers 401. It lives as long as the tab does.

const KEY = 'watchkeeper-token'

function stored(): string {
  try {
    return sessionStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}

class Session {
  token = $state(stored())
  needed = $state(false)
  /** A token was given and was not taken. */
  wrong = $state(false)
  /** Counts the tokens given, so that what failed is asked for again. */
  given = $state(0)

  /** The API did not take `token`. A late answer to an older token says nothing about the present one. */
  refused(token: string): void {
    if (token !== this.token) return
    this.wrong = this.token !== ''
    this.needed = true
  }

  give(token: string): void {
    this.token = token.trim()
    this.needed = false
    this.wrong = false
    this.given += 1
    try {
      if (this.token) sessionStorage.setItem(KEY, this.token)
      else sessionStorage.removeItem(KEY)
    } catch {
      // Without storage the token lasts until the page is loaded anew.
    }
  }
}

export const session = new Session()
