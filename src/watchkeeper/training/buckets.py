"""Key-value buckets: where others read the counts (`aggregation`) and the status (`modelTrainingStatus`).

Enters: JSON by bucket and key. Leaves: the same, for whoever reads a bucket. Two implementations: SQLite, and JetStream
of a NATS server (nats_buckets.py). A bucket mirrors what Watchkeeper knows; nothing is decided by what stands there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol

from watchkeeper.store.metadata import Metadata

AGGREGATION = "aggregation"
STATUS = "modelTrainingStatus"
BUCKETS = (AGGREGATION, STATUS)

_PLAIN = re.compile(r"[A-Za-z0-9_-]")
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS training_buckets (
        bucket TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, updated_unix_ns INTEGER NOT NULL,
        PRIMARY KEY (bucket, key)) STRICT""",
)


class Buckets(Protocol):
    """Values of bytes by bucket and key; safe to use from any thread. Methods raise Unreachable, StoreError."""

    def put(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value."""

    def get(self, bucket: str, key: str) -> bytes | None:
        """Give a value, or None."""

    def keys(self, bucket: str) -> list[str]:
        """Give the keys of a bucket, in order."""

    def delete(self, bucket: str, key: str) -> None:
        """Delete a value; one that is not there is no error."""

    def value_bytes_max(self) -> int:
        """Give the largest value."""


class SqliteBuckets:
    """Buckets in the metadata file."""

    def __init__(self, metadata: Metadata, *, now_unix_ns: Callable[[], int] = time.time_ns) -> None:
        self._metadata, self._now_unix_ns = metadata, now_unix_ns
        metadata.ensure("training_buckets", 1, _SCHEMA)

    def put(self, bucket: str, key: str, value: bytes) -> None:
        """Set a value, durably."""
        self._metadata.write(
            "INSERT OR REPLACE INTO training_buckets VALUES (?, ?, ?, ?)", [bucket, key, value, self._now_unix_ns()]
        )

    def get(self, bucket: str, key: str) -> bytes | None:
        """Give a value, or None."""
        rows = self._metadata.read("SELECT value FROM training_buckets WHERE bucket = ? AND key = ?", [bucket, key])
        return bytes(rows[0]["value"]) if rows else None

    def keys(self, bucket: str) -> list[str]:
        """Give the keys."""
        rows = self._metadata.read("SELECT key FROM training_buckets WHERE bucket = ? ORDER BY key", [bucket])
        return [str(row["key"]) for row in rows]

    def delete(self, bucket: str, key: str) -> None:
        """Delete a value."""
        self._metadata.write("DELETE FROM training_buckets WHERE bucket = ? AND key = ?", [bucket, key])

    def value_bytes_max(self) -> int:
        """Give the largest value: as JetStream's by default, so that both hold the same."""
        return 1 << 20


def key_of(name: str) -> str:
    """Write any name as a key that NATS takes; what is no letter, digit, - or _ becomes its UTF-8 bytes after `=`.

    >>> key_of("west/1")
    'west=2F1'
    """
    parts = (each if _PLAIN.fullmatch(each) else "".join(f"={byte:02X}" for byte in each.encode()) for each in name)
    return "".join(parts)
