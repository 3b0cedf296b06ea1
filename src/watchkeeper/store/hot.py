"""Hot batches: what is durable in one file of the write-ahead log and not in a segment yet, in memory as Arrow.

Enters: durable batches, then the columns that the pipeline adds. Leaves: lists of batches for queries, tables for
sealing. Small batches that the pipeline is done with are joined, so that a query scans few. Not safe by itself between
threads: store/view.py holds the lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.signals.schema import Signal
from watchkeeper.store.catalog import Seen

JOIN_BATCHES = 64
JOIN_ROWS_MAX = 8192


@dataclass
class HotBatch:
    """One durable batch; `enriched` once the pipeline is done with it. Times are inclusive."""

    sequence: int
    signal: Signal
    batch: pa.RecordBatch
    min_time_unix_ns: int
    max_time_unix_ns: int
    enriched: bool = False

    @classmethod
    def of(cls, sequence: int, signal: Signal, batch: pa.RecordBatch) -> HotBatch:
        """Take in a batch."""
        times = batch.column("time_unix_ns").to_numpy()
        low, high = (int(np.min(times)), int(np.max(times))) if len(times) else (0, 0)
        return cls(sequence, signal, batch, low, high)


@dataclass
class HotFile:
    """What one log file holds. `complete` once no more is written to it; `since_s` is its start.

    Until `seal_after_s` it is sealed only when the pipeline is done with it. Both are monotonic times.
    """

    path: Path
    since_s: float
    bytes: int = 0
    rows: int = 0
    complete: bool = False
    seal_after_s: float = 0.0
    waiting: dict[int, HotBatch] = field(default_factory=dict)
    done: dict[Signal, list[HotBatch]] = field(default_factory=lambda: {signal: [] for signal in Signal})
    small: dict[Signal, list[HotBatch]] = field(default_factory=lambda: {signal: [] for signal in Signal})
    seen: list[Seen] = field(default_factory=list)
    last_sequence: int = 0

    def add(self, batch: HotBatch, seen: Seen) -> None:
        """Take in one durable batch."""
        self.waiting[batch.sequence] = batch
        self.seen.append(seen)
        self.bytes += batch.batch.nbytes
        self.rows += batch.batch.num_rows
        self.last_sequence = max(self.last_sequence, batch.sequence)

    def enrich(self, sequence: int, columns: Mapping[str, pa.Array]) -> bool:
        """Put columns into a batch and call it done; False when it is not here."""
        found = self.waiting.get(sequence)
        if found is None:
            return False
        if columns:
            before = found.batch
            found.batch = with_columns(before, columns)
            self.bytes += sum(values.nbytes - before.column(name).nbytes for name, values in columns.items())
        found.enriched = True
        del self.waiting[sequence]
        if found.batch.num_rows > JOIN_ROWS_MAX:
            self.done[found.signal].append(found)
            return True
        small = self.small[found.signal]
        small.append(found)
        if len(small) >= JOIN_BATCHES:
            self.done[found.signal].append(_join(small))
            self.small[found.signal] = []
        return True

    def batches(self, signal: Signal) -> list[HotBatch]:
        """Give all batches of a signal, done or not."""
        return [*self.done[signal], *self.small[signal], *(b for b in self.waiting.values() if b.signal == signal)]


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """Give the batch with some columns replaced; raises ValueError for an unknown name, type or length."""
    for name, values in columns.items():
        index = batch.schema.get_field_index(name)
        if index < 0 or batch.schema.field(index).type != values.type or len(values) != batch.num_rows:
            raise ValueError(
                f"column {name!r} ({values.type}, {len(values)} rows) does not fit a batch of {batch.num_rows} rows;"
                f" expected {batch.schema.field(index).type if index >= 0 else 'a column of its schema'}"
            )
        batch = batch.set_column(index, batch.schema.field(index), values)
    return batch


def join_batches(batches: list[pa.RecordBatch]) -> pa.Table:
    """Join batches of one schema into a table whose dictionary columns have one dictionary each."""
    return pa.Table.from_batches(batches).unify_dictionaries()


def _join(batches: list[HotBatch]) -> HotBatch:
    table = join_batches([b.batch for b in batches]).combine_chunks()
    return HotBatch(
        sequence=batches[0].sequence,
        signal=batches[0].signal,
        batch=table.to_batches()[0] if table.num_rows else batches[0].batch,
        min_time_unix_ns=min(b.min_time_unix_ns for b in batches),
        max_time_unix_ns=max(b.max_time_unix_ns for b in batches),
        enriched=True,
    )
