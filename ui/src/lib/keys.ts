// Keys: `/` to the search, `g` and a letter to a view, j and k through a list, `?` for help. Never while typing.

import { route } from './route.svelte'

const VIEWS: Record<string, string> = { h: '/', l: '/logs', n: '/incidents', f: '/findings', p: '/map', m: '/metrics-explorer', t: '/traces', i: '/ledger', w: '/learning', b: '/scoreboard', s: '/settings' }
const CHORD_MS = 1200

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

function rows(): HTMLElement[] {
  return [...document.querySelectorAll<HTMLElement>('main [data-row]')].filter((row) => row.offsetParent !== null)
}

/** Move the focus by one row of the list shown. */
function move(by: number): void {
  const all = rows()
  if (!all.length) return
  const at = all.findIndex((row) => row === document.activeElement || row.contains(document.activeElement))
  const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))
  all[next]?.focus({ preventScroll: true })
  all[next]?.scrollIntoView({ block: 'nearest' })
}

/** Make the handler of key presses; `help` opens the list of keys. */
export function keyHandler(help: () => void): (event: KeyboardEvent) => void {
  let chordMs = 0
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (typing(event.target)) {
      if (event.key === 'Escape') (event.target as HTMLElement).blur()
      return
    }
    if (document.querySelector('dialog[open]')) return
    const inChord = performance.now() - chordMs < CHORD_MS
    chordMs = 0
    const view = VIEWS[event.key]
    if (inChord && view) route.go(view)
    else if (event.key === 'g') chordMs = performance.now()
    else if (event.key === 'j') move(1)
    else if (event.key === 'k') move(-1)
    else if (event.key === '?') help()
    else if (event.key === '/') focusSearch()
    else return
    event.preventDefault()
  }
}

function focusSearch(): void {
  const box = document.querySelector<HTMLInputElement>('main [data-search]')
  if (box) {
    box.focus()
    box.select()
  } else {
    route.go('/logs')
    requestAnimationFrame(() => document.querySelector<HTMLInputElement>('main [data-search]')?.focus())
  }
}
