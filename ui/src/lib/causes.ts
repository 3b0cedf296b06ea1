// Hypotheses as a tree: what a deviation is explained by stands above it, along the dependencies of the topology.

import { grouped } from './graph'
import type { Cause, Hop, Proof, Ranking, TopologyEdge } from './types'

export interface Branch {
  cause: Cause
  /** What explains it, "" at the root. */
  by: string
  /** Why it was ruled out, "" when it was not. */
  against: string
  children: Branch[]
}

/** Whether a hypothesis shows anything at all: what is refuted and calm belongs to the list of what was ruled out. */
export function speaks(cause: Cause): boolean {
  return cause.verdict !== 'refuted' || cause.evidence_for.length > 0
}

/** The series that tells most of a hypothesis: of its first indicator if there is one, of the node itself before others. */
export function strongest(cause: Cause): Proof | undefined {
  const first = cause.indicators[0]?.name
  const worth = (proof: Proof) => proof.weight + Number(proof.node === cause.node) + Number(first !== undefined && proof.text.includes(first))
  return [...cause.evidence_for, ...cause.evidence_against].filter((proof) => proof.points.length > 1).toSorted((a, b) => worth(b) - worth(a))[0]
}

/**
 * Hang each hypothesis under the nearest likelier one that it depends on, or that the path of the fault came from.
 * At most `most` of them, likeliest first; what is refuted and calm is left out.
 */
export function tree(ranking: Ranking, edges: TopologyEdge[], path: Hop[], most: number): Branch[] {
  const shown = ranking.causes.filter(speaks).slice(0, most)
  const reasons = new Map(ranking.ruled_out)
  const branches = new Map<string, Branch>(
    shown.map((cause) => [cause.node, { cause, by: '', against: cause.verdict === 'refuted' ? (reasons.get(cause.node) ?? '') : '', children: [] }]),
  )
  const targets = grouped(edges.map(({ source, target }) => [source, target]))
  const came = new Map(path.map(([source, target]) => [target, source]))
  const rank = new Map(shown.map((cause, i) => [cause.node, i]))
  const roots: Branch[] = []
  for (const [node, branch] of branches) {
    const own = rank.get(node) ?? 0
    const above = (id: string) => id !== node && (rank.get(id) ?? Infinity) < own
    const parent = nearest(node, (id) => targets.get(id) ?? [], above) ?? nearest(node, (id) => [came.get(id) ?? ''].filter(Boolean), above)
    if (parent === undefined) roots.push(branch)
    else {
      branch.by = parent
      branches.get(parent)!.children.push(branch)
    }
  }
  return roots
}

/** What comes first on the way from a node; undefined when nothing does. Of those equally near, any that `is` first in order. */
function nearest(from: string, following: (id: string) => string[], is: (id: string) => boolean): string | undefined {
  const seen = new Set([from])
  let edge = [from]
  while (edge.length) {
    const next = edge.flatMap(following).filter((id) => !seen.has(id) && seen.add(id)).sort()
    const found = next.find(is)
    if (found !== undefined) return found
    edge = next
  }
  return undefined
}
