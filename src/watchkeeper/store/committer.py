"""The committer: one thread that turns waiting requests into durable ones, many to an fsync, in order.

Enters: requests (`offer`, any thread). Leaves, for each group: bytes in the log, hot batches in the view, then the
resolved futures in order, then the `on_durable` callbacks in order. A group that the disk refuses fails with
DiskNearlyFull and leaves nothing behind; the next group tries again. Does not wait for detection or sealing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.errors import QueueFull, StoreError
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store.catalog import Seen
from watchkeeper.store.dedup import Dedup, content_hash
from watchkeeper.store.disk import Disk
from watchkeeper.store.entry import Appended, Entry
from watchkeeper.store.hot import HotBatch, HotFile
from watchkeeper.store.position import Position, take_position
from watchkeeper.store.view import View
from watchkeeper.store.wal import WalFile, body_head, frame

_log = logging.getLogger(__name__)

GROUP_BYTES_MAX = 8 << 20

OnDurable = Callable[[int, Signal, pa.RecordBatch], None]


@dataclass
class Request:
    """One request on its way to the disk, and the retries of it that came meanwhile."""

    entry: Entry
    key: bytes
    head: bytes
    batch: pa.RecordBatch
    bytes: int
    future: Future[Appended]
    position: Position | None = None
    retries: list[Future[Appended]] = field(default_factory=list)


class Committer:
    """Owns the open file of the log. `failures` counts groups that the disk refused or a callback that raised."""

    def __init__(
        self, folder: Path, settings: Settings, view: View, disk: Disk, dedup: Dedup[Request], *, next_sequence: int
    ) -> None:
        self._folder = folder
        self._view = view
        self._disk = disk
        self._dedup = dedup
        self._queue_bytes_max = settings.integer("queue_bytes_max")
        self._hot_bytes_max = settings.integer("hot_bytes_max")
        self._file_bytes_max = settings.integer("wal_file_bytes_max")
        self._age_s_max = settings.number("segment_age_s")
        self._delay_s = settings.number("wal_commit_delay_ms") / 1000
        self._retry_after_s = settings.number("retry_after_s")
        self._changed = threading.Condition()
        self._waiting: deque[Request] = deque()
        self._waiting_bytes = 0
        self._flying_hot_bytes = 0
        self._held_elsewhere: Callable[[], int] = int
        self._next_sequence = next_sequence
        self._rotate_after: int | None = None
        self._stopping = False
        self._callbacks: list[OnDurable] = []
        self._file: WalFile | None = None
        self._hot: HotFile | None = None
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="store-committer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what waits, then end the thread and close the log."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def on_durable(self, callback: OnDurable) -> None:
        """Call this with every batch from now on, once it is durable, in order, from the committer's thread."""
        with self._changed:
            self._callbacks = [*self._callbacks, callback]

    def count_held(self, held_bytes: Callable[[], int]) -> None:
        """Count what others hold in memory of durable batches against `hot_bytes_max`, sealed or not."""
        self._held_elsewhere = held_bytes

    def offer(
        self, signal: Signal, encoding: str, sender: str, received_unix_ns: int, payload: bytes, batch: pa.RecordBatch
    ) -> Future[Appended]:
        """Take in a request; see Store.append. Cost: the hash of the payload and one column."""
        future: Future[Appended] = Future()
        future.set_running_or_notify_cancel()
        key = content_hash(signal, encoding, sender, payload)
        batch, position = take_position(batch)
        hot_bytes, batch_bytes = max(self._view.hot_bytes(), self._held_elsewhere()), batch.nbytes
        with self._changed:
            if self._stopping:
                raise StoreError("the store is closed; open it again")
            stored = self._dedup.stored(key, received_unix_ns)
            if stored is not None:
                future.set_result(Appended(stored, duplicate=True))
                return future
            if position is not None and (passed := self._dedup.passed(position)) is not None:
                place, stored = passed
                future.set_result(Appended(stored, duplicate=True, position=place))
                return future
            flying = self._dedup.flying(key)
            if flying is not None:
                flying.retries.append(future)
                return future
            self._check_room(len(payload), batch_bytes, hot_bytes)
            sequence = self._next_sequence
            entry = Entry(sequence, signal, encoding, sender, received_unix_ns, payload)
            request = Request(
                entry, key, body_head(entry, key), numbered(batch, sequence), batch_bytes, future, position
            )
            self._next_sequence += 1
            self._dedup.depart(key, request)
            self._waiting.append(request)
            self._waiting_bytes += len(payload)
            self._flying_hot_bytes += request.bytes
            self._changed.notify_all()
        return future

    def rotate(self) -> None:
        """Complete the open file of the log once all that waits now is in it, so it can be sealed; waits for that."""
        with self._changed:
            self._rotate_after = self._next_sequence - 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._rotate_after is None or self._stopping)

    def rotate_due(self) -> bool:
        """Tell whether the open file is old enough to be sealed."""
        hot = self._hot
        return hot is not None and time.monotonic() - hot.since_s >= self._age_s_max

    def queue_bytes(self) -> int:
        """Give the size of the requests that wait for the disk."""
        with self._changed:
            return self._waiting_bytes

    def _check_room(self, payload_bytes: int, batch_bytes: int, hot_bytes: int) -> None:
        self._disk.check()
        if self._waiting_bytes and self._waiting_bytes + payload_bytes > self._queue_bytes_max:
            raise QueueFull(
                f"{self._waiting_bytes >> 20} MiB wait for the disk already (`queue_bytes_max`); send again later",
                retry_after_s=self._retry_after_s,
            )
        held = hot_bytes + self._flying_hot_bytes
        if held and held + batch_bytes > self._hot_bytes_max:
            raise QueueFull(
                f"{held >> 20} MiB of telemetry wait to be judged or written (`hot_bytes_max`); send again later",
                retry_after_s=self._retry_after_s,
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._rotate_after is not None or self._stopping)
                if self._waiting and self._delay_s and not self._stopping and self._rotate_after is None:
                    self._changed.wait_for(
                        lambda: self._waiting_bytes >= GROUP_BYTES_MAX or self._stopping, self._delay_s
                    )
                group = self._take_group()
                rotate = self._rotate_reached()
                stop = self._stopping and not group
            if group:
                self._commit(group)
            if rotate or stop or self._is_full():
                self._complete_file(keep_hot=stop)
            if rotate:
                with self._changed:
                    self._rotate_after = None
                    self._changed.notify_all()
            if stop:
                return

    def _rotate_reached(self) -> bool:
        if self._rotate_after is None:
            return False
        return not self._waiting or self._waiting[0].entry.sequence > self._rotate_after

    def _take_group(self) -> list[Request]:
        group: list[Request] = []
        size = 0
        while self._waiting and (not group or size + len(self._waiting[0].entry.payload) <= GROUP_BYTES_MAX):
            group.append(self._waiting.popleft())
            size += len(group[-1].entry.payload)
        return group

    def _is_full(self) -> bool:
        if self._file is None or self._hot is None:
            return False
        too_big = self._file.durable_bytes >= self._file_bytes_max or self._hot.bytes >= self._hot_bytes_max // 4
        return too_big or self.rotate_due()

    def _commit(self, group: Sequence[Request]) -> None:
        try:
            self._write(group)
        except (OSError, StoreError) as error:
            self._fail(group, error)
            return
        assert self._hot is not None
        arrived = [(r, HotBatch.of(r.entry.sequence, r.entry.signal, r.batch)) for r in group]
        self._view.add(
            self._hot,
            [(batch, Seen(r.key, r.entry.sequence, r.entry.received_unix_ns, r.position)) for r, batch in arrived],
        )
        with self._changed:
            for request in group:
                self._dedup.arrive(request.key, request.entry.sequence, request.entry.received_unix_ns)
                if request.position is not None:
                    self._dedup.reach(request.position, request.entry.sequence)
            self._forget(group)
            callbacks = self._callbacks
        for request in group:
            request.future.set_result(Appended(request.entry.sequence, duplicate=False))
            for retry in request.retries:
                retry.set_result(Appended(request.entry.sequence, duplicate=True))
        for request in group:
            for callback in callbacks:
                self._call(callback, request)

    def _write(self, group: Sequence[Request]) -> None:
        if self._file is None:
            self._file = WalFile.create(self._folder, group[0].entry.sequence)
            self._hot = HotFile(self._file.path, time.monotonic())
        pieces = [piece for r in group for piece in frame(r.head, r.entry.payload, self._file.salt)]
        self._file.append(pieces)

    def _fail(self, group: Sequence[Request], error: Exception) -> None:
        self.failures += 1
        _log.error("%d requests could not be written to the log and are refused: %s", len(group), error)
        self._complete_file(keep_hot=False)
        with self._changed:
            for request in group:
                self._dedup.fail(request.key)
            self._forget(group)
        refusal = self._disk.full(str(error)) if isinstance(error, OSError) else error
        for request in group:
            for future in (request.future, *request.retries):
                future.set_exception(refusal)

    def _forget(self, group: Sequence[Request]) -> None:
        self._waiting_bytes -= sum(len(r.entry.payload) for r in group)
        self._flying_hot_bytes -= sum(r.bytes for r in group)

    def _complete_file(self, *, keep_hot: bool) -> None:
        """Write no more to the open file; one that holds nothing is deleted."""
        file, hot = self._file, self._hot
        self._file = self._hot = None
        if file is None or hot is None:
            return
        with suppress(OSError):
            file.close()
        if not hot.last_sequence:
            with suppress(OSError):
                file.path.unlink()
        elif not keep_hot:
            self._view.complete(hot)

    def _call(self, callback: OnDurable, request: Request) -> None:
        try:
            callback(request.entry.sequence, request.entry.signal, request.batch)
        except Exception:  # noqa: BLE001 - a listener's fault must not stop telemetry from being stored: told and counted
            self.failures += 1
            _log.exception("a listener failed on batch %d; it is stored all the same", request.entry.sequence)


def numbered(batch: pa.RecordBatch, sequence: int) -> pa.RecordBatch:
    """Give the batch with its sequence in the column `batch`, and each row's place in the column `row`."""
    own = {
        "batch": pa.repeat(pa.scalar(sequence, pa.int64()), batch.num_rows),
        "row": pa.array(np.arange(batch.num_rows, dtype=np.int32)),
    }
    for name, column in own.items():
        index = batch.schema.get_field_index(name)
        batch = batch.set_column(index, batch.schema.field(index), column)
    return batch
