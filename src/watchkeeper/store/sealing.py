"""Sealing: the content of a completed log file becomes segments.

    1  wait, bounded, until the pipeline is done with the file's batches
    2  write the segments (temporary name, fsync, rename, fsync of the folder)
    3  one catalog transaction: the segments count, the log file is sealed, its hashes are remembered
    4  show the segments in place of the hot batches
    5  delete the log file, then note that it is gone

A kill before 3 leaves segments that do not count, removed at the next opening, and the log file that is replayed; a
kill after 3 leaves a sealed log file, deleted at the next opening. Either way each row is there once.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa

from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store import segments
from watchkeeper.store.catalog import Catalog
from watchkeeper.store.hot import HotFile, join_batches
from watchkeeper.store.layout import Layout, sync_folder
from watchkeeper.store.segments import Segment
from watchkeeper.store.view import View

ENRICH_WAIT_S = 30.0


class Sealer:
    """Seals completed log files, oldest first. Not for more than one thread at a time."""

    def __init__(
        self,
        layout: Layout,
        catalog: Catalog,
        view: View,
        settings: Settings,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._layout = layout
        self._catalog = catalog
        self._view = view
        self._window_ns = int(settings.number("dedup_window_s") * 1e9)
        self._hot_bytes_max = settings.integer("hot_bytes_max")
        self._now_unix_ns = now_unix_ns
        self.pipeline_seen = False

    def seal_completed(self, now_s: float, wait_s: float = ENRICH_WAIT_S) -> int:
        """Seal the log files that are complete and give their number; an error leaves the one in hand as it was."""
        count = 0
        for file in self._view.completed(now_s):
            if self.pipeline_seen and not self._view.wait_enriched(file, wait_s, self._hot_bytes_max // 2):
                break
            self._seal(file)
            count += 1
        return count

    def _seal(self, file: HotFile) -> None:
        written: list[Segment] = []
        try:
            for signal, batches in self._view.freeze(file).items():
                self._write(signal, batches, written)
            self._catalog.seal(
                file.path.name,
                written,
                file.seen,
                last=file.last_sequence,
                forget_before=self._now_unix_ns() - self._window_ns,
            )
        except (OSError, sqlite3.Error):
            for segment in written:
                with suppress(OSError):
                    (self._layout.telemetry / segment.path).unlink(missing_ok=True)
            raise
        self._view.seal(file, written)
        file.path.unlink(missing_ok=True)
        sync_folder(file.path.parent)
        self._catalog.forget_sealed([file.path.name])

    def _write(self, signal: Signal, batches: list[pa.RecordBatch], written: list[Segment]) -> None:
        filled = [batch for batch in batches if batch.num_rows]
        if filled:
            written.extend(segments.write(self._layout.telemetry, signal, join_batches(filled)))
