// The parts of the logs' query language that the page itself needs: adding a condition, and marking what was searched.

/** One condition as text: (service, "my cart") -> `service:"my cart"`. */
export function condition(field: string, value: string): string {
  const safe = /^[\w.\-/@+]+$/.test(value)
  return `${field}:${safe ? value : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`}`
}

/** The query with a condition more, unless it is there already. */
export function withCondition(query: string, field: string, value: string): string {
  const more = condition(field, value)
  return query.includes(more) ? query : `${query} ${more}`.trim()
}

/** The words and phrases a line must hold, in lower case. */
export function searched(query: string): string[] {
  const words: string[] = []
  for (const found of query.matchAll(/(-?)([\w.]+(?::|[<>]=?))?(?:"([^"]*)"|(\S+))/g)) {
    const [, minus, field, phrase, word] = found
    const text = (phrase ?? word ?? '').toLowerCase()
    if (!minus && !field && text && !text.startsWith('-')) words.push(text)
  }
  return words
}

export interface Piece {
  text: string
  hit: boolean
}

/** The text cut into pieces, those that were searched for set apart. Cost: linear in text and words. */
export function marked(text: string, words: string[]): Piece[] {
  if (!words.length) return [{ text, hit: false }]
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return text
    .split(new RegExp(`(${escaped.join('|')})`, 'gi'))
    .map((piece, i) => ({ text: piece, hit: i % 2 === 1 }))
    .filter((piece) => piece.text)
}
