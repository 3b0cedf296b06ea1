"""A frozen picture of one signal for another process to read: its segments by hard links, what is hot as one file.

Enters: a Snapshot. Leaves: Parquet files in a new folder, each row in exactly one of them. Segments may be merged, or
deleted by age, while the folder is read: the links keep theirs alive. Costs no space for segments, and no seal. The
reader needs neither the store's lock nor its process.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.backup import link_or_copy
from watchkeeper.store.segments import SUFFIX
from watchkeeper.store.view import Snapshot

HOT_FILE = f"hot{SUFFIX}"


class Frozen(NamedTuple):
    """What a folder holds: files, rows of segments and rows that were hot."""

    files: int
    segment_rows: int
    hot_rows: int

    @property
    def rows(self) -> int:
        """Give all rows."""
        return self.segment_rows + self.hot_rows


def freeze(telemetry: Path, snapshot: Snapshot, signal: Signal, folder: Path) -> Frozen:
    """Fill a folder, made when missing, with the signal's rows; lets go of the snapshot. Raises OSError."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hot_rows = 0
    with snapshot:
        segments = snapshot.segments[signal]
        for segment in segments:
            link_or_copy(telemetry / segment.path, folder / f"{segment.id}{SUFFIX}")
        hot = [batch for batch in snapshot.hot[signal] if batch.num_rows]
    if hot:
        with pq.ParquetWriter(folder / HOT_FILE, SCHEMAS[signal], compression="zstd") as writer:
            for batch in hot:
                writer.write_batch(batch)
                hot_rows += batch.num_rows
    return Frozen(len(segments) + bool(hot), sum(segment.rows for segment in segments), hot_rows)
