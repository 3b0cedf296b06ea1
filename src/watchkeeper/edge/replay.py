"""Replay: reads sources, paces and batches their records, and sends them; `replay()` is the whole of it.

Enters: Sources and a Plan. Leaves: OTLP requests through a Sender, and a Summary in which every line and record is
accounted for. Sending runs in a thread beside reading, one batch at a time and in order. Prints nothing.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, tzinfo
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from watchkeeper.edge.lines import LineCounts, LineReader, decompressed, live_lines, read_chunks, read_lines
from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.parser import LogParser, ParseCounts, find_shape
from watchkeeper.edge.record import Record
from watchkeeper.edge.sender import Sender, Sent
from watchkeeper.edge.source import Source
from watchkeeper.edge.timeline import Timeline, When
from watchkeeper.edge.timestamps import SECOND_NS, Clock
from watchkeeper.errors import Refused, TooLarge

SAMPLE_LINES = 200
BATCH_CHARACTERS_MAX = 2 * 1024 * 1024
_IN_FLIGHT_MAX = 2
_PACE_STEP_S = 0.2
_STOP_GRACE_S = 2.0
_MERGE_RECORDS = 1000
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plan:
    """What a replay is to do.

    `rate` is records a second at the most, 0 for no bound; `speed` divides the recorded gaps, 0 ignores them; `limit`
    is the number of records after which it stops, 0 for none; `service` overrides every service name; `merge`
    interleaves several sources by time instead of one after the other.
    """

    when: When = When.ORIGINAL
    rate: float = 0.0
    speed: float = 0.0
    service: str = ""
    format: str = "auto"
    batch_records: int = 1000
    limit: int = 0
    keep_original: bool = False
    merge: bool = False
    zone: tzinfo = UTC


@dataclass
class Summary:
    """What a replay did; records read = sent + rejected + unsent, and `unsent` is 0 unless it stopped early."""

    lines: int = 0
    bytes: int = 0
    records: int = 0
    sent: int = 0
    rejected: int = 0
    unsent: int = 0
    requests: int = 0
    retries: int = 0
    joined_lines: int = 0
    empty_lines: int = 0
    without_time: int = 0
    mended_lines: int = 0
    cut_lines: int = 0
    cut_bytes: int = 0
    first_unix_ns: int = 0
    last_unix_ns: int = 0
    shift_ns: int = 0
    elapsed_s: float = 0.0
    rejected_message: str = ""
    shapes: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON; times as text, as everywhere in the API."""
        data = asdict(self)
        for name in ("first_unix_ns", "last_unix_ns", "shift_ns"):
            data[name] = str(data[name])
        return data


