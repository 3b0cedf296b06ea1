"""The catalog: which segments count, which log files are sealed, which requests were seen lately. One SQLite file.

A seal, a merge and a deletion are one transaction each, and that transaction is the moment at which they happen; what
is on the disk and not in here is left over and removed at the next opening. A file that is not a sound database
raises sqlite3.DatabaseError here; store/recovery.py then builds a new one from the segments themselves.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from watchkeeper.signals.schema import Signal
from watchkeeper.store.dedup import STREAMS_MAX
from watchkeeper.store.metadata import connect, immediate
from watchkeeper.store.position import Position
from watchkeeper.store.segments import Segment

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS segments (
        id TEXT PRIMARY KEY, signal TEXT NOT NULL, path TEXT NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
        arrow_bytes INTEGER NOT NULL, min_time_unix_ns INTEGER NOT NULL, max_time_unix_ns INTEGER NOT NULL,
        received_max_unix_ns INTEGER NOT NULL, first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
        columns TEXT NOT NULL, crc32 INTEGER NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS doomed (path TEXT PRIMARY KEY) STRICT",
    "CREATE TABLE IF NOT EXISTS sealed (name TEXT PRIMARY KEY) STRICT",
    """CREATE TABLE IF NOT EXISTS seen (
        hash BLOB PRIMARY KEY, sequence INTEGER NOT NULL, received_unix_ns INTEGER NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS seen_received ON seen (received_unix_ns)",
    """CREATE TABLE IF NOT EXISTS positions (
        stream TEXT PRIMARY KEY, place INTEGER NOT NULL, sequence INTEGER NOT NULL) STRICT""",
    "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
)
_COLUMNS = ", ".join(Segment._fields)
_VALUES = ", ".join("?" * len(Segment._fields))


class Seen(NamedTuple):
    """One request that was stored: its content hash, its sequence, when it came, its place in a stream if any."""

    content_hash: bytes
    sequence: int
    received_unix_ns: int
    position: Position | None = None


class Catalog:
    """The catalog of one store; safe to use from any thread. Methods raise sqlite3.Error."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._connection = connect(file)
        try:
            fault = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if fault != "ok":
                raise sqlite3.DatabaseError(str(fault))
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"SELECT {_COLUMNS} FROM segments LIMIT 1")
        except sqlite3.Error:
            self._connection.close()
            raise

    def is_filled(self) -> bool:
        """Tell whether this catalog speaks for the segments on the disk; a new one does not until `fill`."""
        with self._lock:
            return bool(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def fill(self, segments: Sequence[Segment]) -> None:
        """Let exactly these segments count; the catalog speaks for the disk from then on."""
        with self._lock, immediate(self._connection) as connection:
            connection.execute("DELETE FROM segments")
            self._insert(connection, segments)
            connection.execute("PRAGMA user_version = 1")

    def segments(self) -> list[Segment]:
        """Give every segment that counts."""
        with self._lock:
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM segments ORDER BY id").fetchall()
        return [Segment(*row)._replace(signal=Signal(row["signal"])) for row in rows]

    def doomed(self) -> set[str]:
        """Give the paths of segments that no longer count and may still be on the disk."""
        with self._lock:
            return {row[0] for row in self._connection.execute("SELECT path FROM doomed")}

    def sealed(self) -> set[str]:
        """Give the names of log files whose content is in segments and that may still be on the disk."""
        with self._lock:
            return {row[0] for row in self._connection.execute("SELECT name FROM sealed")}

    def seen(self, since_unix_ns: int) -> list[Seen]:
        """Give the requests in segments that came after a time, in order of sequence."""
        query = "SELECT hash, sequence, received_unix_ns FROM seen WHERE received_unix_ns > ? ORDER BY sequence"
        with self._lock:
            return [Seen(*row) for row in self._connection.execute(query, [since_unix_ns])]

    def positions(self) -> list[tuple[Position, int]]:
        """Give the last place of each stream that is in segments, with the sequence of its batch, oldest first."""
        with self._lock:
            rows = self._connection.execute("SELECT stream, place, sequence FROM positions ORDER BY sequence")
            return [(Position(row[0], row[1]), row[2]) for row in rows]

    def last_sequence(self) -> int:
        """Give the highest sequence that was ever sealed; 0 when none was."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM counters WHERE name = 'last_sequence'").fetchone()
        return int(row[0]) if row else 0

    def seal(
        self, wal_name: str, segments: Sequence[Segment], seen: Sequence[Seen], *, last: int, forget_before: int
    ) -> None:
        """Make a log file's segments count and the file itself not, at once; forget requests from before a time."""
        with self._lock, immediate(self._connection) as connection:
            self._insert(connection, segments)
            connection.execute("INSERT OR REPLACE INTO sealed VALUES (?)", [wal_name])
            connection.execute("DELETE FROM seen WHERE received_unix_ns <= ?", [forget_before])
            connection.executemany(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)",
                [s[:3] for s in seen if s.received_unix_ns > forget_before],
            )
            self._reach(connection, seen)
            connection.execute(
                "INSERT INTO counters VALUES ('last_sequence', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                [last],
            )

    def forget_sealed(self, names: Iterable[str]) -> None:
        """Note that sealed log files are gone from the disk."""
        with self._lock, immediate(self._connection) as connection:
            connection.executemany("DELETE FROM sealed WHERE name = ?", [[name] for name in names])

    def swap(self, removed: Sequence[Segment], added: Sequence[Segment]) -> None:
        """Let some segments count in place of others, at once; the others' files become doomed."""
        with self._lock, immediate(self._connection) as connection:
            connection.executemany("DELETE FROM segments WHERE id = ?", [[segment.id] for segment in removed])
            connection.executemany("INSERT OR REPLACE INTO doomed VALUES (?)", [[segment.path] for segment in removed])
            self._insert(connection, added)

    def forget_doomed(self, paths: Iterable[str]) -> None:
        """Note that doomed files are gone from the disk."""
        with self._lock, immediate(self._connection) as connection:
            connection.executemany("DELETE FROM doomed WHERE path = ?", [[path] for path in paths])

    def copy_to(self, file: Path) -> None:
        """Write a consistent copy of the catalog."""
        with self._lock, closing(sqlite3.connect(file)) as target:
            self._connection.backup(target)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @staticmethod
    def _reach(connection: sqlite3.Connection, seen: Sequence[Seen]) -> None:
        """Note the last place of each stream; of too many streams those unheard for longest go."""
        placed = [(*s.position, s.sequence) for s in seen if s.position is not None]
        if not placed:
            return
        connection.executemany(
            "INSERT INTO positions VALUES (?, ?, ?) ON CONFLICT (stream) DO UPDATE"
            " SET place = excluded.place, sequence = excluded.sequence WHERE excluded.place > place",
            placed,
        )
        connection.execute(
            "DELETE FROM positions WHERE stream NOT IN (SELECT stream FROM positions ORDER BY sequence DESC LIMIT ?)",
            [STREAMS_MAX],
        )

    @staticmethod
    def _insert(connection: sqlite3.Connection, segments: Sequence[Segment]) -> None:
        connection.executemany(f"INSERT INTO segments ({_COLUMNS}) VALUES ({_VALUES})", segments)
