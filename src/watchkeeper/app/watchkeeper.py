"""Watchkeeper as one object: opens the store, takes up what was learned, and runs receiver, pipeline and housekeeping.

Transports and pages are not its business: receive/http.py, receive/grpc_server.py and gateway/ are given this object.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from watchkeeper.app.agent_findings import AgentFindings
from watchkeeper.app.changes import Changes
from watchkeeper.app.checkpoint import Checkpoints
from watchkeeper.app.detectors import learned, make_detectors
from watchkeeper.app.diagnosis import Diagnoses, Sources
from watchkeeper.app.feedback import Case, NamedCategories, OperatorFeedback
from watchkeeper.app.findings import FindingStore
from watchkeeper.app.housekeeping import Housekeeping, Task
from watchkeeper.app.incident_store import IncidentStore
from watchkeeper.app.incidents import Incidents
from watchkeeper.app.learned_lines import LearnedLines
from watchkeeper.app.node_reports import NodeReports
from watchkeeper.app.notify.notifier import Notifier
from watchkeeper.app.notify.targets import read_targets
from watchkeeper.app.online_model import OnlineModel
from watchkeeper.app.own_metrics import Family, Source, own_families
from watchkeeper.app.patterns import Patterns
from watchkeeper.app.pipeline import Pipeline
from watchkeeper.app.remote_write.destination import destination
from watchkeeper.app.remote_write.sender import RemoteWriteSender
from watchkeeper.app.silences import Silences
from watchkeeper.app.tail import Tail
from watchkeeper.app.training import Training
from watchkeeper.app.training_gateway import TrainingServices
from watchkeeper.app.unlikely import KIND as UNLIKELY
from watchkeeper.app.verdict import Verdict
from watchkeeper.app.versions import Versions
from watchkeeper.app.why import Why
from watchkeeper.detect.base import LearningState
from watchkeeper.detect.logs import LogDetector
from watchkeeper.diagnose.incident import Incident, IncidentState
from watchkeeper.diagnose.similar import Past
from watchkeeper.models.versions import ModelVersions
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.receive.decode import decode, decoder_name
from watchkeeper.receive.ledger import Ledger
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.remote_write.endpoint import RemoteWrite
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import DAY_S, Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.node_report import REPORTED
from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import Topology
from watchkeeper.store.backup import BackupReport
from watchkeeper.store.store import Store
from watchkeeper.store.wal import Entry
from watchkeeper.topology.cmdb import read_cmdb
from watchkeeper.topology.topologies import Topologies
from watchkeeper.training.kinds import kinds
from watchkeeper.version import __version__

CHECKPOINT_EVERY_S = 60.0
CHANGES_MAX = 1_000
PAST_MAX = 50
PAST_FINDINGS_MAX = 10
LEDGER_EVERY_S = 1.0
INCIDENTS_EVERY_S = 1.0
RETENTION_EVERY_S = 60.0
MODELS_EVERY_S = 1.0
MEMORY_EVERY_S = 20.0
LAG_DEGRADED_S = 30.0
TOPOLOGY_NS = 3_600 * 10**9

log = logging.getLogger(__name__)


class Watchkeeper:
    """The running program; `start` before use, `stop` after. Parts are attributes, for transports to be built on."""

    def __init__(self, settings: Settings, *, now_unix_ns: Callable[[], int] = time.time_ns) -> None:
        self.settings = settings
        self._now_unix_ns = now_unix_ns
        self.started_unix_ns = now_unix_ns()
        self.endpoints: dict[str, str] = {}
        self._ready = False
        home = settings.path("home")
        self.store = Store.open(home, settings, _decode_entry)
        try:
            self._build(home)
        except BaseException:
            self.store.close()
            raise

    def _build(self, home: Path) -> None:
        """Make the parts, each from those before it; nothing runs yet."""
        self._build_intake()
        self._build_incidents()
        self._build_detection()
        self._build_diagnosis()
        self._checkpoints = Checkpoints(home / "state")
        self._build_models(home / "models")
        self._build_training()
        self._build_housekeeping()

    def _build_intake(self) -> None:
        settings = self.settings
        self.tokens = Tokens(self.store.metadata)
        self.ledger = Ledger(self.store.metadata)
        self.findings = FindingStore(self.store.metadata)
        self.receiver = Receiver(self.store, self.ledger, self.tokens, settings)
        self.remote_write = RemoteWrite(self.receiver, Known(self.store.metadata))
        self.metric_sources: list[Source] = [self._remote_write_families]
        to = destination(settings)
        self._remote_writer = RemoteWriteSender(to, lambda: own_families(self)) if to else None

    def _build_incidents(self) -> None:
        settings = self.settings
        self.changes = Changes(self.store.metadata)
        self.silences = Silences(self.store.metadata, now_unix_ns=self._now_unix_ns)
        self.notifier = Notifier(
            self.store.metadata,
            read_targets(settings.path("notify_file"), os.environ) if settings.text("notify_file") else [],
            public_url=settings.text("public_url"),
            attempts_max=settings.integer("notify_attempts_max"),
            repeat_ns=int(settings.number("notify_repeat_s") * 1e9),
            now_unix_ns=self._now_unix_ns,
        )
        self.incidents = Incidents(
            self.store.metadata,
            IncidentStore(self.store.metadata),
            self.changes,
            settings=settings,
            outlet=self.notifier,
            now_unix_ns=self._now_unix_ns,
        )
        self.notifier.on_sent = self.incidents.notified

    def _build_detection(self) -> None:
        settings = self.settings
        self.tail = Tail(on_batch=self.changes.take)
        self._miner = TemplateMiner(templates_max=settings.integer("templates_max"))
        self.patterns = Patterns(self._miner)
        self._detectors = make_detectors(settings, self.patterns)
        cmdb = read_cmdb(settings.path("cmdb_file")) if settings.text("cmdb_file") else None
        self.topologies = Topologies(self.store.metadata, cmdb=cmdb)
        self._node_reports = NodeReports(self.publish, close_s=settings.number("finding_close_s"))
        self._pipeline = Pipeline(
            self.store,
            self._miner,
            self._detectors,
            tail=self.tail,
            publish=self.publish,
            observers=[
                self.topologies,
                Versions(self.store.metadata, self.changes),
                AgentFindings(self.publish),
                self._node_reports,
            ],
        )

    def _build_diagnosis(self) -> None:
        self.diagnoses = Diagnoses(
            self.incidents,
            Sources(
                store=self.store,
                topology=self.topology,
                findings=self._findings_of,
                changes=lambda start, end: self.changes.list(from_unix_ns=start, to_unix_ns=end, limit=CHANGES_MAX)[0],
                template_text=self.patterns.text,
                event_time_unix_ns=self._pipeline.event_time_unix_ns,
            ),
            Verdict(self._past_incidents, classifier=NamedCategories(self._named_cases)),
        )
        self.incidents.explainer = self.diagnoses.explain
        self.incidents.store.on_change(self.diagnoses.notice)

    def _build_models(self, folder: Path) -> None:
        settings = self.settings
        self.models = ModelVersions(
            self.store.metadata,
            folder,
            now_unix_ns=self._now_unix_ns,
            keep=settings.integer("model_versions_max"),
        )
        self.online = OnlineModel(
            self.models,
            self._pipeline,
            lambda: make_detectors(settings, self.patterns),
            self.learning,
            checkpoint=self._checkpoint,
            every_s=settings.number("model_online_every_s"),
            now_unix_ns=self._now_unix_ns,
        )
        self.feedback = OperatorFeedback(
            self.store.metadata,
            self.models,
            self.findings,
            self.incidents,
            protect=self._pipeline.protect,
            now_unix_ns=self._now_unix_ns,
        )

    def _build_training(self) -> None:
        settings = self.settings
        self.training = Training(self.store, self.models, self.findings, settings, now_unix_ns=self._now_unix_ns)
        self.training.wrong, self.training.confirmed = self.feedback.wrong_findings, self.feedback.anomalous_lines
        self.learned_lines = LearnedLines(
            self.models,
            self.training.watchlists,
            self.publish,
            kinds=kinds(settings.path("log_kinds_file") if settings.text("log_kinds_file") else None),
            template_text=self.patterns.text,
            event_time_unix_ns=self._pipeline.event_time_unix_ns,
            close_s=settings.number("finding_close_s"),
        )
        self._pipeline.add_observer(self.learned_lines)
        self.why = Why(
            self.patterns,
            self._log_detector,
            self.learned_lines,
            lock=self._pipeline.state_lock,
            window_s=settings.number("detect_window_s"),
        )
        self.metric_sources.append(self.training.families)
        self.training_services = TrainingServices(
            self.store, self.models, self.training, settings, now_unix_ns=self._now_unix_ns
        )
        self.training_gateway, self.watchlists = self.training_services.gateway, self.training_services.lists
        self._pipeline.add_observer(self.training_services.counter)
        self.training_services.on_kinds(self.learned_lines.set_kinds)

    def _build_housekeeping(self) -> None:
        self._housekeeping = Housekeeping(
            [
                Task("ledger", LEDGER_EVERY_S, self.ledger.flush),
                Task("retention of findings", RETENTION_EVERY_S, self._delete_old_findings),
                Task("incidents", INCIDENTS_EVERY_S, self.incidents.tick),
                Task("reminders", RETENTION_EVERY_S, lambda: self.notifier.remind(self.incidents.store.get)),
                Task("retention of incidents", RETENTION_EVERY_S, self._delete_old_incidents),
                Task("topology", CHECKPOINT_EVERY_S, self.topologies.flush),
                Task("retention of the topology", RETENTION_EVERY_S, self._delete_old_topology),
                Task("model versions", MODELS_EVERY_S, self.models.notice),
                Task("version of the online model", CHECKPOINT_EVERY_S, self.online.save_when_due),
                Task("checkpoint", CHECKPOINT_EVERY_S, self._checkpoint),
                # Arrow keeps freed memory for itself; sealing and queries would leave hundreds of MiB behind.
                Task("unused memory", MEMORY_EVERY_S, pa.default_memory_pool().release_unused),
            ]
        )

    def start(self) -> None:
        """Take up learned state, judge what was stored but not yet judged, then begin to take telemetry."""
        self.models.sweep()
        learned = self._checkpoints.load(self._load)
        self._pipeline.sequence = learned
        self.online.catch_up()
        self.incidents.catch_up(self._topology())
        for sequence, signal, batch in self.store.recovered():
            self._pipeline.submit(sequence, signal, batch)
        self.store.on_durable(self._pipeline.submit)
        self.store.count_held(self._pipeline.held_bytes)
        self.learned_lines.start(self.findings.list(state="open", kind=UNLIKELY, limit=500)[0])
        self._node_reports.take_up(self.findings.list(state="open", kind=REPORTED, limit=1_000)[0])
        self._pipeline.start()
        self.diagnoses.start()
        self.notifier.start()
        if self._remote_writer is not None:
            self._remote_writer.start()
        self._housekeeping.start()
        self.training.start()
        self.training_services.start()
        self._ready = True

    def stop(self) -> None:
        """Stop taking telemetry, finish what waits, write learned state and close the store."""
        self._ready = False
        if self._remote_writer is not None:
            self._remote_writer.stop()
        self.training_services.stop()
        self.training.stop()
        self._housekeeping.stop()
        self._pipeline.stop()
        self.learned_lines.stop()
        self.diagnoses.stop()
        self.notifier.stop()
        self._checkpoint()
        self.topologies.flush()
        self.ledger.flush()
        self.store.close()

    @property
    def ready(self) -> tuple[bool, str]:
        """Tell whether telemetry is taken, and if not, why."""
        if not self._ready:
            return False, "starting or stopping"
        return True, ""

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come."""
        return learned(self._detectors)

    def backup(self, target: Path) -> BackupReport:
        """Write a verified copy of everything stored, learned state included, while it is in use; raises StoreError."""
        with self._checkpoints.lock:
            self._checkpoint()
            return self.store.backup(target)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until all that was acknowledged is judged too; False when the time ran out."""
        return self._pipeline.wait_idle(timeout_s)

    def status(self) -> dict[str, Any]:
        """Give the state of everything as plain data; docs/api.md describes it as `Status`."""
        now = self._now_unix_ns()
        pipeline = self._pipeline.stats()
        store = self.store.stats()
        problems = self._problems(pipeline.lag_s, pipeline.failures, pipeline.last_failure, list(store.quarantined))
        return {
            "version": __version__,
            "started_unix_ns": now if not self.started_unix_ns else self.started_unix_ns,
            "uptime_s": (now - self.started_unix_ns) / 1e9,
            "ready": self._ready,
            "state": "degraded" if problems else "healthy",
            "problems": problems,
            "endpoints": dict(self.endpoints),
            "decoder": decoder_name(),
            "ingest": self._ingest(),
            "store": store.as_dict(),
            "pipeline": {
                "lag_s": pipeline.lag_s,
                "pending_batches": pipeline.pending_batches,
                "lines_mined": pipeline.lines_mined,
                "templates": self.patterns.count(),
            },
            "learning": [vars(state) for state in self.learning()],
            "findings": self.findings.counts(now),
            "incidents": self.incidents.counts(),
            "notifications": self.notifier.status(),
            "training_gateway": self.training_services.status(),
            "remote_write": [self._remote_writer.status()] if self._remote_writer is not None else [],
        }

    def _ingest(self) -> dict[str, dict[str, float]]:
        totals, rates = self.ledger.totals(), self.ledger.rates()
        return {signal.value: {**totals[signal], "per_second": rates[signal]} for signal in Signal}

    def _problems(self, lag_s: float, failures: int, last_failure: str, quarantined: list[str]) -> list[str]:
        problems = [*self._checkpoints.problems, *self._housekeeping.problems(), *quarantined]
        problems += [
            *self.models.problems,
            *self.training.problems(),
            *self.learned_lines.problems(),
            *self.training_services.problems(),
            *([self.changes.problem] if self.changes.problem else []),
            *self.notifier.problems(),
        ]
        problems += self._remote_writer.problems() if self._remote_writer is not None else []
        if lag_s > LAG_DEGRADED_S:
            problems.append(f"detection is {lag_s:.0f} s behind what is received; lower the load or add cores")
        if failures:
            problems.append(f"{failures} batches could not be judged; the last: {last_failure}")
        if self.diagnoses.failures:
            problems.append(f"{self.diagnoses.failures} diagnoses failed; the last: {self.diagnoses.last_failure}")
        refusal = self.store.refusal()
        if refusal:
            problems.append(f"telemetry is refused: {refusal}")
        return problems

    def _remote_write_families(self) -> list[Family]:
        about = "Exemplars in remote write that were not kept, since the start."
        ignored = Family(
            "watchkeeper_remote_write_exemplars_ignored_total",
            "counter",
            about,
            [({}, float(self.remote_write.exemplars_ignored))],
        )
        return [ignored, *(self._remote_writer.own_families() if self._remote_writer is not None else [])]

    def publish(self, findings: list[Finding]) -> None:
        """Keep findings, from whatever source, and let them become incidents where they do."""
        marked = self.feedback.weigh(self.silences.mark(findings))
        self.findings.put(marked)
        self.incidents.observe(marked, self._topology(marked))

    def topology(self, from_unix_ns: int, to_unix_ns: int) -> Topology:
        """Give the topology of a span of time, the hour before it included."""
        return self.topologies.at(from_unix_ns - TOPOLOGY_NS, to_unix_ns)

    def _topology(self, findings: Sequence[Finding] = ()) -> Topology:
        """Give the topology of the hour that findings speak of."""
        until = max((finding.last_unix_ns for finding in findings), default=self._now_unix_ns())
        return self.topology(until, until)

    def _past_incidents(self, incident: Incident) -> list[Past]:
        """Give the latest incidents that opened before this one, for what was learned then."""
        earlier, _ = self.incidents.store.list(to_unix_ns=incident.opened_unix_ns, limit=PAST_MAX)
        return [
            self.feedback.noted(Past(each, tuple(self._findings_of(each.finding_ids[:PAST_FINDINGS_MAX]))))
            for each in earlier
            if each.id != incident.id and each.state is not IncidentState.MERGED
        ]

    def _named_cases(self) -> list[Case]:
        return self.feedback.cases()

    def _findings_of(self, identifiers: Sequence[str]) -> list[Finding]:
        found = (self.findings.get(identifier) for identifier in identifiers)
        return [finding for finding in found if finding is not None]

    def _log_detector(self) -> LogDetector:
        detector = self._detectors[Signal.LOGS]
        assert isinstance(detector, LogDetector)
        return detector

    def _delete_old_incidents(self) -> None:
        before = self._now_unix_ns() - int(self.settings.number("incidents_days_max") * DAY_S * 1e9)
        self.incidents.store.delete_ended_before(before)
        self.changes.delete_before(before)
        self.notifier.delete_old()
        self.silences.delete_old()

    def _delete_old_topology(self) -> None:
        age_ns = int(self.settings.number("topology_days_max") * DAY_S * 1e9)
        self.topologies.delete_before(self._now_unix_ns() - age_ns)

    def _delete_old_findings(self) -> None:
        age_ns = int(self.settings.number("findings_days_max") * DAY_S * 1e9)
        self.findings.delete_closed_before(self._now_unix_ns() - age_ns)

    def _checkpoint(self) -> None:
        # In this order always, as `backup` takes them too.
        with self._checkpoints.lock, self._pipeline.state_lock:
            self._checkpoints.save(self._pipeline.sequence, self._save)

    def _save(self, folder: Path) -> None:
        self._pipeline.save(folder)
        self.online.write_record(folder)

    def _load(self, folder: Path) -> None:
        self._pipeline.load(folder)
        self.online.read_record(folder)


def _decode_entry(entry: Entry) -> pa.RecordBatch:
    decoded = decode(
        entry.signal, entry.encoding, entry.payload, sender=entry.sender, received_unix_ns=entry.received_unix_ns
    )
    return decoded.batch
