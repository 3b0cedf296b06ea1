"""A receiver on the real store, with both of its ports open, for real clients to send to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.receive.running import serving
from watchkeeper.receive.decode import decode
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.http import http_app
from watchkeeper.receive.ledger import Ledger
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store.entry import Appended, Entry
from watchkeeper.store.store import Store


class Stubborn:
    """The real store behind a door that can be told to refuse, or to lose the acknowledgement of what it stored."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.refusals: list[Exception] = []
        self.lost_acknowledgements: list[Exception] = []
        self.calls = 0

    def append(
        self,
        signal: Signal,
        encoding: str,
        sender: str,
        received_unix_ns: int,
        payload: bytes,
        batch: pa.RecordBatch,
    ) -> Future[Appended]:
        with self._lock:
            self.calls += 1
            refusal = self.refusals.pop(0) if self.refusals else None
            lost = self.lost_acknowledgements.pop(0) if self.lost_acknowledgements and refusal is None else None
        if refusal is not None:
            raise refusal
        stored = self._store.append(signal, encoding, sender, received_unix_ns, payload, batch)
        if lost is None:
            return stored
        stored.result(20)
        failed: Future[Appended] = Future()
        failed.set_exception(lost)
        return failed


class Keeper:
    """What a test sees: the ports, the door of the store, the ledger, SQL."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self.door = Stubborn(store)
        self.receiver = Receiver(self.door, Ledger(store.metadata), Tokens(store.metadata), settings)
        self.ledger = self.receiver.ledger
        self.http_port = 0
        self.grpc_port = 0

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._store.sql(query, parameters).to_pylist()
        return rows

    def count(self, signal: Signal) -> int:
        return int(self.sql(f"SELECT count(*) AS n FROM {signal.value}")[0]["n"])

    def one(self, query: str, *parameters: Any) -> dict[str, Any]:
        rows = self.sql(query, *parameters)
        assert len(rows) == 1, rows
        return rows[0]


@contextmanager
def keeping(home: Path, **chosen: Any) -> Iterator[Keeper]:
    settings = Settings(
        chosen={"home": home, "otlp_grpc_port": 0, "disk_free_bytes_min": 0, "retry_after_s": 0.05, **chosen},
        environment={},
    )
    with Store.open(home, settings, _decode_entry) as store:
        keeper = Keeper(store, settings)
        tls = server_tls(settings)
        server = GrpcServer(keeper.receiver, settings)
        keeper.grpc_port = server.start()
        try:
            with serving(http_app(keeper.receiver), tls.otlp if tls else None) as keeper.http_port:
                yield keeper
        finally:
            server.stop(1)


def _decode_entry(entry: Entry) -> pa.RecordBatch:
    return decode(
        entry.signal, entry.encoding, entry.payload, sender=entry.sender, received_unix_ns=entry.received_unix_ns
    ).batch


def attributes(row: dict[str, Any], column: str = "attributes") -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(row[column])
    return parsed
