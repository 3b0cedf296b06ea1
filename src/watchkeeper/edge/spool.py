"""The spool: what this node took in and the centre does not have yet, on disk, bounded, in order, for each signal.

Enters: requests, from any thread. Leaves: a future each, set once the request is durable; then, to the forwarder, its
entries. One thread writes, so that requests that wait together share one fsync. A request that was stored lately is
recognised by its hash, across restarts too. At the cap new requests are refused; nothing is dropped.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

from watchkeeper.edge.lane import Lane, entries_of
from watchkeeper.errors import DiskNearlyFull, QueueFull, StoreError, TooLarge
from watchkeeper.signals.signal import Signal
from watchkeeper.store.dedup import Dedup, content_hash
from watchkeeper.store.disk import Disk
from watchkeeper.store.entry import Entry
from watchkeeper.store.layout import FolderLock

FILE_BYTES_MAX = 1 << 20
REMEMBERED_MAX = 20_000
ENCODING = "protobuf"

_log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """What waits to be forwarded: records since this start, since when the oldest waits, whether older ones are left.

    `since_s` is a monotonic time, None when nothing waits.
    """

    records: int
    since_s: float | None
    behind: bool


class _Request(NamedTuple):
    entry: Entry
    key: bytes
    records: int
    futures: list[Future[bool]]


class _State:
    """One signal's lane with what is known of it in memory."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.dedup: Dedup[_Request] = Dedup(0)
        self.next = 1
        self.forwarded = 0
        self.known_from = 1
        self.records = 0
        self.since_s: float | None = None


