// Lists that come in pages or live may hold the same thing twice; what is drawn by key must not.

/** The items without those whose key came before; cost: linear. */
export function unique<T>(items: T[], keyOf: (item: T) => string): T[] {
  const seen = new Set<string>()
  return items.filter((item) => {
    const key = keyOf(item)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