class SourceReader:
    """Reads one source into records; its counts are complete once it is exhausted."""

    def __init__(self, source: Source, plan: Plan, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.source = source
        self._now_ns = now_ns
        self._clock = Clock(plan.zone, source.reference_unix_ns)
        self.lines = LineCounts()
        self.parsed = ParseCounts()
        self.shape = ""
        self._plan = plan
        self._position: Callable[[], int] | None = None

    def position(self) -> int:
        """Give how far the source has been read, in the bytes of its `size_bytes`."""
        return self._position() if self._position is not None else 0

    def batches(self) -> Iterator[list[Record]]:
        """Give the records in batches; an empty batch says that the source is quiet for the moment."""
        with self.source.open() as raw:
            stream, _ = decompressed(raw)
            self._position = raw.tell if not self.source.live and raw.seekable() else lambda: self.lines.bytes
            reader = LineReader(self.lines)
            batches = read_lines(read_chunks(stream, self.source.name), reader)
            if self.source.live:
                batches = live_lines(batches)
            yield from self._parse(batches)
            self._position = lambda: self.source.size_bytes or self.lines.bytes

    def _parse(self, batches: Iterator[list[str]]) -> Iterator[list[Record]]:
        sample: list[str] = []
        held: list[list[str]] = []
        for lines in batches:
            held.append(lines)
            sample.extend(lines)
            if len(sample) >= SAMPLE_LINES or (not lines and sample):
                break
        parser = self._parser(sample[:SAMPLE_LINES])
        for lines in held:
            yield parser.feed(lines)
        for lines in batches:
            if self.source.live:
                # What comes through a pipe may come for days, and speaks of now.
                self._clock.reference_unix_ns = self._now_ns()
                self._clock.minutes.clear()
            yield parser.feed(lines) if lines else parser.flush()
        yield parser.flush()

    def _parser(self, sample: list[str]) -> LogParser:
        plan, source, clock = self._plan, self.source, self._clock
        shape = find_shape(sample, clock, plan.format)
        self.shape = shape.describe()
        parser = LogParser(
            shape,
            clock,
            resource=(("service.name", plan.service or source.service), *source.resource),
            fixed=(("service.name", plan.service),) if plan.service else (),
            keep_original=plan.keep_original,
        )
        self.parsed = parser.counts
        return parser


class _Timed(NamedTuple):
    """A record with its time moved, and the moment (or just the order) in which it is due."""

    due_unix_ns: int
    record: Record


class Replay:
    """One replay: give it sources and a plan, call run(). `sender` None reads and counts only (a dry run)."""

    def __init__(
        self,
        sources: Sequence[Source],
        plan: Plan,
        sender: Sender | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.summary = Summary()
        self._sources = sources
        self._plan = plan
        self._sender = sender
        self._progress: Callable[[Summary, int, float], None] = lambda summary, position, elapsed_s: None
        self._sleep = sleep
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._in_flight: deque[tuple[int, Future[Sent]]] = deque()
        self._timelines: dict[str, Timeline] = {}
        self._batch: list[Record] = []
        self._batch_characters = 0
        self._handed = 0
        self._failed = False
        self._started_s = 0.0
        self._batch_max = plan.batch_records
        if plan.rate > 0:
            self._batch_max = max(1, min(plan.batch_records, int(plan.rate * _PACE_STEP_S)))

    def on_progress(self, progress: Callable[[Summary, int, float], None]) -> None:
        """Have `progress` called after each batch with the summary, the bytes read and the seconds since the start."""
        self._progress = progress

    def run(self) -> Summary:
        """Read and send everything; the summary is kept up to date, also when an error ends it early."""
        self._look_ahead()
        self._started_s = self._monotonic()
        readers = [SourceReader(source, self._plan, now_ns=self._now_ns) for source in self._sources]
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watchkeeper-send")
        try:
            for batch in self._limited(self._read(readers)):
                self._take(batch, executor)
                self._count(readers)
                position = sum(reader.position() for reader in readers)
                self._progress(self.summary, position, self._monotonic() - self._started_s)
            self._send_batch(executor)
            while self._in_flight:
                self._settle()
        except BaseException:
            self._stop_sending()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
            self._abandon()
            self._count(readers)
            if len(self._timelines) == 1 and self._plan.speed == 0:
                self.summary.shift_ns = next(iter(self._timelines.values())).shift_ns
            self.summary.elapsed_s = self._monotonic() - self._started_s
        return self.summary

    def _look_ahead(self) -> None:
        """Make a timeline for each service, and look through the sources where its ends must be known beforehand.

        That is when a history is to end now, and when several sources begin at different times. A live source cannot
        be looked through: there the first record is now.
        """
        plan = self._plan
        several = len(self._sources) > 1
        ahead = not any(source.live for source in self._sources) and (
            (plan.when is When.NOW and plan.speed == 0) or (plan.speed > 0 and several)
        )
        started_ns = self._now_ns()
        self._timelines = {source.service: Timeline(plan.when, plan.speed, started_ns) for source in self._sources}
        if not ahead:
            return
        for source in self._sources:
            timeline = self._timelines[source.service]
            for batch in self._limited(SourceReader(source, plan).batches()):
                for record in batch:
                    timeline.spans(record.time_unix_ns)
        started_ns = self._now_ns()
        for timeline in self._timelines.values():
            timeline.started_unix_ns = started_ns

    def _read(self, readers: Sequence[SourceReader]) -> Iterator[list[_Timed]]:
        """Give the records of all sources in batches: one source after the other, or interleaved by time."""
        if not self._plan.merge or len(readers) < 2:
            for reader in readers:
                yield from self._timed(reader)
            return
        streams = [(timed for batch in self._timed(reader) for timed in batch) for reader in readers]
        merged = heapq.merge(*streams, key=lambda timed: timed.due_unix_ns)
        while batch := list(islice(merged, _MERGE_RECORDS)):
            yield batch

    def _timed(self, reader: SourceReader) -> Iterator[list[_Timed]]:
        timeline = self._timelines[reader.source.service]
        for batch in reader.batches():
            moved = []
            for record in batch:
                timeline.saw(record.time_unix_ns)
                time_unix_ns = timeline.moved(record.time_unix_ns)
                due_ns = timeline.due(record.time_unix_ns)
                moved.append(_Timed(due_ns or time_unix_ns, record._replace(time_unix_ns=time_unix_ns)))
            yield moved

    def _limited(self, batches: Iterator[list[_T]]) -> Iterator[list[_T]]:
        left = self._plan.limit
        for batch in batches:
            if not self._plan.limit:
                yield batch
                continue
            yield batch[:left]
            left -= len(batch)
            if left <= 0:
                return

    def _take(self, batch: list[_Timed], executor: ThreadPoolExecutor) -> None:
        if not batch:
            self._send_batch(executor)
        summary = self.summary
        for due_ns, record in batch:
            if self._plan.speed > 0 and due_ns:
                self._wait_until(due_ns, executor)
            if record.time_unix_ns:
                summary.first_unix_ns = min(summary.first_unix_ns or record.time_unix_ns, record.time_unix_ns)
                summary.last_unix_ns = max(summary.last_unix_ns, record.time_unix_ns)
            self._batch.append(record)
            self._batch_characters += len(record.body) if isinstance(record.body, str) else 1000
            summary.records += 1
            if len(self._batch) >= self._batch_max or self._batch_characters >= BATCH_CHARACTERS_MAX:
                self._send_batch(executor)

    def _wait_until(self, due_ns: int, executor: ThreadPoolExecutor) -> None:
        """Wait for a record's moment; what is gathered goes out before a wait that would be felt."""
        wait_s = (due_ns - self._now_ns()) / SECOND_NS
        if wait_s > _PACE_STEP_S:
            self._send_batch(executor)
            while self._in_flight:
                self._settle()
            self._sleep(wait_s)

    def _send_batch(self, executor: ThreadPoolExecutor) -> None:
        batch, self._batch, self._batch_characters = self._batch, [], 0
        if not batch:
            return
        if self._plan.rate > 0:
            ahead_s = self._handed / self._plan.rate - (self._monotonic() - self._started_s)
            if ahead_s > 0:
                self._sleep(ahead_s)
        self._handed += len(batch)
        if self._sender is None:
            return
        while len(self._in_flight) >= _IN_FLIGHT_MAX:
            self._settle()
        self._in_flight.append((len(batch), executor.submit(self._send, self._sender, batch)))

    def _send(self, sender: Sender, batch: list[Record]) -> Sent:
        """Send one batch, in the sending thread; none after one that failed, so that there are no holes."""
        if self._failed:
            raise Refused("not sent, for a batch before it failed")
        try:
            return send_records(sender, batch, self._now_ns())
        except BaseException:
            self._failed = True
            raise

    def _settle(self) -> None:
        """Wait for the oldest batch in flight; an error of it ends the replay."""
        _, future = self._in_flight[0]
        sent = future.result()
        self._in_flight.popleft()
        summary = self.summary
        summary.requests += 1
        summary.sent += sent.accepted
        summary.rejected += sent.rejected
        summary.retries += sent.retries
        summary.rejected_message = sent.message or summary.rejected_message

    def _stop_sending(self) -> None:
        """Let the batch on the wire finish if it is quick about it, and give the others up."""
        for _, future in self._in_flight:
            future.cancel()
        if self._sender is not None and self._in_flight:
            self._sender.stop()
            wait([future for _, future in self._in_flight], timeout=_STOP_GRACE_S)
            self._sender.abort()

    def _abandon(self) -> None:
        """Count what an error or an interruption left behind, so that the summary adds up."""
        while self._in_flight:
            _, future = self._in_flight[0]
            if future.cancelled() or future.exception() is not None:
                self._in_flight.popleft()
            else:
                self._settle()
        if self._sender is not None:
            self.summary.unsent = self.summary.records - self.summary.sent - self.summary.rejected

    def _count(self, readers: Sequence[SourceReader]) -> None:
        summary = self.summary
        summary.lines = sum(reader.lines.lines for reader in readers)
        summary.bytes = sum(reader.lines.bytes for reader in readers)
        summary.empty_lines = sum(reader.lines.empty for reader in readers)
        summary.mended_lines = sum(reader.lines.mended for reader in readers)
        summary.cut_lines = sum(reader.lines.cut_lines for reader in readers)
        summary.cut_bytes = sum(reader.lines.cut_bytes for reader in readers)
        summary.joined_lines = sum(reader.parsed.joined_lines for reader in readers)
        summary.without_time = sum(reader.parsed.without_time for reader in readers)
        summary.shapes = {reader.source.name: reader.shape for reader in readers if reader.shape}


def send_records(sender: Sender, records: Sequence[Record], observed_unix_ns: int) -> Sent:
    """Encode and send records, in halves where they are too large for the collector; a single one is then rejected."""
    try:
        return sender.send(encode_logs(records, observed_unix_ns=observed_unix_ns), len(records))
    except TooLarge as error:
        if len(records) == 1:
            return Sent(0, 1, str(error), 0)
        middle = len(records) // 2
        first = send_records(sender, records[:middle], observed_unix_ns)
        second = send_records(sender, records[middle:], observed_unix_ns)
        return Sent(
            first.accepted + second.accepted,
            first.rejected + second.rejected,
            second.message or first.message,
            first.retries + second.retries,
        )
