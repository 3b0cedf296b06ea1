"""The pipeline: durable batches in, template ids and findings out, one thread, in the order of the write-ahead log.

Batches that wait together are mined and scored together, one signal after another, then each is given back to the store
with its template ids. Event time decides; while nothing comes, event time moves on with the wall clock, so that silence
closes windows. Receiving never waits for this thread; what waits here counts against the store's memory cap, and beyond
that senders are told to send again later.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.app.tail import Tail
from watchkeeper.detect.base import Detector
from watchkeeper.detect.protection import Confirmed, Protects
from watchkeeper.detect.reported import without_reports
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.store import Store

ROWS_TOGETHER_MAX = 50_000
FLUSH_EVERY_S = 1.0
TEMPLATE_ATTRIBUTE = "log.record.template"

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Looks at telemetry as it passes, and learns from it without finding fault: the topology, changes."""

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take one batch in."""


class Item(NamedTuple):
    """One durable batch on its way."""

    sequence: int
    signal: Signal
    batch: pa.RecordBatch
    arrived_s: float


class Newest(NamedTuple):
    """The newest event time of a signal, and when, by the pipeline's clock, it was seen."""

    event_unix_ns: int
    seen_s: float


@dataclass
class PipelineStats:
    """How far the pipeline has come; `lag_s` is the age of the oldest batch that waits."""

    pending_batches: int = 0
    lag_s: float = 0.0
    lines_mined: int = 0
    failures: int = 0
    last_failure: str = ""


