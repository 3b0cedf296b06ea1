// Dark or light: the system's unless chosen here. Charts are drawn on canvas, so they ask for colours and `version`.

export type Choice = 'system' | 'dark' | 'light'

function stored(): Choice {
  const chosen = document.documentElement.dataset.theme
  return chosen === 'dark' || chosen === 'light' ? chosen : 'system'
}

class Theme {
  choice = $state<Choice>(stored())
  /** Grows whenever colours change. */
  version = $state(0)

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (this.version += 1))
  }

  choose(choice: Choice): void {
    this.choice = choice
    if (choice === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = choice
    try {
      if (choice === 'system') localStorage.removeItem('theme')
      else localStorage.setItem('theme', choice)
    } catch {
      // Without storage the choice lasts until the page is loaded anew.
    }
    this.version += 1
  }

  /** system -> dark -> light -> system. */
  next(): void {
    this.choose(this.choice === 'system' ? 'dark' : this.choice === 'dark' ? 'light' : 'system')
  }
}

export const theme = new Theme()

/** The value of a colour variable as canvas understands it. */
export function colour(name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(--${name})`
  document.body.append(probe)
  const value = getComputedStyle(probe).color
  probe.remove()
  return value
}

/** The same colour with another opacity, 0..1. */
export function faded(rgb: string, opacity: number): string {
  const parts = /^rgba?\(([^)]+)\)$/.exec(rgb)?.[1]?.split(/[,\s/]+/).slice(0, 3)
  return parts ? `rgba(${parts.join(',')},${opacity})` : rgb
}

const SERIES = 8

/** The name of the colour variable of the n-th series. */
export function seriesColour(index: number): string {
  return `series-${(index % SERIES) + 1}`
}

const given = new Map<string, number>()

/** A colour variable for a name: the same wherever it appears, and no other name's while there are colours left. */
export function nameColour(name: string): string {
  let slot = given.get(name)
  if (slot === undefined) {
    let hash = 2166136261
    for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619)
    slot = (hash >>> 0) % SERIES
    const taken = new Set(given.values())
    while (taken.size < SERIES && taken.has(slot)) slot = (slot + 1) % SERIES
    given.set(name, slot)
  }
  return seriesColour(slot)
}
