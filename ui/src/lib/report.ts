// A report's Markdown as plain data: headings, paragraphs and lists of words, code and citations. Only what the writer of
// reports uses is known; everything else stays text. No HTML comes out of this, so none can come from telemetry.

export type Piece = { kind: 'text' | 'code' | 'cite' | 'strong'; text: string }
export type Block = { kind: 'heading'; level: number; pieces: Piece[] } | { kind: 'paragraph'; pieces: Piece[] } | { kind: 'list'; items: Piece[][] }

/** Read a report. */
export function readReport(markdown: string): Block[] {
  const blocks: Block[] = []
  let open = false
  for (const line of markdown.split('\n')) {
    const heading = /^(#{1,4}) +(.*)$/.exec(line)
    const item = /^[-*] +(.*)$/.exec(line)
    const last = blocks.at(-1)
    if (!line.trim()) open = false
    else if (heading) {
      blocks.push({ kind: 'heading', level: heading[1]!.length, pieces: pieces(heading[2]!) })
      open = false
    } else if (item) {
      if (last?.kind === 'list' && open) last.items.push(pieces(item[1]!))
      else blocks.push({ kind: 'list', items: [pieces(item[1]!)] })
      open = true
    } else if (open && last?.kind === 'paragraph') {
      last.pieces.push({ kind: 'text', text: ' ' }, ...pieces(line))
    } else {
      blocks.push({ kind: 'paragraph', pieces: pieces(line) })
      open = true
    }
  }
  return blocks
}

/** Read one line: code spans with any number of backticks, `**strong**`, `\[id\]` as a citation, escaped marks. */
export function pieces(line: string): Piece[] {
  const found: Piece[] = []
  const text = (more: string) => {
    const last = found.at(-1)
    if (last?.kind === 'text') last.text += more
    else found.push({ kind: 'text', text: more })
  }
  let rest = line
  while (rest) {
    const fence = /^`+/.exec(rest)?.[0]
    const cite = /^\\\[([A-Za-z0-9.:-]+)\\\]/.exec(rest)
    const strong = /^\*\*([^*`\\]+)\*\*/.exec(rest)
    const end = fence ? closing(rest, fence) : -1
    if (fence && end > 0) {
      const inside = rest.slice(fence.length, end)
      found.push({ kind: 'code', text: /^ .*[^ ].* $/.test(inside) ? inside.slice(1, -1) : inside })
      rest = rest.slice(end + fence.length)
    } else if (cite) {
      found.push({ kind: 'cite', text: cite[1]! })
      rest = rest.slice(cite[0].length)
    } else if (strong) {
      found.push({ kind: 'strong', text: strong[1]! })
      rest = rest.slice(strong[0].length)
    } else if (/^\\[!-/:-@[-`{-~]/.test(rest)) {
      text(rest.slice(1, 2))
      rest = rest.slice(2)
    } else {
      const plain = /^[^`\\*]+/.exec(rest)?.[0] ?? fence ?? rest.slice(0, 1)
      text(plain)
      rest = rest.slice(plain.length)
    }
  }
  return found
}

// A code span ends at a run of exactly as many backticks as began it.
function closing(text: string, fence: string): number {
  for (const run of text.slice(fence.length).matchAll(/`+/g)) if (run[0].length === fence.length) return run.index + fence.length
  return -1
}
