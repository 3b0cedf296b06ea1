// Nodes of the topology and what is open at them.

import { entityParts } from './format'
import type { Finding, TopologyEdge, TopologyNode } from './types'

const ORDER = { critical: 0, warning: 1, info: 2 }
const INFRASTRUCTURE = new Set(['workload', 'pod', 'process', 'host', 'gpu', 'job'])

/** Whether a node is something that services run on. */
export function isInfrastructure(node: TopologyNode): boolean {
  return INFRASTRUCTURE.has(node.kind)
}

/** The nodes that a finding may be about, as ids. */
export function nodesOf(finding: Finding): string[] {
  const parts = entityParts(finding.entity).filter(({ part }) => part !== 'service')
  return [...new Set([finding.service ? `service:${finding.service}` : '', ...parts.map(({ part, value }) => `${part}:${value}`)])].filter(Boolean)
}

/** How many findings are open at each node, and the worst severity among them. */
export function statesOf(findings: Finding[]): Map<string, { severity: Finding['severity']; findings: number }> {
  const states = new Map<string, { severity: Finding['severity']; findings: number }>()
  for (const finding of findings) {
    for (const node of nodesOf(finding)) {
      const known = states.get(node)
      const severity = known && ORDER[known.severity] <= ORDER[finding.severity] ? known.severity : finding.severity
      states.set(node, { severity, findings: (known?.findings ?? 0) + 1 })
    }
  }
  return states
}

/** What is drawn by itself: all but infrastructure at which nothing is wrong. */
export function mapped(nodes: TopologyNode[], edges: TopologyEdge[], wanted: { all: boolean; keep: Set<string> }): TopologyNode[] {
  if (wanted.all) return nodes
  const linked = new Set(edges.flatMap(({ source, target }) => [source, target]))
  return nodes.filter((node) => !isInfrastructure(node) || (wanted.keep.has(node.id) && linked.has(node.id)))
}
