"""The one consistent picture of what is stored: the segments that count and the hot files, under one lock.

Whatever moves telemetry (a commit, a seal, a merge, a deletion) changes the picture in one step, so a Snapshot never
holds a row twice or misses one. A segment that no longer counts is deleted when the last snapshot that holds it is
released. Does no I/O under the lock.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import pyarrow as pa

from watchkeeper.signals.schema import Signal
from watchkeeper.store.catalog import Seen
from watchkeeper.store.hot import HotBatch, HotFile
from watchkeeper.store.segments import Segment

TimeRange = tuple[int, int]


@dataclass(frozen=True)
class Snapshot:
    """Segments and hot batches at one moment; a context manager that lets go of the segments at its end."""

    segments: Mapping[Signal, Sequence[Segment]]
    hot: Mapping[Signal, Sequence[pa.RecordBatch]]
    release: Callable[[], None]

    def __enter__(self) -> Snapshot:
        """Hold the segments."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the segments go."""
        self.release()


@dataclass(frozen=True)
class Extent:
    """How much there is of one signal; the times are None when there is nothing."""

    rows: int
    bytes: int
    segments: int
    oldest_unix_ns: int | None
    newest_unix_ns: int | None


class View:
    """The picture, and every step that changes it. `delete` is called, outside the lock, with files no one holds."""

    def __init__(self, segments: Iterable[Segment], delete: Callable[[list[Segment]], None]) -> None:
        self._changed = threading.Condition()
        self._segments = {segment.id: segment for segment in segments}
        self._hot: dict[str, HotFile] = {}
        self._held: Counter[str] = Counter()
        self._doomed: dict[str, Segment] = {}
        self._delete = delete
        self._stopping = False

    def stop(self) -> None:
        """Let nothing wait for the pipeline any more: the store is being closed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def add(self, file: HotFile, batches: Sequence[tuple[HotBatch, Seen]]) -> None:
        """Show durable batches of a log file, all of them at once."""
        with self._changed:
            self._hot.setdefault(file.path.name, file)
            for batch, seen in batches:
                file.add(batch, seen)
            self._changed.notify_all()

    def complete(self, file: HotFile) -> None:
        """Note that nothing more comes into a log file."""
        with self._changed:
            file.complete = True
            self._changed.notify_all()

    def enrich(self, sequence: int, columns: Mapping[str, pa.Array]) -> bool:
        """Put the pipeline's columns into a batch; False when it is in a segment already."""
        with self._changed:
            for file in self._hot.values():
                if file.enrich(sequence, columns):
                    if not file.waiting:
                        self._changed.notify_all()
                    return True
        return False

    def completed(self, now_s: float) -> list[HotFile]:
        """Give the log files that can be sealed at a monotonic time, oldest first."""
        with self._changed:
            done = [file for file in self._hot.values() if file.complete]
        return list(itertools.takewhile(lambda file: file.seal_after_s <= now_s or not file.waiting, done))

    def wait_enriched(self, file: HotFile, timeout_s: float, hot_bytes_max: int) -> bool:
        """Wait until the pipeline is done with a file, the time is over, or memory runs short.

        False when the store is being closed and the file is better left to the next opening.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: not file.waiting or self._stopping or self._hot_bytes() > hot_bytes_max, timeout_s
            )
            return not (self._stopping and file.waiting)

    def freeze(self, file: HotFile) -> dict[Signal, list[pa.RecordBatch]]:
        """Give all batches of a file for sealing; what the pipeline says of them from now on comes too late."""
        with self._changed:
            frozen = {signal: [b.batch for b in file.batches(signal)] for signal in Signal}
            for batch in [*file.waiting.values()]:
                file.enrich(batch.sequence, {})
            return frozen

    def seal(self, file: HotFile, segments: Sequence[Segment]) -> None:
        """Show segments in place of a hot file."""
        with self._changed:
            del self._hot[file.path.name]
            self._segments.update((segment.id, segment) for segment in segments)

    def swap(self, removed: Sequence[Segment], added: Sequence[Segment], *, delete: bool = True) -> None:
        """Show some segments in place of others; with `delete` the others' files go once no snapshot holds them."""
        with self._changed:
            for segment in removed:
                if self._segments.pop(segment.id, None) is not None and delete:
                    self._doomed[segment.id] = segment
            self._segments.update((segment.id, segment) for segment in added)
            free = self._take_free()
        if free:
            self._delete(free)

    def segments(self, signal: Signal | None = None) -> list[Segment]:
        """Give the segments that count."""
        with self._changed:
            return [s for s in self._segments.values() if signal is None or s.signal == signal]

    def snapshot(self, signals: Iterable[Signal], time_range: TimeRange | None = None) -> Snapshot:
        """Give everything of some signals that can hold rows of a time range (inclusive, Unix ns)."""
        low, high = time_range or (-(2**63), 2**63 - 1)
        wanted = tuple(signals)
        with self._changed:
            segments: dict[Signal, list[Segment]] = {signal: [] for signal in wanted}
            for segment in self._segments.values():
                if segment.signal in segments and segment.max_time_unix_ns >= low and segment.min_time_unix_ns <= high:
                    segments[segment.signal].append(segment)
            hot = {
                signal: [
                    batch.batch
                    for file in self._hot.values()
                    for batch in file.batches(signal)
                    if batch.max_time_unix_ns >= low and batch.min_time_unix_ns <= high
                ]
                for signal in wanted
            }
            held = [segment.id for group in segments.values() for segment in group]
            self._held.update(held)
        return Snapshot(segments, hot, lambda: self._release(held))

    def hot_bytes(self) -> int:
        """Give the memory of all hot batches."""
        with self._changed:
            return self._hot_bytes()

    def extents(self) -> dict[Signal, Extent]:
        """Tell how much there is of each signal, hot batches included."""
        with self._changed:
            return {signal: self._extent(signal) for signal in Signal}

    def _hot_bytes(self) -> int:
        return sum(file.bytes for file in self._hot.values())

    def _extent(self, signal: Signal) -> Extent:
        segments = [s for s in self._segments.values() if s.signal == signal]
        hot = [b for file in self._hot.values() for b in file.batches(signal) if b.batch.num_rows]
        times = [(s.min_time_unix_ns, s.max_time_unix_ns) for s in segments]
        times += [(b.min_time_unix_ns, b.max_time_unix_ns) for b in hot]
        return Extent(
            rows=sum(s.rows for s in segments) + sum(b.batch.num_rows for b in hot),
            bytes=sum(s.bytes for s in segments),
            segments=len(segments),
            oldest_unix_ns=min((low for low, _ in times), default=None),
            newest_unix_ns=max((high for _, high in times), default=None),
        )

    def _release(self, held: Sequence[str]) -> None:
        with self._changed:
            self._held.subtract(held)
            free = self._take_free()
            self._held += Counter()
        if free:
            self._delete(free)

    def _take_free(self) -> list[Segment]:
        free = [segment for key, segment in self._doomed.items() if self._held[key] <= 0]
        for segment in free:
            del self._doomed[segment.id]
        return free
