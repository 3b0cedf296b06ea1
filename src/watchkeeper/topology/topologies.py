"""The topology over time: the graph of each hour, so that an incident sees the one of its own.

Enters: telemetry as it passes (`observe`), and the CMDB's entries. Leaves: the Topology between two moments. What
changed in an hour is written to SQLite at each `flush`, and taken up again after a restart; old hours are deleted. The
parts of several hours are put together, counts added. Safe to use from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow as pa

from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology
from watchkeeper.store.metadata import Metadata
from watchkeeper.topology.builder import HOUR_NS, EdgeCount, EdgeKey, HourGraph, TopologyBuilder
from watchkeeper.topology.cmdb import Cmdb
from watchkeeper.topology.merge import Merged, merged

UNWRITTEN_HOURS_MAX = 24
HOURS_ASKED_MAX = 24 * 31
REMEMBERED_MAX = 16

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS topology_nodes (
        hour INTEGER NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (hour, id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS topology_edges (
        hour INTEGER NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, count INTEGER NOT NULL,
        failed INTEGER NOT NULL, first_unix_ns INTEGER NOT NULL, last_unix_ns INTEGER NOT NULL,
        known_from TEXT NOT NULL, PRIMARY KEY (hour, source, target, kind)) WITHOUT ROWID""",
)