class Pipeline:
    """Mines, enriches, detects. `submit` may be called from any thread; all else happens in the pipeline's own."""

    def __init__(
        self,
        store: Store,
        miner: TemplateMiner,
        detectors: MutableMapping[Signal, Detector],
        *,
        tail: Tail,
        publish: Callable[[list[Finding]], None],
        observers: Sequence[Observer] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._miner = miner
        self._detectors = detectors
        self._observers = [*observers]
        self._tail = tail
        self._publish = publish
        self._clock = clock
        self._waiting: deque[Item] = deque()
        self._held_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._working_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._newest: dict[Signal, Newest] = {}
        self._confirmed: tuple[Confirmed, ...] = ()
        self.stats_counted = PipelineStats()
        self.sequence = 0
        self.state_lock = threading.RLock()

    def add_observer(self, observer: Observer) -> None:
        """Have one more look at what passes; before `start`."""
        self._observers.append(observer)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, sequence: int, signal: Signal, batch: pa.RecordBatch) -> None:
        """Take in one durable batch; never blocks."""
        with self._changed:
            self._waiting.append(Item(sequence, signal, batch, self._clock()))
            self._held_bytes += batch.get_total_buffer_size()
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def held_bytes(self) -> int:
        """Give the memory of the batches that wait or are worked on."""
        with self._changed:
            return self._held_bytes

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; False when the time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._working_since_s is None, timeout_s)

    def stats(self) -> PipelineStats:
        """Give the counters of this moment."""
        with self._changed:
            stats = PipelineStats(**vars(self.stats_counted))
            stats.pending_batches = len(self._waiting)
            oldest = self._working_since_s if self._working_since_s is not None else None
            if oldest is None and self._waiting:
                oldest = self._waiting[0].arrived_s
            stats.lag_s = max(0.0, self._clock() - oldest) if oldest is not None else 0.0
            return stats

    def event_time_unix_ns(self) -> int:
        """Give the event time of now: the newest event of any signal, moved on with the clock since; 0 before any."""
        times = [
            newest.event_unix_ns + int((self._clock() - newest.seen_s) * 1e9) for newest in self._newest.copy().values()
        ]
        return max(times, default=0)

    def _run(self) -> None:
        flushed_s = self._clock()
        while True:
            with self._changed:
                if not self._waiting and not self._stopping:
                    self._changed.wait(FLUSH_EVERY_S)
                items = self._take()
                if not items and self._stopping:
                    return
                self._working_since_s = items[0].arrived_s if items else None
            if items:
                self._work(items)
            if self._clock() - flushed_s >= FLUSH_EVERY_S:
                flushed_s = self._clock()
                self._flush()
            with self._changed:
                self._held_bytes -= sum(item.batch.get_total_buffer_size() for item in items)
                self._working_since_s = None
                self._changed.notify_all()

    def _take(self) -> list[Item]:
        """Take what waits, oldest first, up to ROWS_TOGETHER_MAX rows; called under the lock."""
        items: list[Item] = []
        rows = 0
        while self._waiting:
            rows += self._waiting[0].batch.num_rows
            if items and rows > ROWS_TOGETHER_MAX:
                break
            items.append(self._waiting.popleft())
        return items

    def _work(self, items: list[Item]) -> None:
        """Process the batches, each signal's in their order. A checkpoint sees all of them done, or none."""
        with self.state_lock:
            for signal in dict.fromkeys(item.signal for item in items):
                self._work_on(signal, [item for item in items if item.signal == signal])
            self.sequence = max(self.sequence, items[-1].sequence)

    def _work_on(self, signal: Signal, items: list[Item]) -> None:
        """Process batches of one signal; a failure is our fault: it is told, counted, and the data stays stored."""
        try:
            enriched = self._mine(items) if signal is Signal.LOGS else [item.batch for item in items]
        except Exception as error:  # noqa: BLE001 - the boundary: one bad batch must not end the pipeline
            self._failed("mining", error)
            enriched = [item.batch for item in items]
        for item, batch in zip(items, enriched, strict=True):
            columns = {"template_id": batch.column("template_id")} if signal is Signal.LOGS else {}
            self._store.enrich(item.sequence, signal, columns)
            self._tail.publish(signal, batch)
        self._judge(enriched, signal)

    def _mine(self, items: list[Item]) -> list[pa.RecordBatch]:
        bodies = pa.chunked_array([item.batch.column("body") for item in items]).combine_chunks()
        times = pa.chunked_array([item.batch.column("time_unix_ns") for item in items]).combine_chunks()
        attributes = pa.chunked_array([item.batch.column("attributes") for item in items])
        ids = self._miner.match(bodies, times, given=given_templates(attributes))
        self.stats_counted.lines_mined += len(ids)
        enriched, start = [], 0
        index = LOGS.get_field_index("template_id")
        for item in items:
            rows = item.batch.num_rows
            enriched.append(item.batch.set_column(index, LOGS.field(index), ids.slice(start, rows)))
            start += rows
        return enriched

    def _judge(self, batches: list[pa.RecordBatch], signal: Signal) -> None:
        if not sum(batch.num_rows for batch in batches):
            return
        together = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
        newest = pc.max(together.column("time_unix_ns")).as_py()
        if signal not in self._newest or newest > self._newest[signal].event_unix_ns:
            self._newest[signal] = Newest(newest, self._clock())
        for observer in self._observers:
            self._guarded(f"observation of {signal.value}", partial(observer.observe, signal, together))
        if signal in self._detectors:
            self._guarded(f"detection on {signal.value}", partial(self._learn, signal, together))

    def _flush(self) -> None:
        """Let the event time of each signal move on with the clock since its newest event."""
        for signal, newest in self._newest.items():
            if signal not in self._detectors:
                continue
            until_unix_ns = newest.event_unix_ns + int((self._clock() - newest.seen_s) * 1e9)
            with self.state_lock:
                self._guarded(f"detection on {signal.value}", partial(self._close_windows, signal, until_unix_ns))

    def _learn(self, signal: Signal, batch: pa.RecordBatch) -> None:
        judged = without_reports(batch) if signal is Signal.LOGS else batch
        if judged.num_rows:
            self._tell(self._detectors[signal].learn(judged))

    def _close_windows(self, signal: Signal, until_unix_ns: int) -> None:
        self._tell(self._detectors[signal].flush(until_unix_ns))

    def _guarded(self, stage: str, work: Callable[[], None]) -> None:
        """Run one part of the judging; its failure is told and counted, and takes nothing from the other parts."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the boundary: one part's fault must not end the pipeline
            self._failed(stage, error)

    def _tell(self, findings: list[Finding]) -> None:
        if findings:
            self._publish(findings)

    def _failed(self, stage: str, error: Exception) -> None:
        self.stats_counted.failures += 1
        self.stats_counted.last_failure = f"{stage}: {type(error).__name__}: {error}"
        log.exception("%s failed; the telemetry is stored and this batch is not judged", stage)

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        """Let no detector learn these as normal, from the next batch on; takes the place of what was told before."""
        with self.state_lock:
            self._confirmed = tuple(confirmed)
            for detector in self._detectors.values():
                if isinstance(detector, Protects):
                    detector.protect(self._confirmed)

    def save_detectors(self, folder: Path) -> None:
        """Write what the detectors have learned into the folder."""
        with self.state_lock:
            for signal, detector in self._detectors.items():
                detector.save(folder / f"detector-{signal.value}")

    def exchange(self, detectors: Mapping[Signal, Detector], done: Callable[[], None]) -> None:
        """Let other detectors go on in the place of these, between two batches; `done` runs before the next one.

        What waits is judged by them. What is open is closed.
        """
        closed: list[Finding] = []
        with self.state_lock:
            for signal, detector in detectors.items():
                closed += detector.take_over(self._detectors[signal])
                self._detectors[signal] = detector
            self.protect(self._confirmed)
            done()
        self._tell(closed)

    def save(self, folder: Path) -> None:
        """Write the miner's and the detectors' state into the folder."""
        with self.state_lock:
            self._miner.save(folder / "patterns")
            self.save_detectors(folder)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote; raises StoreError when it is damaged or of a newer version.

        A detector that the state knows nothing of, for it was added since, begins anew.
        """
        with self.state_lock:
            self._miner.load(folder / "patterns")
            for signal, detector in self._detectors.items():
                if (folder / f"detector-{signal.value}").exists():
                    detector.load(folder / f"detector-{signal.value}")


def given_templates(attributes: pa.ChunkedArray) -> pa.StringArray | None:
    """Give the templates that records carry themselves (`log.record.template`), null where none; None for none at all.

    attributes: (n,) JSON objects. Cost: one substring search a row, a parse only of rows that have it.
    """
    said = pc.match_substring(attributes, f'"{TEMPLATE_ATTRIBUTE}"')
    if not pc.any(said).as_py():
        return None
    texts = [
        json.loads(text).get(TEMPLATE_ATTRIBUTE) if has else None
        for text, has in zip(attributes.to_pylist(), said.to_pylist(), strict=True)
    ]
    return pa.array([text if isinstance(text, str) else None for text in texts], pa.string())
