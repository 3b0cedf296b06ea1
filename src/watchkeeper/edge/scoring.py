"""Detection on the node itself, so that one that is cut off still warns: patterns and the online detectors.

Enters: requests that are durable, from any thread. Leaves: findings, told on standard output and in /metrics, and sent
to the centre as log records that carry the whole finding with its own times (signals/finding_record.py). What waits is
bounded: requests that come faster than they can be judged are forwarded all the same, and counted as not judged.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.detect.base import Detector
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.detect.reported import Reports, without_reports
from watchkeeper.detect.traces.detector import TraceDetector
from watchkeeper.edge.exposition import Sample
from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.record import Record
from watchkeeper.errors import MalformedTelemetry, WatchkeeperError
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.receive.decode import decode
from watchkeeper.settings import Settings
from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import Finding, FindingState, finding_id
from watchkeeper.signals.finding_record import EVENT_NAME, TEMPLATE, finding_attributes, node_of
from watchkeeper.signals.node_report import NODE_SERVICE
from watchkeeper.signals.schema import LOGS, Signal

if TYPE_CHECKING:
    from google.protobuf.message import Message

WAITING_MAX = 256
WAITING_BYTES_MAX = 16 << 20
FLUSH_EVERY_S = 1.0
SAVE_EVERY_S = 60.0

_log = logging.getLogger(__name__)


class Scoring:
    """Judges what passes; `see` from any thread, `run` in one of its own. `folder` keeps what was learned."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        keep: Callable[[bytes], bool],
        *,
        node: str,
        say: Callable[[str], None] = print,
    ) -> None:
        self._node = node
        self._folder = folder
        self._keep = keep
        self._say = say
        self._lock = threading.Lock()
        self._queue: queue.Queue[tuple[Signal, bytes]] = queue.Queue(WAITING_MAX)
        self._waiting_bytes = 0
        self._miner = TemplateMiner(templates_max=settings.integer("templates_max"))
        self._detectors = self._make(settings)
        self._reports = Reports(settings.number("finding_close_s"))
        self._newest: dict[Signal, tuple[int, float]] = {}
        self._open: dict[str, Finding] = {}
        self._unsent: list[Finding] = []
        self.not_judged = 0
        self.failures = 0
        self._last_failure = ""
        self.opened: Counter[str] = Counter()
        self._load()

    def _make(self, settings: Settings) -> dict[Signal, Detector]:
        warmup_s, window_s = settings.number("detect_warmup_s"), settings.number("detect_window_s")
        close_s = settings.number("finding_close_s")
        return {
            Signal.LOGS: LogDetector(
                self._text, warmup_s=warmup_s, window_s=window_s, close_s=close_s, parameters=self._miner.parameters
            ),
            Signal.SPANS: TraceDetector(warmup_s=warmup_s, window_s=window_s, close_s=close_s),
            Signal.METRICS: MetricDetector(
                warmup_s=settings.number("metric_warmup_s"),
                window_s=window_s,
                close_s=close_s,
                series_max=settings.integer("metric_series_max"),
                forecast_horizon_s=settings.number("metric_forecast_horizon_s"),
                alarms_max=settings.number("metric_alarms_max"),
            ),
        }

    def _text(self, template_id: int) -> str:
        template = self._miner.get(template_id)
        return template.text if template else ""

    def see(self, signal: Signal, message: Message) -> None:
        """Take in a request; never blocks."""
        size = message.ByteSize()
        with self._lock:
            if self._waiting_bytes + size > WAITING_BYTES_MAX or self._queue.full():
                self.not_judged += 1
                return
            self._waiting_bytes += size
            self._queue.put_nowait((signal, message.SerializeToString()))

    def run(self, stopping: Callable[[], bool]) -> None:
        """Judge until `stopping` says so, then write what was learned."""
        saved_s = flushed_s = time.monotonic()
        while not stopping():
            try:
                signal, payload = self._queue.get(timeout=FLUSH_EVERY_S)
            except queue.Empty:
                pass
            else:
                with self._lock:
                    self._waiting_bytes -= len(payload)
                self._guarded(f"judging {signal.value}", partial(self._judge, signal, payload))
            now_s = time.monotonic()
            if now_s - flushed_s >= FLUSH_EVERY_S:
                flushed_s = now_s
                self._guarded("closing windows", partial(self._flush, now_s))
                self._guarded("sending findings", self._send)
            if now_s - saved_s >= SAVE_EVERY_S:
                saved_s = now_s
                self._guarded("keeping what was learned", self._save)
        self._guarded("keeping what was learned", self._save)

    def _guarded(self, stage: str, work: Callable[[], None]) -> None:
        """Do one part; a full disk or a fault of ours is told and counted, and ends neither thread nor forwarding."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the boundary: one fault must not silence a node that is cut off
            self.failures += 1
            if str(error) != self._last_failure:
                _log.exception("%s failed on this node; telemetry is forwarded all the same", stage)
            self._last_failure = str(error)

    def _judge(self, signal: Signal, payload: bytes) -> None:
        now = time.time_ns()
        try:
            batch = decode(signal, "protobuf", payload, sender="agent", received_unix_ns=now).batch
        except MalformedTelemetry as error:
            _log.warning("a request cannot be judged here: %s", error)
            return
        if not batch.num_rows:
            return
        if signal is Signal.LOGS:
            if pc.any(pc.equal(batch.column("event_name"), EVENT_NAME)).as_py():
                return
            for finding in self._reports.take(batch):
                # The centre makes the same of the report itself: here it is only said.
                self._note(finding)
            batch = without_reports(batch)
            ids = self._miner.match(batch.column("body"), batch.column("time_unix_ns"))
            index = LOGS.get_field_index("template_id")
            batch = batch.set_column(index, LOGS.field(index), ids)
        if not batch.num_rows:
            return
        self._newest[signal] = (pc.max(batch.column("time_unix_ns")).as_py(), time.monotonic())
        self._take(self._detectors[signal].learn(batch))

    def _flush(self, now_s: float) -> None:
        """Let event time move on with the clock, so that silence closes windows."""
        for signal, (event_unix_ns, seen_s) in self._newest.items():
            self._take(self._detectors[signal].flush(event_unix_ns + int((now_s - seen_s) * 1e9)))

    def _take(self, findings: list[Finding]) -> None:
        for finding in map(self._of_this_node, findings):
            self._note(finding)
            self._unsent = [each for each in self._unsent if each.id != finding.id] + [finding]

    def _note(self, finding: Finding) -> None:
        """Say it when it is new, and keep what is open for /metrics."""
        if finding.state is not FindingState.OPEN:
            self._open.pop(finding.id, None)
            return
        if finding.id not in self._open:
            self.opened[finding.kind] += 1
            line = f"finding {finding.severity.value} {finding.service}: {finding.title} ({finding.why})"
            self._say(line if line.isprintable() else line.encode("unicode_escape").decode("ascii"))
        self._open[finding.id] = finding

    def _of_this_node(self, finding: Finding) -> Finding:
        """Say which node a finding is of, in its entity and so in its id: other nodes run the same services."""
        if node_of(finding.entity):
            return finding
        entity = "|".join(part for part in (finding.entity, Entity(node=self._node).key) if part)
        return replace(finding, entity=entity, id=finding_id(finding.kind, entity, finding.id, 0))

    def _send(self) -> None:
        """Hand findings to the spool; what it has no room for waits here, the latest word on each."""
        if not self._unsent:
            return
        resource = (("service.name", NODE_SERVICE),)
        records = [
            Record(
                f"Finding of an agent: {finding.title}",
                finding.last_unix_ns,
                9,
                "INFO",
                {**finding_attributes(finding), "log.record.template": TEMPLATE},
                resource=resource,
                event_name=EVENT_NAME,
            )
            for finding in self._unsent
        ]
        if self._keep(encode_logs(records, observed_unix_ns=time.time_ns())):
            self._unsent = []

    def samples(self) -> list[Sample]:
        """Give what /metrics shows."""
        open_now = Counter((finding.service, finding.kind) for finding in list(self._open.values()))
        about = "Findings of detection on this node that are open."
        opened = "Findings of detection on this node since its start."
        failed = "Faults of detection on this node, a disk that cannot be written among them."
        missed = "Requests that came faster than they could be judged here."
        return [
            *(
                Sample("watchkeeper_edge_findings_open", "gauge", about, count, {"service": service, "kind": kind})
                for (service, kind), count in sorted(open_now.items())
            ),
            *(
                Sample("watchkeeper_edge_findings_total", "counter", opened, count, {"kind": kind})
                for kind, count in sorted(self.opened.items())
            ),
            Sample("watchkeeper_edge_requests_not_judged_total", "counter", missed, self.not_judged),
            Sample("watchkeeper_edge_detection_failures_total", "counter", failed, self.failures),
        ]

    def _save(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._miner.save(self._folder / "patterns")
        for signal, detector in self._detectors.items():
            detector.save(self._folder / f"detector-{signal.value}")

    def _load(self) -> None:
        """Take up what was learned; what cannot be read is told, and learning begins anew."""
        try:
            if (self._folder / "patterns").exists():
                self._miner.load(self._folder / "patterns")
            for signal, detector in self._detectors.items():
                if (self._folder / f"detector-{signal.value}").exists():
                    detector.load(self._folder / f"detector-{signal.value}")
        except (WatchkeeperError, OSError, pa.ArrowException) as error:
            _log.error("what was learned cannot be taken up (%s); learning begins anew", error)