class Spool:
    """The spool of one agent; `start` before use, `stop` after. One process opens it at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        bytes_max: int,
        disk_free_bytes_min: int = 0,
        dedup_window_s: float,
        retry_after_s: float = 1.0,
        now_unix_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes_max = bytes_max
        self._window_ns = int(dedup_window_s * 1e9)
        self._retry_after_s = retry_after_s
        self._now_unix_ns = now_unix_ns
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._queue: deque[tuple[_State, _Request]] = deque()
        self._queued_bytes = 0
        self._stopping = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = FolderLock.take(folder / "LOCK")
        self._disk = Disk(folder, disk_free_bytes_min, retry_after_s)
        file_bytes_max = max(4096, min(FILE_BYTES_MAX, bytes_max // 16))
        self._states = {
            signal: _State(Lane(folder / signal.value, signal, file_bytes_max=file_bytes_max)) for signal in Signal
        }
        for state in self._states.values():
            self._recover(state, dedup_window_s)
        self._thread = threading.Thread(target=self._run, name="edge-spool", daemon=True)

    def _recover(self, state: _State, dedup_window_s: float) -> None:
        state.dedup = Dedup(dedup_window_s, remembered_max=REMEMBERED_MAX)
        now = self._now_unix_ns()
        for record in state.lane.recover():
            # However long this process was away: what it was about when it ended comes again now.
            state.dedup.arrive(record.content_hash, record.entry.sequence, max(record.entry.received_unix_ns, now))
        state.next = state.known_from = state.lane.last + 1

    def resume(self, signal: Signal, forwarded: int) -> int:
        """Note, before `start`, how far an earlier process had forwarded; gives the sequence of the next entry."""
        state = self._states[signal]
        state.forwarded = forwarded
        state.next = state.known_from = max(state.next, forwarded + 1)
        if state.lane.last > forwarded:
            state.since_s = self._monotonic()
        return state.next

    def start(self) -> None:
        """Start the thread that writes."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, end the thread, close the files."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        for state in self._states.values():
            state.lane.close()
        self._lock.release()

    @property
    def size_bytes(self) -> int:
        """Give the size of the spool on disk, what was forwarded and is kept for retries included."""
        with self._changed:
            return sum(state.lane.size_bytes for state in self._states.values())

    @property
    def damaged(self) -> int:
        """Count the stretches of files that could not be read."""
        return sum(state.lane.damaged for state in self._states.values())

    def append(self, signal: Signal, sender: str, payload: bytes, records: int) -> Future[bool]:
        """Store one request in protobuf; the future is set once it is durable, to True when it was stored before.

        Raises QueueFull at the cap, DiskNearlyFull when the disk has less room than it must, TooLarge for what could
        never be stored, or sets DiskNearlyFull when the disk refuses; nothing is stored then.
        """
        future: Future[bool] = Future()
        future.set_running_or_notify_cancel()
        state = self._states[signal]
        key = content_hash(signal, ENCODING, sender, payload)
        now = self._now_unix_ns()
        with self._changed:
            if self._stopping:
                raise StoreError("the agent is stopping; send again later")
            if state.dedup.stored(key, now) is not None:
                future.set_result(True)
                return future
            flying = state.dedup.flying(key)
            if flying is not None:
                flying.futures.append(future)
                return future
            self._make_room(len(payload))
            entry = Entry(state.next, signal, ENCODING, sender, now, payload)
            request = _Request(entry, key, records, [future])
            state.next += 1
            state.dedup.depart(key, request)
            self._queue.append((state, request))
            self._queued_bytes += len(payload)
            self._changed.notify_all()
        return future

    def _make_room(self, size: int) -> None:
        """Delete what went on already if that makes room for `size` bytes; raises QueueFull when it does not."""
        if size > self._bytes_max:
            raise TooLarge(
                f"the request is of {size} bytes and the spool holds {self._bytes_max} at most (edge_spool_bytes_max); "
                "send smaller batches"
            )
        try:
            self._disk.check()
        except DiskNearlyFull:
            self._forget_forwarded()
            raise
        wanted = (
            sum(state.lane.size_bytes for state in self._states.values()) + self._queued_bytes + size - self._bytes_max
        )
        if wanted > 0 and wanted > self._forget_forwarded():
            raise QueueFull(
                f"the spool holds {self._bytes_max >> 10} KiB that the centre has not taken yet "
                "(edge_spool_bytes_max); send again later",
                retry_after_s=self._retry_after_s,
            )

    def make_room(self) -> None:
        """Delete all that went on already, for the disk is full; a sender's retry of it is a new request then."""
        with self._changed:
            self._forget_forwarded()

    def _forget_forwarded(self) -> int:
        return sum(state.lane.forget(state.forwarded, before_unix_ns=1 << 62) for state in self._states.values())

    def waiting(self, signal: Signal) -> Waiting:
        """Tell what waits to be forwarded."""
        with self._changed:
            state = self._states[signal]
            behind = state.forwarded < min(state.lane.last, state.known_from - 1)
            return Waiting(state.records, state.since_s, behind)

    def last(self, signal: Signal) -> int:
        """Give the highest sequence that is durable."""
        with self._changed:
            return self._states[signal].lane.last

    def wait(self, timeout_s: float) -> None:
        """Wait until something is stored, or the time is over, or the spool stops."""
        with self._changed:
            if not self._stopping:
                self._changed.wait(timeout_s)

    def entries(self, signal: Signal, after: int) -> Iterator[Entry]:
        """Read the durable entries after a place, in order."""
        with self._changed:
            files = self._states[signal].lane.files_after(after)
        return entries_of(files, after)

    def forwarded(self, signal: Signal, sequence: int, records: int) -> None:
        """Note that all up to a sequence is the centre's, `records` of them; files may be deleted from now on."""
        with self._changed:
            state = self._states[signal]
            if sequence >= state.known_from:
                state.records = max(0, state.records - records)
            state.forwarded = max(state.forwarded, sequence)
            state.since_s = self._monotonic() if state.lane.last > state.forwarded else None
            if state.since_s is None:
                state.records = 0
            state.lane.forget(state.forwarded, before_unix_ns=self._now_unix_ns() - self._window_ns)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                group = list(self._queue)
                self._queue.clear()
                self._queued_bytes = 0
                if not group and self._stopping:
                    return
            for state in self._states.values():
                mine = [request for owner, request in group if owner is state]
                if mine:
                    self._commit(state, mine)

    def _commit(self, state: _State, group: list[_Request]) -> None:
        error: Exception | None = None
        with self._changed:
            try:
                state.lane.write([(request.entry, request.key) for request in group])
            except Exception as failure:  # noqa: BLE001 the boundary of a thread: those who wait must get an answer
                _log.error("%d requests could not be written to the spool and are refused: %r", len(group), failure)
                state.lane.close()
                error = DiskNearlyFull(f"the spool cannot be written: {failure}", retry_after_s=self._retry_after_s)
            for request in group:
                if error is not None:
                    state.dedup.fail(request.key)
                    continue
                state.dedup.arrive(request.key, request.entry.sequence, request.entry.received_unix_ns)
                state.records += request.records
                state.since_s = self._monotonic() if state.since_s is None else state.since_s
            self._changed.notify_all()
        for request in group:
            for place, future in enumerate(request.futures):
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(place > 0)
