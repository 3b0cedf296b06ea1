// The address is the state: a path and query parameters. Going somewhere changes the address, and the views follow it.

class Route {
  path = $state(location.pathname)
  params = $state.raw(new URLSearchParams(location.search))

  constructor() {
    addEventListener('popstate', () => this.#read())
  }

  #read(): void {
    this.path = location.pathname
    this.params = new URLSearchParams(location.search)
  }

  /** One parameter, "" when absent. */
  get(name: string): string {
    return this.params.get(name) ?? ''
  }

  /** Go to an address; `replace` leaves no step in the history. */
  go(address: string, options: { replace?: boolean } = {}): void {
    if (address === location.pathname + location.search) return
    const moved = new URL(address, location.href).pathname !== location.pathname
    if (options.replace) history.replaceState(null, '', address)
    else history.pushState(null, '', address)
    this.#read()
    if (moved) scrollTo(0, 0)
  }

  /** Change parameters of this view; null or "" takes one away. */
  set(changes: Record<string, string | null>, options: { replace?: boolean } = {}): void {
    this.go(address(this.path, { ...Object.fromEntries(this.params), ...changes }), options)
  }
}

export const route = new Route()

/** Build an address; empty parameters are left out. */
export function address(path: string, params: Record<string, string | null | undefined> = {}): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value) query.set(name, value)
  // What needs no escaping in a query stays readable: people paste these addresses to each other.
  const text = query.toString().replace(/%3A/g, ':').replace(/%2C/g, ',').replace(/%2F/g, '/')
  return text ? `${path}?${text}` : path
}

/** Let plain clicks on our own links change the address without loading the page anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  const link = event.target instanceof Element ? event.target.closest('a') : null
  if (!link || link.origin !== location.origin || link.target || link.hasAttribute('download') || link.dataset.plain !== undefined) return
  event.preventDefault()
  route.go(link.pathname + link.search)
}