class Topologies:
    """See the module. cmdb: what a configuration database says, merged into every answer; None for none."""

    def __init__(self, metadata: Metadata, *, cmdb: Cmdb | None = None) -> None:
        self._metadata = metadata
        self._cmdb = cmdb or Cmdb()
        self._builder = TopologyBuilder(self._hour)
        self._lock = threading.RLock()
        self._written = 0
        self._remembered: dict[tuple[int, ...], Merged] = {}
        metadata.ensure("topology", 1, _SCHEMA)

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take one batch in; writes only when very many hours wait to be written."""
        with self._lock:
            self._builder.observe(signal, batch)
            if len(self._builder.hours) > UNWRITTEN_HOURS_MAX:
                self.flush()

    def at(self, from_unix_ns: int, to_unix_ns: int) -> Topology:
        """Give what was there in the hours that overlap [from, to), of a month at the most, merged with the CMDB.

        Cost: constant while no node or edge is new; else that of the hours' rows. Counts may be a minute old.
        """
        found = self._answer(from_unix_ns, to_unix_ns).topology
        return Topology(found.nodes, found.edges, from_unix_ns, to_unix_ns)

    def problems(self, from_unix_ns: int, to_unix_ns: int) -> tuple[str, ...]:
        """Tell where the CMDB and what was seen disagree, or why an entry was not trusted."""
        return self._answer(from_unix_ns, to_unix_ns).problems

    def flush(self) -> None:
        """Write what changed; raises StoreError."""
        with self._lock:
            changed = self._builder.changed()
            if not changed:
                return
            with self._metadata.transaction() as connection:
                for hour in changed:
                    connection.executemany(
                        "INSERT OR REPLACE INTO topology_nodes VALUES (?, ?, ?)",
                        [(hour.hour, node.id, _document(node)) for node in hour.nodes],
                    )
                    connection.executemany(
                        "INSERT OR REPLACE INTO topology_edges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        [_edge_row(hour.hour, key, count) for key, count in hour.edges],
                    )
            self._written += 1

    def delete_before(self, time_unix_ns: int) -> int:
        """Delete the hours that ended before a time; gives how many rows went."""
        hour = time_unix_ns // HOUR_NS
        with self._lock:
            gone = self._metadata.write("DELETE FROM topology_nodes WHERE hour < ?", [hour])
            gone += self._metadata.write("DELETE FROM topology_edges WHERE hour < ?", [hour])
            for old in [one for one in self._builder.hours if one < hour]:
                del self._builder.hours[old]
            self._written += 1
            return gone

    def _answer(self, from_unix_ns: int, to_unix_ns: int) -> Merged:
        last = max(from_unix_ns, to_unix_ns - 1) // HOUR_NS
        first = max(from_unix_ns // HOUR_NS, last - HOURS_ASKED_MAX)
        with self._lock:
            asked = (first, last, self._builder.shape, self._written)
            known = self._remembered.get(asked)
            if known is None:
                observed = self._observed(first, last)
                known = self._remembered[asked] = merged(observed, self._cmdb, now_unix_ns=(last + 1) * HOUR_NS)
                while len(self._remembered) > REMEMBERED_MAX:
                    del self._remembered[next(iter(self._remembered))]
            return known

    def _observed(self, first: int, last: int) -> Topology:
        nodes: dict[str, Node] = {}
        edges: dict[EdgeKey, EdgeCount] = {}
        held = {hour: graph for hour, graph in self._builder.hours.items() if first <= hour <= last}
        for hour, graph in [*self._stored(first, last, set(held)), *sorted(held.items())]:
            del hour
            nodes.update(graph.nodes)
            for key, one in graph.edges.items():
                _add(edges.setdefault(key, EdgeCount()), one)
        ordered = tuple(nodes[one] for one in sorted(nodes))
        return Topology(
            ordered, tuple(_edge(key, edges[key]) for key in sorted(edges)), first * HOUR_NS, last * HOUR_NS
        )

    def _stored(self, first: int, last: int, without: set[int]) -> list[tuple[int, HourGraph]]:
        """Read hours, but those that are held in memory."""
        graphs: dict[int, HourGraph] = {}
        span = [first, last]
        for row in self._metadata.read("SELECT * FROM topology_nodes WHERE hour BETWEEN ? AND ?", span):
            if row["hour"] not in without:
                node = _node(row["id"], row["document"])
                graphs.setdefault(row["hour"], HourGraph()).nodes[node.id] = node
        for row in self._metadata.read("SELECT * FROM topology_edges WHERE hour BETWEEN ? AND ?", span):
            if row["hour"] not in without:
                key, count = _read_edge(row)
                graphs.setdefault(row["hour"], HourGraph()).edges[key] = count
        return sorted(graphs.items())

    def _hour(self, hour: int) -> HourGraph:
        """Give what is written of one hour."""
        return dict(self._stored(hour, hour, set())).get(hour, HourGraph())


def _document(node: Node) -> str:
    return orjson.dumps(dict(node.attributes)).decode()


def _node(identifier: str, document: str) -> Node:
    kind, _, name = identifier.partition(":")
    return Node(NodeKind(kind), name, orjson.loads(document))


def _edge_row(hour: int, key: EdgeKey, one: EdgeCount) -> tuple[Any, ...]:
    source, target, kind = key
    known_from = ",".join(sorted(one.known_from))
    return (hour, source, target, kind.value, one.count, one.failed, one.first_unix_ns, one.last_unix_ns, known_from)


def _read_edge(row: Any) -> tuple[EdgeKey, EdgeCount]:
    known_from = set(row["known_from"].split(",")) - {""}
    count = EdgeCount(row["count"], row["failed"], row["first_unix_ns"], row["last_unix_ns"], known_from)
    return (row["source"], row["target"], EdgeKind(row["kind"])), count


def _add(total: EdgeCount, one: EdgeCount) -> None:
    total.count += one.count
    total.failed += one.failed
    firsts = [at for at in (total.first_unix_ns, one.first_unix_ns) if at]
    total.first_unix_ns = min(firsts, default=0)
    total.last_unix_ns = max(total.last_unix_ns, one.last_unix_ns)
    total.known_from |= one.known_from


def _edge(key: EdgeKey, one: EdgeCount) -> Edge:
    source, target, kind = key
    told: dict[str, Any] = {}
    if one.count:
        # One call may be a mistake of somebody's clock or name; many are not.
        told = {
            "failed": one.failed,
            "confidence": round(one.count / (one.count + 1.0), 4),
            "first_unix_ns": one.first_unix_ns,
            "last_unix_ns": one.last_unix_ns,
        }
    known_from: Sequence[str] = sorted(one.known_from, reverse=True)
    return Edge(source, target, kind, one.count, tuple(known_from), told)
