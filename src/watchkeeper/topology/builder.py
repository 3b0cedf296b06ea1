"""Builds the topology from telemetry as it passes: one graph for each hour of event time.

Enters: batches of any signal. Leaves: nodes and edges of an hour, with counts, and which of them changed since they
were last asked for. Services, pods and hosts come from resource attributes, calls from spans. Bounded: what is beyond
the bounds is counted and left out. Keeps the newest hours only; topologies.py writes them down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import EdgeKind, Node, NodeKind
from watchkeeper.topology.calls import Call, Calls
from watchkeeper.topology.resources import Told, told_by

HOUR_NS = 3_600 * 10**9
HOURS_KEPT = 3
NODES_MAX = 10_000
EDGES_MAX = 50_000
RESOURCES_REMEMBERED_MAX = 5_000

EdgeKey = tuple[str, str, EdgeKind]


@dataclass
class EdgeCount:
    """What was seen of an edge in an hour. count, failed: calls. Times of the first and the newest."""

    count: int = 0
    failed: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0
    known_from: set[str] = field(default_factory=set)


@dataclass
class HourGraph:
    """The graph of one hour, and what of it changed since it was written down."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[EdgeKey, EdgeCount] = field(default_factory=dict)
    changed_nodes: set[str] = field(default_factory=set)
    changed_edges: set[EdgeKey] = field(default_factory=set)


class Changed(NamedTuple):
    """One hour's nodes and edges that are new or counted anew."""

    hour: int
    nodes: tuple[Node, ...]
    edges: tuple[tuple[EdgeKey, EdgeCount], ...]


class TopologyBuilder:
    """See the module. written: gives what is written down of an hour, so that it is gone on with.

    `shape` grows whenever nodes or edges come. Not safe for threads; topologies.py locks.
    """

    def __init__(self, written: Callable[[int], HourGraph] = lambda hour: HourGraph()) -> None:
        self._written = written
        self.hours: OrderedDict[int, HourGraph] = OrderedDict()
        self.left_out = 0
        self.shape = 0
        self._calls = Calls()
        self._told: OrderedDict[str, Told] = OrderedDict()

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take one batch in. Cost: a lookup for each distinct resource, and for spans that of calls.py."""
        if not batch.num_rows:
            return
        times = np.asarray(batch.column("time_unix_ns").fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        hours = times // HOUR_NS
        column = batch.column("resource_attributes")
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        texts = column.dictionary.to_pylist()
        codes = np.asarray(column.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
        for code, hour in np.unique(np.stack([codes, hours], axis=1), axis=0).tolist():
            if code >= 0 and texts[code]:
                self._resource(self._read(texts[code]), hour)
        if signal is Signal.SPANS:
            for call in self._calls.take(batch):
                self._call(call)
        self._trim()

    def settle(self, now_unix_ns: int) -> None:
        """Give up waiting for the other ends of calls before a moment of event time."""
        for call in self._calls.expire(now_unix_ns):
            self._call(call)

    def changed(self) -> list[Changed]:
        """Give what changed since this was last asked."""
        found = []
        for hour, graph in self.hours.items():
            if graph.changed_nodes or graph.changed_edges:
                nodes = tuple(graph.nodes[one] for one in sorted(graph.changed_nodes))
                edges = tuple((key, graph.edges[key]) for key in sorted(graph.changed_edges))
                found.append(Changed(hour, nodes, edges))
                graph.changed_nodes, graph.changed_edges = set(), set()
        return found

    def _resource(self, told: Told, hour: int) -> None:
        graph = self._graph(hour)
        for node in told.nodes:
            self._node(graph, node)
        for edge in told.edges:
            known = self._edge(graph, (edge.source, edge.target, edge.kind))
            if known is not None and "attributes" not in known.known_from:
                known.known_from.add("attributes")
                graph.changed_edges.add((edge.source, edge.target, edge.kind))

    def _call(self, call: Call) -> None:
        if not call.service or not call.target:
            return
        graph = self._graph(call.time_unix_ns // HOUR_NS)
        source, target = Node(NodeKind.SERVICE, call.service), Node(call.target_kind, call.target)
        self._node(graph, source)
        self._node(graph, target)
        key = (source.id, target.id, call.kind)
        known = self._edge(graph, key)
        if known is None:
            return
        known.count += 1
        known.failed += call.failed
        known.first_unix_ns = min(known.first_unix_ns or call.time_unix_ns, call.time_unix_ns)
        known.last_unix_ns = max(known.last_unix_ns, call.time_unix_ns)
        known.known_from.add("spans")
        graph.changed_edges.add(key)

    def _node(self, graph: HourGraph, node: Node) -> None:
        known = graph.nodes.get(node.id)
        if known is None and len(graph.nodes) >= NODES_MAX:
            self.left_out += 1
        elif known is None or (node.attributes and node.attributes != known.attributes):
            graph.nodes[node.id] = node
            graph.changed_nodes.add(node.id)
            self.shape += 1

    def _edge(self, graph: HourGraph, key: EdgeKey) -> EdgeCount | None:
        known = graph.edges.get(key)
        if known is None and (len(graph.edges) >= EDGES_MAX or key[0] not in graph.nodes or key[1] not in graph.nodes):
            self.left_out += 1
            return None
        if known is None:
            known = graph.edges[key] = EdgeCount()
            graph.changed_edges.add(key)
            self.shape += 1
        return known

    def _graph(self, hour: int) -> HourGraph:
        graph = self.hours.get(hour)
        if graph is None:
            graph = self.hours[hour] = self._written(hour)
            self.shape += 1
        return graph

    def _read(self, text: str) -> Told:
        known = self._told.get(text)
        if known is None:
            read: Any = orjson.loads(text)
            known = self._told[text] = told_by(read if isinstance(read, dict) else {})
            if len(self._told) > RESOURCES_REMEMBERED_MAX:
                self._told.popitem(last=False)
        return known

    def _trim(self) -> None:
        """Let go of the oldest hours that were written down."""
        for hour in sorted(self.hours)[:-HOURS_KEPT]:
            graph = self.hours[hour]
            if not graph.changed_nodes and not graph.changed_edges:
                del self.hours[hour]
