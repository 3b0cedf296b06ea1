"""The receiving end of a centre, in the process of the test: real port, receiver, ledger and store, no detection."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.e2e.product import wait_for

from watchkeeper.receive.decode import decode
from watchkeeper.receive.http import http_app
from watchkeeper.receive.ledger import Ledger, LedgerRow
from watchkeeper.receive.listen import HttpServer, bind
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.signals.signal import Signal
from watchkeeper.store.entry import Entry
from watchkeeper.store.metadata import Metadata
from watchkeeper.store.store import Store


def _decode_again(entry: Entry) -> pa.RecordBatch:
    return decode(entry.signal, entry.encoding, entry.payload, sender=entry.sender, received_unix_ns=0).batch


class NearCentre:
    """Starts at once, on a port that stays the same when it is stopped and started again."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self.start(**settings)

    def start(self, **settings: object) -> None:
        chosen: dict[str, Any] = {"home": str(self.home), **settings, "otlp_http_port": self.port}
        made = Settings(chosen=chosen, environment={})
        self._metadata = Metadata(self.home / "metadata.sqlite")
        self.store = Store.open(self.home, made, _decode_again)
        self.receiver = Receiver(self.store, Ledger(self._metadata), Tokens(self._metadata), made)
        tls = server_tls(made)
        listener = bind("127.0.0.1", self.port, "otlp_http_port")
        self.port = listener.getsockname()[1]
        app, away = http_app(self.receiver), partial(self.receiver.turned_away, "http")
        self._server = HttpServer(app, tls.otlp if tls else None, turned_away=away)
        self._listener = listener
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([listener])), daemon=True)
        self._thread.start()
        self.scheme = "https" if tls else "http"
        wait_for(lambda: self._server.started, what="the port of the centre")

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        self._listener.close()
        self.store.close()
        self._metadata.close()

    def bodies(self, like: str = "%") -> list[str]:
        query = "SELECT body FROM logs WHERE body LIKE ? ORDER BY body"
        found: list[str] = self.store.sql(query, (like,), rows_max=10**6)["body"].to_pylist()
        return found

    def columns(self, *names: str) -> list[list[str]]:
        found = self.store.sql(f"SELECT {', '.join(names)} FROM logs ORDER BY body", rows_max=10**6)
        return [found[name].to_pylist() for name in names]

    def wait_for(self, lines: int, like: str = "%") -> list[str]:
        """Wait until so many different lines are there; gives all that are there."""

        def there() -> list[str] | None:
            found = self.bodies(like)
            return found if len(set(found)) >= lines else None

        found: list[str] = wait_for(there, within_s=60, what=f"{lines} lines at the centre")
        return found

    def ledger(self, protocol: str, signal: Signal = Signal.LOGS) -> LedgerRow:
        """Give the one row of the ledger whose protocol begins so."""
        rows = [
            row for row in self.receiver.ledger.rows() if row.protocol.startswith(protocol) and row.signal is signal
        ]
        (row,) = rows
        return row
