"""How a fault spread: from the cause to those that depend on it, and from what fails to those that it no longer calls.

Enters: a topology, the cause, the nodes that showed something. Leaves: hops (from, to), nearest the cause first. Takes
the shortest ways only; says nothing about time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from watchkeeper.signals.topology import EdgeKind, NodeKind, Topology

HOPS_MAX = 40
_SENDS = frozenset({EdgeKind.CALLS, EdgeKind.PRODUCES_TO})


class Hop(NamedTuple):
    """One step of the spreading. starves: `target` is called or fed by `source`; else it depends on `source`."""

    source: str
    target: str
    starves: bool = False


def propagation(topology: Topology, cause: str, affected: Collection[str]) -> list[Hop]:
    """Give the hops on shortest ways from the cause to each affected node, HOPS_MAX at most; [] when none leads there.

    Failure and slowness spread to dependents; where work stops, what is called next gets none. The second is looked
    for only where the first does not lead, and a queue that showed nothing is passed through.
    """
    wanted = set(affected)
    failed = _ways([cause], topology.dependents)
    hops = _hops(wanted, failed, wanted, starves=False)
    reached = {cause} | {node for hop in hops for node in (hop.source, hop.target)}
    sent = _sent(topology)
    starved = _ways(sorted(reached), lambda node: _fed(topology, sent, node, wanted))
    hops += _hops(wanted - reached, starved, wanted, starves=True)
    return hops[:HOPS_MAX]


class _Ways(NamedTuple):
    """How far each node is, and the nodes before it on shortest ways."""

    depth: dict[str, int]
    before: dict[str, list[str]]


def _ways(begins: Collection[str], following: Callable[[str], Iterable[str]]) -> _Ways:
    depth = dict.fromkeys(begins, 0)
    before: dict[str, list[str]] = {node: [] for node in begins}
    waiting = deque(begins)
    while waiting:
        node = waiting.popleft()
        for following_node in sorted(set(following(node))):
            if following_node not in depth:
                depth[following_node] = depth[node] + 1
                before[following_node] = [node]
                waiting.append(following_node)
            elif depth[following_node] == depth[node] + 1:
                before[following_node].append(node)
    return _Ways(depth, before)


def _hops(targets: Collection[str], ways: _Ways, affected: Collection[str], *, starves: bool) -> list[Hop]:
    """Give the hops that lead to the targets; of several ways, those over nodes that showed something."""
    hops: dict[Hop, None] = {}
    waiting = sorted(set(targets) & set(ways.depth))
    seen = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        begins = [source for source in ways.before[node] if not ways.before[source]]
        shown = [source for source in ways.before[node] if source in affected]
        for source in shown or begins[:1] or ways.before[node][:1]:
            hops[Hop(source, node, starves)] = None
            waiting.append(source)
    return sorted(hops, key=lambda hop: (ways.depth[hop.source], hop))


def _sent(topology: Topology) -> dict[str, list[str]]:
    """Give what each node calls or produces to."""
    sent: dict[str, list[str]] = {}
    for edge in topology.edges:
        if edge.kind in _SENDS:
            sent.setdefault(edge.source, []).append(edge.target)
    return sent


def _fed(topology: Topology, sent: dict[str, list[str]], node: str, affected: Collection[str]) -> list[str]:
    """Give those that get work from a node; the consumers of a queue that showed nothing in its place."""
    fed = []
    for target in sent.get(node, ()):
        known = topology.by_id.get(target)
        if known is not None and known.kind is NodeKind.QUEUE and target not in affected:
            fed += [
                edge.source for edge in topology.edges if edge.target == target and edge.kind is EdgeKind.CONSUMES_FROM
            ]
        else:
            fed.append(target)
    return fed
