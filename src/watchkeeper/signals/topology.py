"""What is there and how it hangs together: nodes and edges, as they were in one span of time.

Plain data shared by the topology builder, the incident grouping, the rankers and the page. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any


class NodeKind(StrEnum):
    """What a node of the topology is."""

    SERVICE = "service"
    WORKLOAD = "workload"
    POD = "pod"
    PROCESS = "process"
    HOST = "host"
    GPU = "gpu"
    JOB = "job"
    DATABASE = "database"
    QUEUE = "queue"
    EXTERNAL = "external"


class EdgeKind(StrEnum):
    """How the source of an edge depends on its target."""

    CALLS = "calls"
    RUNS_ON = "runs_on"
    PART_OF = "part_of"
    PRODUCES_TO = "produces_to"
    CONSUMES_FROM = "consumes_from"


@dataclass(frozen=True)
class Node:
    """One thing; `id` is `kind:name`, e.g. `service:cart`."""

    kind: NodeKind
    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Give the text by which edges, causes and incidents name this node."""
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True)
class Edge:
    """The source depends on the target: a caller on its callee, a pod on its host.

    count: calls seen (0 when known from elsewhere). known_from: `spans`, `attributes` and `cmdb`, those that say so.
    """

    source: str
    target: str
    kind: EdgeKind
    count: int = 0
    known_from: tuple[str, ...] = ("spans",)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """Nodes and edges seen between two moments; `dependencies` and `dependents` are found in constant time."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    from_unix_ns: int = 0
    to_unix_ns: int = 0

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """Give the nodes by their ids."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def _targets(self) -> dict[str, tuple[str, ...]]:
        return _grouped((edge.source, edge.target) for edge in self.edges)

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        return _grouped((edge.target, edge.source) for edge in self.edges)

    def dependencies(self, node_id: str) -> tuple[str, ...]:
        """Give the ids that this node depends on (what it calls, what it runs on); () when unknown."""
        return self._targets.get(node_id, ())

    def dependents(self, node_id: str) -> tuple[str, ...]:
        """Give the ids that depend on this node (its callers, what runs on it); () when unknown."""
        return self._sources.get(node_id, ())

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return {
            "from_unix_ns": self.from_unix_ns,
            "to_unix_ns": self.to_unix_ns,
            "nodes": [
                {"id": node.id, "kind": node.kind.value, "name": node.name, "attributes": dict(node.attributes)}
                for node in self.nodes
            ],
            "edges": [
                {
                    "source": edge.source,
                    "target": edge.target,
                    "kind": edge.kind.value,
                    "count": edge.count,
                    "known_from": list(edge.known_from),
                    "attributes": dict(edge.attributes),
                }
                for edge in self.edges
            ],
        }


def database_name(system: str, address: str, namespace: str, service: str) -> str:
    """Give the name of a database's node from what a client's span says of it.

    Without an address or a name it is a store of the service's own, not one that all services share.

    >>> database_name("redis", "cache:6379", "", "cart"), database_name("sqlite", "", "", "cart")
    ('redis/cache:6379', 'cart/sqlite')
    """
    name = address or namespace
    return f"{system}/{name}" if name else f"{service}/{system}"


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, dict[str, None]] = {}
    for key, value in pairs:
        groups.setdefault(key, {})[value] = None
    return {key: tuple(values) for key, values in groups.items()}
