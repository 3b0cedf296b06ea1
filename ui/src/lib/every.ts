// Asking again from time to time, but not for a tab that nobody looks at.

/** Run now and then every `period_ms` while the tab is visible; gives the function that stops it. */
export function every(period_ms: number, run: () => void): () => void {
  run()
  const timer = setInterval(() => {
    if (!document.hidden) run()
  }, period_ms)
  return () => clearInterval(timer)
}
