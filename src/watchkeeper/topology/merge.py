"""Puts what a CMDB says beside what was seen, and tells where they disagree.

Enters: an observed Topology and a Cmdb. Leaves: one Topology in which each edge says where it is known from, and
sentences about names that are misspelt, unknown or as near to two, owners that nobody knows, entries that are stale and
dependencies that are seen but not listed. What was seen is never changed or dropped; what is only listed has count 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology
from watchkeeper.topology.cmdb import FLOOR, Cmdb, CmdbEntry, Names

STALE_NS = 365 * 86_400 * 10**9
PROBLEMS_MAX = 500
CMDB = "cmdb"


class Merged(NamedTuple):
    """The graph and what is to be told of the CMDB."""

    topology: Topology
    problems: tuple[str, ...]


def merged(observed: Topology, cmdb: Cmdb, *, now_unix_ns: int) -> Merged:
    """Merge; now_unix_ns is what an entry's age is counted to."""
    if not cmdb.entries:
        return Merged(observed, cmdb.problems)
    names = _Resolver(observed, cmdb)
    nodes = dict(observed.by_id)
    edges = {(edge.source, edge.target): edge for edge in observed.edges if edge.kind is not EdgeKind.PART_OF}
    kept = [edge for edge in observed.edges if edge.kind is EdgeKind.PART_OF]
    for entry in cmdb.entries:
        node_id = names.of(entry.service_name)
        stale = 0 < entry.last_updated_unix_ns < now_unix_ns - STALE_NS
        _describe(nodes, node_id, entry, stale=stale, problems=names.problems)
        listed = {names.of(one, by=entry.service_name) for one in entry.dependencies} - {node_id}
        _relate(edges, nodes, node_id, listed, stale=stale)
        if node_id in observed.by_id:
            names.problems += _not_listed(observed, node_id, listed)
    ordered = tuple(nodes[one] for one in sorted(nodes))
    every = (*sorted(edges.values(), key=lambda edge: (edge.source, edge.target)), *kept)
    told = [*cmdb.problems, *names.problems]
    more = [f"and {len(told) - PROBLEMS_MAX:,} more"] if len(told) > PROBLEMS_MAX else []
    topology = Topology(ordered, every, observed.from_unix_ns, observed.to_unix_ns)
    return Merged(topology, (*told[:PROBLEMS_MAX], *more))


class _Resolver:
    """Finds the node that a name of the CMDB means: one that was seen, else the CMDB's own."""

    def __init__(self, observed: Topology, cmdb: Cmdb) -> None:
        self.problems: list[str] = []
        callable_kinds = (NodeKind.SERVICE, NodeKind.DATABASE, NodeKind.QUEUE, NodeKind.EXTERNAL)
        self._seen: dict[str, str] = {}
        for node in observed.nodes:
            if node.kind in callable_kinds:
                self._seen.setdefault(node.name, node.id)
        self._names = Names(list(self._seen))
        self._own = Names([entry.service_name for entry in cmdb.entries])
        self._found: dict[str, str] = {}

    def of(self, name: str, *, by: str = "") -> str:
        """Give the id of a node; a misspelt, ambiguous or unknown name is told once."""
        if name not in self._found:
            self._found[name] = self._resolve(name, by)
        return self._found[name]

    def _resolve(self, name: str, by: str) -> str:
        where = f" (listed by {by})" if by else ""
        seen = self._names.match(name)
        if seen is not None:
            if seen.name != name:
                self.problems.append(f"misspelt: {name!r}{where} is taken for {seen.name!r}, {seen.likeness:.2f} alike")
            return self._seen[seen.name]
        near = [one for one in self._names.nearest(name, 2) if one.likeness >= FLOOR]
        if near:
            choice = " or ".join(repr(one.name) for one in near)
            self.problems.append(f"ambiguous: {name!r}{where} may be {choice}; nothing is concluded")
        own = self._own.match(name) if by else None
        if own is not None and own.name != name:
            self.problems.append(f"misspelt: {name!r}{where} is taken for the entry {own.name!r}")
        if not near and own is None:
            self.problems.append(f"unknown: {name!r}{where} was not seen in this time")
        return f"{NodeKind.SERVICE.value}:{own.name if own is not None else name}"


def _describe(nodes: dict[str, Node], node_id: str, entry: CmdbEntry, *, stale: bool, problems: list[str]) -> None:
    told: dict[str, Any] = {
        "cmdb.name": entry.service_name,
        "domain": entry.domain,
        "owner": entry.owner if entry.owner_known else "",
        "language": entry.language,
        "config_path": entry.config_path,
        "system": entry.system,
        "deployment_env": entry.deployment_env,
        "cmdb.stale": stale,
    }
    told = {name: value for name, value in told.items() if value not in ("", False)}
    if not entry.owner_known:
        problems.append(f"owner unknown: {entry.service_name!r}")
    if stale:
        problems.append(f"stale: {entry.service_name!r} was last updated over a year ago")
    known = nodes.get(node_id)
    if known is None:
        kind, _, name = node_id.partition(":")
        nodes[node_id] = Node(NodeKind(kind), name, {**told, "seen": False})
    else:
        nodes[node_id] = replace(known, attributes={**known.attributes, **told})


def _relate(
    edges: dict[tuple[str, str], Edge], nodes: dict[str, Node], source: str, targets: Iterable[str], *, stale: bool
) -> None:
    for target in sorted(targets):
        if target not in nodes:
            kind, _, name = target.partition(":")
            nodes[target] = Node(NodeKind(kind), name, {"seen": False})
        known = edges.get((source, target))
        if known is None:
            told = {"cmdb.stale": True} if stale else {}
            edges[source, target] = Edge(source, target, EdgeKind.CALLS, 0, (CMDB,), told)
        elif CMDB not in known.known_from:
            edges[source, target] = replace(known, known_from=(*known.known_from, CMDB))


def _not_listed(observed: Topology, node_id: str, listed: set[str]) -> list[str]:
    seen = {edge.target for edge in observed.edges if edge.source == node_id and edge.kind is EdgeKind.CALLS}
    return [f"not listed: {node_id} calls {target}, which its entry leaves out" for target in sorted(seen - listed)]
