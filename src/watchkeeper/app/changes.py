"""Changes in SQLite: deploys, configuration, scaling and flags, told by people, pipelines or telemetry.

Telling a change again by its id does nothing. Subscribers are called with each new one. Decides nothing.
"""

from __future__ import annotations

import builtins
import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from watchkeeper.app.pages import read_page
from watchkeeper.diagnose.changes import changes_from_logs
from watchkeeper.diagnose.window import Change
from watchkeeper.errors import StoreError
from watchkeeper.signals.schema import Signal
from watchkeeper.store.metadata import Metadata

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS changes (
        id TEXT PRIMARY KEY, time_unix_ns INTEGER NOT NULL, kind TEXT NOT NULL, node TEXT NOT NULL,
        document TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS changes_by_time ON changes (time_unix_ns DESC, id)",
)

log = logging.getLogger(__name__)


class Changes:
    """All changes, newest first."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._lock = threading.Lock()
        self._told: list[Callable[[list[Change]], None]] = []
        self.problem = ""
        metadata.ensure("changes", 1, _SCHEMA)

    def on_new(self, tell: Callable[[builtins.list[Change]], None]) -> None:
        """Have a function called with the changes that are new."""
        self._told.append(tell)

    def put(self, changes: Iterable[Change]) -> builtins.list[Change]:
        """Keep changes and give those that were new."""
        with self._lock, self._metadata.transaction() as connection:
            new = [
                change
                for change in changes
                if connection.execute("INSERT OR IGNORE INTO changes VALUES (?, ?, ?, ?, ?)", _row(change)).rowcount
            ]
        if new:
            for tell in self._told:
                tell(new)
        return new

    def take(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Keep the changes that log events of a batch tell of; what cannot be kept is told in `problem`."""
        if signal is not Signal.LOGS:
            return
        found = changes_from_logs(batch)
        if not found:
            return
        try:
            self.put(found)
            self.problem = ""
        except StoreError as error:
            self.problem = f"{len(found)} changes could not be kept: {error}"
            log.error("%s", self.problem)

    def list(
        self,
        *,
        kind: str | None = None,
        node: str | None = None,
        from_unix_ns: int | None = None,
        to_unix_ns: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[builtins.list[Change], str | None]:
        """Give up to `limit` changes, newest first, and the cursor of the next page or None; raises QueryError."""
        conditions = (
            ("kind = ?", kind),
            ("node = ?", node),
            ("time_unix_ns >= ?", from_unix_ns),
            ("time_unix_ns < ?", to_unix_ns),
        )
        found, more = read_page(self._metadata, "changes", "time_unix_ns", conditions, limit=limit, cursor=cursor)
        return [Change(**each) for each in found], more

    def get(self, identifier: str) -> Change | None:
        """Give one change, or None."""
        rows = self._metadata.read("SELECT document FROM changes WHERE id = ?", [identifier])
        return Change(**json.loads(rows[0]["document"])) if rows else None

    def delete_before(self, time_unix_ns: int) -> int:
        """Delete changes older than the time; gives how many."""
        return self._metadata.write("DELETE FROM changes WHERE time_unix_ns < ?", [time_unix_ns])


def change_dict(change: Change) -> dict[str, Any]:
    """Give plain data for JSON."""
    return {**vars(change), "attributes": dict(change.attributes)}


def _row(change: Change) -> tuple[Any, ...]:
    return (change.id, change.time_unix_ns, change.kind, change.node, json.dumps(change_dict(change)))
