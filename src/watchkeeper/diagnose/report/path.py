"""How a fault spread: from the cause along those that depend on it to whatever showed something.

Enters: a topology, the cause, the nodes that showed something. Leaves: hops (from, to), nearest the cause first. Takes
the shortest ways only; says nothing about time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import NamedTuple

from watchkeeper.signals.topology import Topology

HOPS_MAX = 40


class Hop(NamedTuple):
    """One step of the spreading: `target` depends on `source`."""

    source: str
    target: str


def propagation(topology: Topology, cause: str, affected: Collection[str]) -> list[Hop]:
    """Give the hops on shortest ways from the cause to each affected node, HOPS_MAX at most; [] when none leads there.

    An affected node that the cause itself depends on is not reached: faults spread to dependents.
    """
    depth = {cause: 0}
    before: dict[str, list[str]] = {cause: []}
    waiting = deque([cause])
    while waiting:
        node = waiting.popleft()
        for dependent in sorted(topology.dependents(node)):
            if dependent not in depth:
                depth[dependent] = depth[node] + 1
                before[dependent] = [node]
                waiting.append(dependent)
            elif depth[dependent] == depth[node] + 1 and node not in before[dependent]:
                before[dependent].append(node)
    hops: dict[Hop, None] = {}
    for target in sorted(set(affected) & set(depth), key=lambda node: (depth[node], node)):
        _walk_back(target, before, set(affected), hops)
    ordered = sorted(hops, key=lambda hop: (depth[hop.source], hop))
    return ordered[:HOPS_MAX]


def _walk_back(target: str, before: dict[str, list[str]], affected: set[str], hops: dict[Hop, None]) -> None:
    """Add the hops that lead to `target`; of several ways, those over nodes that showed something."""
    waiting = [target]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        ways = [source for source in before[node] if source in affected] or before[node][:1]
        for source in ways:
            hops[Hop(source, node)] = None
            waiting.append(source)
