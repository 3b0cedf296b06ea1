"""Whether two findings are close in the topology: the same thing, dependent on each other, or on one host.

Enters: topology ids and the Topology of the hour. Leaves: yes or no. Where nothing is known of the topology, only the
same entity or service is close. Cost: one bounded walk per node, kept for the life of the object.
"""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.signals.topology import EdgeKind, NodeKind, Topology

HOST_SERVICES_MAX = 20
"""A host that carries more services than this says nothing about which of them belong together."""

PAIRS_KEPT = 100_000
PARTS = (EdgeKind.RUNS_ON, EdgeKind.PART_OF)


class Proximity:
    """Answers for one Topology; `hops` is how many dependencies may lie between two nodes."""

    def __init__(self, topology: Topology, hops: int) -> None:
        self._hops = hops
        self._near: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}
        self._reach: dict[str, frozenset[str]] = {}
        self._hosts: dict[str, frozenset[str]] = {}
        self._down: dict[str, list[str]] = {}
        self._body: dict[str, list[str]] = {}
        self._services: dict[str, set[str]] = {}
        for edge in topology.edges:
            if edge.kind in PARTS:
                self._body.setdefault(edge.source, []).append(edge.target)
                self._body.setdefault(edge.target, []).append(edge.source)
            else:
                self._down.setdefault(edge.source, []).append(edge.target)
        for node in topology.nodes:
            if node.kind is NodeKind.SERVICE:
                for host in self.hosts(node.id):
                    self._services.setdefault(host, set()).add(node.id)

    def near(self, some: Iterable[str], others: Iterable[str]) -> bool:
        """Tell whether any node of one side is close to any of the other."""
        pair = (tuple(some), tuple(others))
        known = self._near.get(pair)
        if known is None:
            if len(self._near) >= PAIRS_KEPT:
                self._near.clear()
            known = self._near[pair] = self._find_near(*pair)
        return known

    def _find_near(self, some: tuple[str, ...], others: tuple[str, ...]) -> bool:
        if _own(some) & _own(others):
            return True
        if any(b in self.reach(a) or a in self.reach(b) for a in some for b in others):
            return True
        shared = self._all_hosts(some) & self._all_hosts(others)
        return any(len(self._services.get(host, ())) <= HOST_SERVICES_MAX for host in shared)

    def reach(self, node: str) -> frozenset[str]:
        """Give what a node depends on within `hops`, itself included."""
        known = self._reach.get(node)
        if known is None:
            seen, edge = {node}, [node]
            for _ in range(self._hops):
                edge = [target for source in edge for target in self._down.get(source, ()) if target not in seen]
                seen.update(edge)
            known = self._reach[node] = frozenset(seen)
        return known

    def hosts(self, node: str) -> frozenset[str]:
        """Give the hosts that a node runs on, through pods, workloads and processes; a host is its own."""
        known = self._hosts.get(node)
        if known is None:
            known = self._hosts[node] = frozenset(self._find_hosts(node))
        return known

    def _find_hosts(self, node: str) -> set[str]:
        if node.startswith(f"{NodeKind.HOST.value}:"):
            return {node}
        found: set[str] = set()
        seen, waiting = {node}, [node]
        while waiting:
            for target in self._body.get(waiting.pop(), ()):
                if target in seen:
                    continue
                seen.add(target)
                if target.startswith(f"{NodeKind.HOST.value}:"):
                    found.add(target)
                elif not target.startswith(f"{NodeKind.SERVICE.value}:"):
                    waiting.append(target)
        return found

    def _all_hosts(self, nodes: Iterable[str]) -> set[str]:
        return {host for node in nodes for host in self.hosts(node)}


def _own(nodes: Iterable[str]) -> set[str]:
    """Leave hosts out: that two things share one is asked apart."""
    return {node for node in nodes if not node.startswith(f"{NodeKind.HOST.value}:")}
