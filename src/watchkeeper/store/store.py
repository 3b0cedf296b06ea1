"""The store: one object over the log, the segments, their catalog, SQL and metadata.

Life of a batch: `append` -> committer.py (log, fsync) -> acknowledged, hot (view.py) -> `on_durable` to the pipeline ->
`enrich` -> sealing.py (segments, catalog) -> compaction.py -> retention.py. `sql` sees it from the acknowledgement on,
once. recovery.py brings the same state back after any kind of end. Layout on disk: layout.py.
Does not decode requests (a callable given to `open` does) and does not know OTLP.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from watchkeeper.errors import DiskNearlyFull, StoreError
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store import backup, compaction, frozen, recovery, retention
from watchkeeper.store import segments as files
from watchkeeper.store.catalog import Catalog
from watchkeeper.store.committer import Committer, OnDurable, Request
from watchkeeper.store.dedup import Dedup
from watchkeeper.store.disk import Disk
from watchkeeper.store.entry import Appended, Entry, Recovered
from watchkeeper.store.layout import FolderLock, Layout
from watchkeeper.store.metadata import Metadata
from watchkeeper.store.quarantine import Quarantine
from watchkeeper.store.query import Parameters, Queries
from watchkeeper.store.sealing import Sealer
from watchkeeper.store.segments import Segment
from watchkeeper.store.stats import StoreStats
from watchkeeper.store.view import TimeRange, View

_log = logging.getLogger(__name__)

UPKEEP_EVERY_S = 60.0
VERIFY_EVERY_S = 10.0
SEAL_NOW_WAIT_S = 5.0
COMPACT_TOGETHER_MIN = 8


class Store:
    """Everything that Watchkeeper keeps. Safe to use from any thread; open one for each home, and close it."""

    metadata: Metadata

    def __init__(
        self, layout: Layout, lock: FolderLock, settings: Settings, decode: Callable[[Entry], pa.RecordBatch]
    ) -> None:
        self._layout = layout
        self._lock = lock
        self._settings = settings
        self._quarantine = Quarantine(layout.quarantine)
        self._failures = 0
        self._upkeep_lock = threading.RLock()
        self._stopping = threading.Event()
        self.metadata = Metadata(layout.metadata)
        try:
            self._catalog, segments = self._open_catalog()
            self._view = View(segments, self._delete)
            self._start_parts(settings, decode)
        except BaseException:
            self.metadata.close()
            raise

    @classmethod
    def open(cls, folder: Path, settings: Settings, decode: Callable[[Entry], pa.RecordBatch]) -> Store:
        """Open the store in a folder, making it when there is none, and take up what an earlier process left.

        `decode` turns a request of the log into its batch again. Raises NewerFormat (nothing touched) or StoreError,
        which names the process that has the folder open. Cost: under 300 ms, and the replay of what was not sealed.
        """
        layout = Layout(folder.expanduser().resolve())
        layout.prepare()
        lock = FolderLock.take(layout.lock)
        try:
            store = cls(layout, lock, settings, decode)
        except (OSError, sqlite3.Error) as error:
            lock.release()
            raise StoreError(f"the store in {layout.home} cannot be opened: {error}") from error
        except BaseException:
            lock.release()
            raise
        store._committer.start()
        store._upkeep.start()
        return store

    def append(
        self,
        signal: Signal,
        encoding: str,
        sender: str,
        received_unix_ns: int,
        payload: bytes,
        batch: pa.RecordBatch,
    ) -> Future[Appended]:
        """Store one request; the future resolves once it is durable, and `sql` sees it from then on.

        `batch` is what `payload` decodes to; its column `batch` is filled here. A request whose content was stored
        within `dedup_window_s` is not stored again: `duplicate` is True. Raises QueueFull or DiskNearlyFull at once, or
        sets DiskNearlyFull on the future when the write finds no room; nothing of it is stored then.
        """
        return self._committer.offer(signal, encoding, sender, received_unix_ns, payload, batch)

    def recovered(self) -> Iterator[Recovered]:
        """Give, once, the batches that were in the log at opening and in no segment, in order."""
        while self._recovered:
            yield self._recovered.pop(0)

    def enrich(self, sequence: int, signal: Signal, columns: Mapping[str, pa.Array]) -> None:
        """Put the pipeline's columns into a hot batch and let it be sealed; too late, it changes nothing.

        Raises ValueError for a column that does not fit.
        """
        self._sealer.pipeline_seen = True
        if not self._view.enrich(sequence, columns):
            _log.debug("batch %d of %s was sealed before the pipeline was done with it", sequence, signal.value)

    def on_durable(self, callback: OnDurable) -> None:
        """Call this with (sequence, signal, batch) of every batch from now on once durable, in order, in one thread."""
        self._committer.on_durable(callback)

    def count_held(self, held_bytes: Callable[[], int]) -> None:
        """Count memory that others hold of durable batches, sealed or not, against `hot_bytes_max`."""
        self._committer.count_held(held_bytes)

    def sql(
        self,
        query: str,
        parameters: Parameters = (),
        *,
        rows_max: int | None = None,
        timeout_s: float | None = None,
        time_range_unix_ns: TimeRange | None = None,
    ) -> pa.Table:
        """Run one reading statement over the tables logs, metrics and spans, all of one moment.

        The columns are those of the schema and `time` (TIMESTAMPTZ). `rows_max` and `timeout_s` default to the
        settings; when there were more rows, the schema metadata `watchkeeper.truncated` is "true". `time_range_unix_ns`
        (inclusive) only prunes files and does not filter rows. Raises QueryError.
        """
        return self._queries.run(
            query, parameters, rows_max=rows_max, timeout_s=timeout_s, time_range_unix_ns=time_range_unix_ns
        )

    def refusal(self) -> str:
        """Tell why the disk lets nothing be taken now; empty when it does."""
        try:
            self._disk.check()
        except DiskNearlyFull as error:
            return str(error)
        return ""

    def stats(self) -> StoreStats:
        """Give sizes, extents and what is in quarantine. Cost: ~1 ms."""
        extents = self._view.extents()
        wal_bytes = _size(self._layout.wal)
        others = sum(_file_size(f) for f in (self._layout.catalog, self._layout.metadata))
        return StoreStats(
            folder=self._layout.home,
            bytes=sum(extent.bytes for extent in extents.values()) + wal_bytes + others,
            disk_free_bytes=self._disk.free_bytes(),
            wal_bytes=wal_bytes,
            hot_bytes=self._view.hot_bytes(),
            queue_bytes=self._committer.queue_bytes(),
            failures=self._failures + self._committer.failures,
            quarantined=tuple(self._quarantine.reasons()),
            signals=extents,
        )

    def seal_now(self) -> None:
        """Write everything durable to segments; raises StoreError when the disk refuses.

        Waits for the pipeline, if one has ever enriched, up to SEAL_NOW_WAIT_S a log file.
        """
        self._committer.rotate()
        with self._upkeep_lock, _told("sealing", self._layout):
            self._sealer.seal_completed(math.inf, SEAL_NOW_WAIT_S)

    def compact_now(self) -> int:
        """Merge the small segments of each hour and give the number of segments that are fewer now."""
        return self._compact(together_min=2)

    def retain_now(self, now_unix_ns: int) -> int:
        """Delete what is over the limits of age and size and give the number of segments deleted."""
        with self._upkeep_lock, _told("deleting", self._layout):
            gone: list[Segment] = []
            for signal in Signal:
                gone += retention.expired(
                    self._view.segments(signal),
                    now_unix_ns,
                    days_max=self._settings.integer(f"{signal.value}_days_max"),
                    bytes_max=self._settings.integer(f"{signal.value}_bytes_max"),
                )
            if gone:
                self._catalog.swap(gone, [])
                self._view.swap(gone, [])
            return len(gone)

    def verify_now(self) -> int:
        """Read every segment, put the damaged ones into quarantine and give their number. Cost: about 1 GB/s."""
        return self._suspect(self._view.segments())

    def backup(self, target: Path) -> backup.BackupReport:
        """Write a verified copy of everything into a new folder, or a tar file (`.tar`), while the store is in use."""
        return backup.backup(self._layout, self._catalog, self.metadata, self._view, target, pause=self._upkeep_lock)

    def freeze(self, signal: Signal, folder: Path, time_range_unix_ns: TimeRange) -> frozen.Frozen:
        """Put all that may hold rows of a time range (inclusive) into a folder, for another process; raises OSError."""
        snapshot = self._view.snapshot([signal], time_range_unix_ns)
        return frozen.freeze(self._layout.telemetry, snapshot, signal, folder)

    def close(self) -> None:
        """Commit what waits and close; what is not sealed stays in the log for the next opening."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._committer.stop()
        self._view.stop()
        self._upkeep.join()
        self._queries.close()
        self._catalog.close()
        self.metadata.close()
        self._lock.release()

    def __enter__(self) -> Store:
        """Give the store itself."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Close it."""
        self.close()

    def _open_catalog(self) -> tuple[Catalog, list[Segment]]:
        catalog = recovery.open_catalog(self._layout, self._quarantine)
        try:
            recovery.remove_sealed(self._layout, catalog)
            if catalog.is_filled():
                segments = recovery.sound_segments(self._layout, catalog, self._quarantine)
            else:
                segments = recovery.rebuild(self._layout, catalog, self._quarantine)
            recovery.remove_left_over(self._layout, catalog, self._quarantine, segments)
        except BaseException:
            catalog.close()
            raise
        return catalog, segments

    def _start_parts(self, settings: Settings, decode: Callable[[Entry], pa.RecordBatch]) -> None:
        window_s = settings.number("dedup_window_s")
        now = time.time_ns()
        seen = self._catalog.seen(now - int(window_s * 1e9))
        replayed = recovery.replay(self._layout, self._quarantine, decode, seen, settings)
        dedup: Dedup[Request] = Dedup(window_s)
        for one in seen:
            dedup.arrive(one.content_hash, one.sequence, one.received_unix_ns)
        for position, sequence in self._catalog.positions():
            dedup.reach(position, sequence)
        for hot, batches in replayed.files:
            self._view.add(hot, batches)
            for _, told in batches:
                dedup.arrive(told.content_hash, told.sequence, told.received_unix_ns)
                if told.position is not None:
                    dedup.reach(told.position, told.sequence)
        self._recovered = replayed.recovered()
        last = max(
            [self._catalog.last_sequence(), replayed.last_sequence, *(s.last_sequence for s in self._view.segments())]
        )
        self._disk = Disk(self._layout.home, settings.integer("disk_free_bytes_min"), settings.number("retry_after_s"))
        self._committer = Committer(self._layout.wal, settings, self._view, self._disk, dedup, next_sequence=last + 1)
        self._sealer = Sealer(self._layout, self._catalog, self._view, settings)
        self._queries = Queries(self._layout.telemetry, settings, self._view, self._suspect)
        self._upkeep = threading.Thread(target=self._keep_up, name="store-upkeep", daemon=True)

    def _keep_up(self) -> None:
        """Seal by age, merge, delete, and read one segment after the other for damage, until the store is closed."""
        pause_s = min(1.0, max(0.02, self._settings.number("segment_age_s") / 4))
        next_upkeep_s = time.monotonic() + UPKEEP_EVERY_S
        next_verify_s = time.monotonic() + VERIFY_EVERY_S
        verified = ""
        while not self._stopping.wait(pause_s):
            try:
                if self._committer.rotate_due():
                    self._committer.rotate()
                with self._upkeep_lock:
                    sealed = self._sealer.seal_completed(time.monotonic())
                if sealed:
                    self._compact(together_min=COMPACT_TOGETHER_MIN)
                if time.monotonic() >= next_upkeep_s:
                    next_upkeep_s = time.monotonic() + UPKEEP_EVERY_S
                    self._compact(together_min=COMPACT_TOGETHER_MIN)
                    self.retain_now(time.time_ns())
                if time.monotonic() >= next_verify_s:
                    next_verify_s = time.monotonic() + VERIFY_EVERY_S
                    verified = self._verify_after(verified)
            except (OSError, sqlite3.Error, StoreError, pa.ArrowException) as error:
                self._failures += 1
                _log.error("upkeep of the store failed and is tried again: %s", error)
                self._stopping.wait(min(1.0, pause_s * 5))

    def _compact(self, *, together_min: int) -> int:
        with self._upkeep_lock, _told("merging", self._layout):
            bytes_min = self._settings.integer("compact_bytes_min")
            fewer = 0
            for group in compaction.groups(self._view.segments(), bytes_min=bytes_min, together_min=together_min):
                try:
                    merged = compaction.merge(self._layout.telemetry, group)
                except (OSError, ValueError) as error:
                    if not self._suspect(group):
                        raise
                    _log.error("segments could not be merged: %s", error)
                    continue
                self._catalog.swap(group, [merged])
                self._view.swap(group, [merged])
                fewer += len(group) - 1
            return fewer

    def _verify_after(self, identifier: str) -> str:
        """Check the segment that comes after one, round and round; gives the one that was checked."""
        segments = sorted(self._view.segments(), key=lambda s: s.id)
        following = next((s for s in segments if s.id > identifier), segments[0] if segments else None)
        if following is None:
            return ""
        self._suspect([following])
        return following.id

    def _suspect(self, segments: Sequence[Segment]) -> int:
        """Quarantine those of the segments that are damaged; gives their number."""
        broken = [(s, fault) for s in segments if (fault := files.full_fault(self._layout.telemetry, s))]
        counting = {s.id for s in self._view.segments()}
        broken = [(s, fault) for s, fault in broken if s.id in counting]
        for segment, fault in broken:
            self._quarantine.move(
                self._layout.telemetry / segment.path, f"{segment.rows} rows of {segment.signal.value}: {fault}"
            )
        gone = [segment for segment, _ in broken]
        if gone:
            self._catalog.swap(gone, [])
            self._view.swap(gone, [], delete=False)
        return len(gone)

    def _delete(self, segments: list[Segment]) -> None:
        for segment in segments:
            with suppress(OSError):
                (self._layout.telemetry / segment.path).unlink(missing_ok=True)
            for folder in list((self._layout.telemetry / segment.path).parents)[:2]:
                with suppress(OSError):
                    folder.rmdir()
        with suppress(sqlite3.Error):
            self._catalog.forget_doomed([segment.path for segment in segments])


class _told:  # noqa: N801
    """Maps the errors of the disk and of SQLite to StoreError."""

    def __init__(self, doing: str, layout: Layout) -> None:
        self._doing = doing
        self._layout = layout

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | sqlite3.Error):
            raise StoreError(f"{self._doing} telemetry in {self._layout.home} failed: {error}") from error


def _size(folder: Path) -> int:
    return sum(_file_size(file) for file in folder.iterdir())


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
