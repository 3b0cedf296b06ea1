"""Who calls whom, from spans that come in any order over several batches.

Enters: batches of spans. Leaves: calls, each once: from a service to the service whose server span answers, to a
database, a queue, or an address that nobody here answers for. A client's span waits for the server's for a while of
event time and a bounded number of spans. Learns which service answers at which address, so that a call that fails is
still known to be one to that service. Keeps no span.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.detect.traces.spans import CLIENT, CONSUMER, PRODUCER, SERVER, STATUS_ERROR, hex_ids
from watchkeeper.signals.topology import EdgeKind, NodeKind, database_name

WAITING_MAX = 50_000
WAIT_NS = 60 * 10**9
ADDRESSES_MAX = 10_000
TEXT_MAX = 200

_ADDRESS = ("peer.service", "service.peer.name", "server.address", "net.peer.name", "network.peer.address")
_DATABASE = ("db.system.name", "db.system")
_NAMESPACE = ("db.namespace", "db.name")
_MESSAGING = ("messaging.system",)
_DESTINATION = ("messaging.destination.name", "messaging.destination")
_GROUPS = (_ADDRESS, _DATABASE, _NAMESPACE, _MESSAGING, _DESTINATION)


class Call(NamedTuple):
    """One call, or one message sent or taken: from a service to a node."""

    service: str
    kind: EdgeKind
    target_kind: NodeKind
    target: str
    time_unix_ns: int
    failed: bool


class Waiting(NamedTuple):
    """One end of a call whose other end has not come."""

    service: str
    address: str
    time_unix_ns: int
    failed: bool


class Calls:
    """See the module."""

    def __init__(self) -> None:
        self._clients: OrderedDict[int, Waiting] = OrderedDict()
        self._servers: OrderedDict[int, Waiting] = OrderedDict()
        self._answers: dict[str, str] = {}
        self._newest_ns = 0

    def take(self, batch: pa.RecordBatch) -> list[Call]:
        """Take spans in, and give the calls that are known now. Cost: some ten microseconds a call."""
        kinds = np.asarray(batch.column("kind").fill_null(0).to_numpy(zero_copy_only=False))
        rows = np.flatnonzero(kinds >= SERVER)
        if not len(rows):
            return []
        part = batch.take(pa.array(rows))
        kinds = kinds[rows]
        texts = _attributes(part, kinds)
        services = [name or "" for name in part.column("service").to_pylist()]
        times = part.column("time_unix_ns").fill_null(0).to_pylist()
        failed = np.asarray(part.column("status_code").fill_null(0).to_numpy(zero_copy_only=False)) == STATUS_ERROR
        own, parent = _keys(part)
        found: list[Call] = []
        for place, kind in enumerate(kinds.tolist()):
            waiting = Waiting(services[place], texts[0][place], int(times[place]), bool(failed[place]))
            direct = _direct(kind, waiting, *(column[place] for column in texts[1:]))
            if direct is not None:
                found.append(direct)
            elif kind in (CLIENT, PRODUCER):
                found += self._client(int(own[place]), waiting)
            elif parent[place]:
                found += self._server(int(parent[place]), waiting)
        self._newest_ns = max(self._newest_ns, *times)
        return found + self.expire(self._newest_ns - WAIT_NS)

    def expire(self, before_ns: int) -> list[Call]:
        """Give up waiting for the other ends of older calls; gives what can be said of them."""
        found: list[Call] = []
        while self._clients:
            key, oldest = next(iter(self._clients.items()))
            if oldest.time_unix_ns >= before_ns and len(self._clients) <= WAITING_MAX:
                break
            del self._clients[key]
            if oldest.address:
                known = self._answers.get(oldest.address)
                kind, target = (NodeKind.SERVICE, known) if known else (NodeKind.EXTERNAL, oldest.address)
                found.append(Call(oldest.service, EdgeKind.CALLS, kind, target, oldest.time_unix_ns, oldest.failed))
        while self._servers:
            key, oldest = next(iter(self._servers.items()))
            if oldest.time_unix_ns >= before_ns and len(self._servers) <= WAITING_MAX:
                break
            del self._servers[key]
        return found

    def _client(self, key: int, client: Waiting) -> list[Call]:
        server = self._servers.pop(key, None)
        if server is None:
            self._clients[key] = client
            return []
        return self._pair(client, server)

    def _server(self, key: int, server: Waiting) -> list[Call]:
        client = self._clients.pop(key, None)
        if client is None:
            self._servers[key] = server
            return []
        return self._pair(client, server)

    def _pair(self, client: Waiting, server: Waiting) -> list[Call]:
        if client.address and len(self._answers) < ADDRESSES_MAX:
            self._answers[client.address] = server.service
        if client.service == server.service:
            return []
        failed = client.failed or server.failed
        return [Call(client.service, EdgeKind.CALLS, NodeKind.SERVICE, server.service, client.time_unix_ns, failed)]


def _direct(kind: int, one: Waiting, database: str, namespace: str, messaging: str, destination: str) -> Call | None:
    """Give a call that is known from its one span: to a database or a queue."""
    if database and kind == CLIENT:
        target = database_name(database, one.address, namespace, one.service)
        return Call(one.service, EdgeKind.CALLS, NodeKind.DATABASE, target, one.time_unix_ns, one.failed)
    if destination and kind in (PRODUCER, CLIENT, CONSUMER, SERVER):
        edge = EdgeKind.CONSUMES_FROM if kind in (CONSUMER, SERVER) else EdgeKind.PRODUCES_TO
        target = f"{messaging}/{destination}" if messaging else destination
        return Call(one.service, edge, NodeKind.QUEUE, target, one.time_unix_ns, one.failed)
    return None


def _attributes(part: pa.RecordBatch, kinds: npt.NDArray[Any]) -> list[list[str]]:
    """Give of each span the first of each group's attributes that is said, "" for none."""
    column = part.column("attributes").fill_null("{}")
    return [_first(column, names) for names in _GROUPS]


def _first(column: pa.Array, names: tuple[str, ...]) -> list[str]:
    found = [""] * len(column)
    for name in names:
        marked = f'"{name}":"'
        # A quotation mark within a value is escaped, so this text is a key wherever it stands.
        rows = np.flatnonzero(pc.match_substring(column, marked).to_numpy(zero_copy_only=False))
        if not len(rows):
            continue
        pattern = f'"{name.replace(".", chr(92) + ".")}":"(?P<value>[^"\\\\]*)"'
        values = pc.struct_field(pc.extract_regex(column.take(pa.array(rows)), pattern), "value").to_pylist()
        for row, value in zip(rows.tolist(), values, strict=True):
            found[row] = found[row] or (value or "")[:TEXT_MAX]
    return found


def _keys(part: pa.RecordBatch) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    trace = hex_ids(part.column("trace_id"), 2)
    mixed = trace[:, 0] ^ (trace[:, 1] * np.uint64(0x9E3779B97F4A7C15))
    own, parent = hex_ids(part.column("span_id"), 1)[:, 0], hex_ids(part.column("parent_span_id"), 1)[:, 0]
    return own ^ mixed, np.where(parent == 0, np.uint64(0), parent ^ mixed)
