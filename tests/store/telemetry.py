"""Telemetry made by hand: a request is a small JSON payload, and `decode` is the one place that knows its form."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pyarrow as pa

from watchkeeper.settings import Settings
from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.entry import Appended, Entry
from watchkeeper.store.store import Store

HOUR_NS = 3600 * 10**9
NOON_NS = 1_763_726_400 * 10**9  # 2025-11-21 12:00:00 UTC

_TEXT = {"body", "attributes", "trace_id", "span_id"}


def payload(name: str, *, rows: int = 3, start_ns: int = NOON_NS, step_ns: int = 1000, filler: int = 0) -> bytes:
    """Give a request of `rows` rows whose bodies (or span names) are all `name`."""
    told = {"name": name, "rows": rows, "start_ns": start_ns, "step_ns": step_ns, "filler": "x" * filler}
    return json.dumps(told).encode()


def decode(entry: Entry) -> pa.RecordBatch:
    """Turn such a request into its batch."""
    return batch_of(entry.signal, entry.payload, sender=entry.sender, received_unix_ns=entry.received_unix_ns)


def batch_of(signal: Signal, content: bytes, *, sender: str = "test", received_unix_ns: int = 0) -> pa.RecordBatch:
    told = json.loads(content)
    rows = told["rows"]
    columns: dict[str, list[Any]] = {
        "time_unix_ns": [told["start_ns"] + i * told["step_ns"] for i in range(rows)],
        "body": [told["name"]] * rows,
        "name": [told["name"]] * rows,
        "attributes": [json.dumps({"row": i, "filler": told["filler"]}) for i in range(rows)],
        "service": ["cart" if i % 2 else "payment" for i in range(rows)],
        "sender": [sender] * rows,
        "received_unix_ns": [received_unix_ns] * rows,
        "trace_id": [f"{i:032x}" for i in range(rows)],
    }
    schema = SCHEMAS[signal]
    arrays = [pa.array(columns[f.name]).cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return pa.record_batch(arrays, schema=schema)


def settings(home: Path, **chosen: Any) -> Settings:
    """Give settings for a small store; the disk's floor is off unless chosen."""
    return Settings(chosen={"home": str(home), "disk_free_bytes_min": 0, **chosen}, environment={})


def open_store(home: Path, **chosen: Any) -> Store:
    return Store.open(home, settings(home, **chosen), decode)


def send(
    store: Store,
    content: bytes,
    *,
    signal: Signal = Signal.LOGS,
    sender: str = "test",
    received_unix_ns: int | None = None,
) -> Future[Appended]:
    now = time.time_ns() if received_unix_ns is None else received_unix_ns
    batch = batch_of(signal, content, sender=sender, received_unix_ns=now)
    return store.append(signal, "json", sender, now, content, batch)


def put(store: Store, name: str, **options: Any) -> int:
    """Store one request of logs and give its sequence."""
    return send(store, payload(name, **options)).result(10).sequence


def counts(store: Store, table: str = "logs") -> dict[str, int]:
    """Give the number of rows of each name."""
    column = "body" if table == "logs" else "name"
    found = store.sql(f"SELECT {column} AS k, count(*) AS n FROM {table} GROUP BY 1", rows_max=10**6)
    return dict(zip(found["k"].to_pylist(), found["n"].to_pylist(), strict=True))


def segment_files(home: Path, pattern: str = "**/*.parquet") -> list[Path]:
    return sorted((home / "telemetry").glob(pattern))


def wal_files(home: Path) -> list[Path]:
    return sorted((home / "wal").iterdir())
