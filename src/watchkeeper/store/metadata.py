"""SQLite for everything that is not telemetry: findings, tokens, the ledger, learned state.

One writer at a time under a lock, readers beside it (write-ahead journal). Each component brings its own tables
through `ensure`, with a version, so a newer Watchkeeper's tables are refused and not misread. Foreign errors leave as
StoreError. Does not know any table but its own list of components.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from watchkeeper.errors import NewerFormat, StoreError

BUSY_TIMEOUT_S = 10.0
READERS_KEPT = 4

Parameters = Sequence[Any] | Mapping[str, Any]

_COMPONENTS = "CREATE TABLE IF NOT EXISTS components (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"


def connect(file: Path) -> sqlite3.Connection:
    """Open a SQLite file with a write-ahead journal, every commit durable; raises sqlite3.Error."""
    connection = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -1024")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run statements as one transaction: all of them are there afterwards, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class Metadata:
    """One SQLite file of metadata; safe to use from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._write_lock = threading.RLock()
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        with self._told():
            self._writer = connect(file)
            self._writer.execute(_COMPONENTS)

    def ensure(self, component: str, version: int, statements: Sequence[str]) -> None:
        """Bring a component's tables to a version by statements that may be repeated (`CREATE ... IF NOT EXISTS`).

        They run when the file holds an older version or none. Raises NewerFormat when it holds a newer one.
        """
        with self._write_lock, self._told():
            row = self._writer.execute("SELECT version FROM components WHERE name = ?", [component]).fetchone()
            known = row["version"] if row else 0
            if known > version:
                raise NewerFormat(
                    f"{component} in {self._file} has version {known}, this Watchkeeper knows {version}; upgrade it"
                )
            if known < version:
                with immediate(self._writer) as connection:
                    for statement in statements:
                        connection.execute(statement)
                    connection.execute("INSERT OR REPLACE INTO components VALUES (?, ?)", [component, version])

    def read(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """Run one reading statement and give all its rows; sees what was committed before."""
        with self._told(), self._reader() as connection:
            return connection.execute(sql, parameters).fetchall()

    def write(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one writing statement as a transaction of its own; gives the number of rows it changed."""
        with self._write_lock, self._told():
            return self._writer.execute(sql, parameters).rowcount

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the writing connection inside one transaction, committed at the end unless an error leaves the block."""
        with self._write_lock, self._told(), immediate(self._writer) as connection:
            yield connection

    def copy_to(self, file: Path) -> None:
        """Write a consistent copy while others read and write."""
        with self._told(), self._reader() as connection:
            target = sqlite3.connect(file)
            try:
                connection.backup(target)
            finally:
                target.close()

    def close(self) -> None:
        """Close every connection; no method may be called afterwards."""
        with self._write_lock:
            self._writer.close()
        with suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = connect(self._file)
        try:
            yield connection
        finally:
            if self._readers.qsize() < READERS_KEPT:
                self._readers.put(connection)
            else:
                connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"metadata in {self._file} cannot be used: {error}; if the file is damaged, restore a backup"
            ) from error
