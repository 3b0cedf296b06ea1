"""A small program behind the gateway: real parts but for the store, whose rows the tests choose; and a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import httpx
import pyarrow as pa
import uvicorn
from fastapi import FastAPI
from tests.store.reads.tables import NOW, Tables

from watchkeeper.app.changes import Changes
from watchkeeper.app.detectors import make_detectors
from watchkeeper.app.diagnosis import Diagnoses, Sources
from watchkeeper.app.feedback import OperatorFeedback
from watchkeeper.app.findings import FindingStore
from watchkeeper.app.incident_store import IncidentStore
from watchkeeper.app.incidents import Incidents
from watchkeeper.app.learned_lines import LearnedLines
from watchkeeper.app.online_model import OnlineModel
from watchkeeper.app.own_metrics import Source
from watchkeeper.app.patterns import Patterns
from watchkeeper.app.pipeline import Pipeline
from watchkeeper.app.silences import Silences
from watchkeeper.app.tail import Tail
from watchkeeper.app.training import Training
from watchkeeper.app.verdict import Verdict
from watchkeeper.app.why import Why
from watchkeeper.detect.base import LearningState
from watchkeeper.detect.logs import LogDetector
from watchkeeper.gateway.api import create_api
from watchkeeper.host.gpu import NO_LIBRARY
from watchkeeper.host.machine import Machine
from watchkeeper.models.versions import ModelVersions
from watchkeeper.patterns.base import Template
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.receive.ledger import Ledger
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Band, Baseline, Evidence, Finding, FindingSeverity
from watchkeeper.signals.schema import Signal
from watchkeeper.store.backup import BackupReport
from watchkeeper.store.entry import Appended
from watchkeeper.store.metadata import Metadata
from watchkeeper.topology.topologies import Topologies
from watchkeeper.training.ai_settings import AiSettingsStore
from watchkeeper.training.counts import WorkloadCounter
from watchkeeper.training.gateway import TrainingGateway
from watchkeeper.training.gpus import Gpus
from watchkeeper.training.lists import Lists

DEADLINE_S = 10.0


class Kept:
    """What the receiver writes to: remembers batches, or refuses them."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []
        self.refusal: Exception | None = None

    def append(
        self, signal: Signal, encoding: str, sender: str, received_unix_ns: int, payload: bytes, batch: pa.RecordBatch
    ) -> Future[Appended]:
        if self.refusal:
            raise self.refusal
        self.batches.append(batch)
        future: Future[Appended] = Future()
        future.set_result(Appended(len(self.batches), duplicate=False))
        return future


class KnownPatterns:
    """The patterns that the tests put in."""

    def __init__(self) -> None:
        self.templates: dict[int, Template] = {}

    def get(self, template_id: int) -> Template | None:
        return self.templates.get(template_id)


class Keeper:
    """What `create_api` needs of the program."""

    def __init__(self, home: Path, **chosen: Any) -> None:
        self.settings = Settings(chosen={"home": str(home), **chosen}, environment={})
        self.metadata = Metadata(home / "metadata.sqlite")
        self.tokens = Tokens(self.metadata)
        self.ledger = Ledger(self.metadata)
        self.findings = FindingStore(self.metadata)
        self.changes = Changes(self.metadata)
        self.silences = Silences(self.metadata, now_unix_ns=lambda: NOW)
        self.incidents = Incidents(
            self.metadata,
            IncidentStore(self.metadata),
            self.changes,
            settings=self.settings,
            now_unix_ns=lambda: NOW,
        )
        self.models = ModelVersions(self.metadata, home / "models", now_unix_ns=lambda: NOW)
        miner = TemplateMiner()
        detectors = make_detectors(self.settings, Patterns(miner))
        self.online = OnlineModel(
            self.models,
            Pipeline(Tables(), miner, detectors, tail=Tail(), publish=self.publish),
            lambda: make_detectors(self.settings, Patterns(miner)),
            self.learning,
            checkpoint=lambda: None,
            every_s=0.0,
            now_unix_ns=lambda: NOW,
        )
        self.feedback = OperatorFeedback(
            self.metadata, self.models, self.findings, self.incidents, now_unix_ns=lambda: NOW
        )
        self.workload_counter = WorkloadCounter(now_unix_ns=lambda: NOW)
        self.store = Tables()
        # Of the store it needs the metadata only: no test lets a job begin.
        self.training = Training(self, self.models, self.findings, self.settings, now_unix_ns=lambda: NOW)
        self.training_gateway = TrainingGateway(
            self.training.watchlists,
            self.training.jobs,
            self.models,
            AiSettingsStore(self.metadata),
            counts=self.workload_counter.counts,
            gpus=Gpus(Machine(home / "no-devices"), lambda: NO_LIBRARY, self.store).info,
        )
        self.watchlists = Lists(self.training_gateway)
        self.learned_lines = LearnedLines(
            self.models,
            self.training.watchlists,
            self.publish,
            kinds={},
            template_text=str,
            event_time_unix_ns=lambda: NOW,
            close_s=60.0,
        )
        self.why = Why(
            Patterns(miner),
            lambda: cast(LogDetector, detectors[Signal.LOGS]),
            self.learned_lines,
            lock=threading.RLock(),
            window_s=10.0,
        )
        self.kept = Kept()
        self.receiver = Receiver(self.kept, self.ledger, self.tokens, self.settings)
        self.tail = Tail()
        self.patterns = KnownPatterns()
        self.topologies = Topologies(self.metadata)
        self.diagnoses = Diagnoses(
            self.incidents,
            Sources(
                store=self.store,
                topology=self.topologies.at,
                findings=lambda _: [],
                changes=lambda _from, _to: [],
                template_text=str,
                event_time_unix_ns=lambda: NOW,
            ),
            Verdict(lambda _: []),
        )
        self.ready: tuple[bool, str] = (True, "")
        self.status_calls = 0
        self.metric_sources: list[Source] = []

    def publish(self, findings: list[Finding]) -> None:
        marked = self.feedback.weigh(self.silences.mark(findings))
        self.findings.put(marked)
        self.incidents.observe(marked)

    def learning(self) -> list[LearningState]:
        return [LearningState("cart", "warming", 5.0, 60.0, 12)]

    def status(self) -> dict[str, Any]:
        self.status_calls += 1
        none = {"accepted": 0, "rejected": 0, "dropped": 0, "deduplicated": 0, "per_second": 0.0}
        empty = {"rows": 3, "bytes": 4, "segments": 1, "oldest_unix_ns": NOW - 9, "newest_unix_ns": None}
        return {
            "version": "0.1.0",
            "started_unix_ns": NOW - 5,
            "uptime_s": 5e-9,
            "ready": True,
            "state": "healthy",
            "problems": [],
            "endpoints": {"http": "http://127.0.0.1:8080"},
            "decoder": "reference",
            "ingest": {signal.value: dict(none) for signal in Signal},
            "store": {
                "folder": "/home",
                "bytes": 12,
                "disk_free_bytes": 10**12,
                "wal_bytes": 7,
                "hot_bytes": 8,
                "quarantined": 0,
                "signals": {signal.value: dict(empty) for signal in Signal},
            },
            "pipeline": {"lag_s": 0.25, "pending_batches": 1, "lines_mined": 100, "templates": 2},
            "learning": [vars(state) for state in self.learning()],
            "findings": {"open": 1, "opened_1h": 2},
            "incidents": self.incidents.counts(),
            "notifications": [],
            "training_gateway": {"buckets": "sqlite", "nats": None, "subjects": []},
            "remote_write": [],
        }

    def backup(self, target: Path) -> BackupReport:
        """Write nothing: what a backup holds is tested with the real program."""
        return BackupReport(target, 1, 2, NOW)

    def close(self) -> None:
        self.metadata.close()
        self.store.connection.close()


class LiveServer:
    """The API on a real socket; `client` talks to it."""

    def __init__(self, keeper: Any, *, now_unix_ns: Callable[[], int] = lambda: NOW, **options: Any) -> None:
        self.api: FastAPI = create_api(keeper, now_unix_ns=now_unix_ns, **options)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(self.api, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started)
        self.client = httpx.Client(base_url=self.url, timeout=DEADLINE_S)

    @property
    def gateway(self) -> Any:
        return self.api.state.gateway

    def stop(self) -> float:
        """Stop the server; gives the seconds that took."""
        begun = time.monotonic()
        self.client.close()
        self.gateway.close()
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self._socket.close()
        return time.monotonic() - begun


def wait_until(condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Look every few milliseconds until the condition is true; fails at the deadline."""
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)
    return found


def finding(identifier: str = "f1", **changes: Any) -> Finding:
    """Make a finding."""
    said: dict[str, Any] = {
        "id": identifier,
        "kind": "log.template.unseen",
        "signal": "logs",
        "service": "cart",
        "entity": "service=cart",
        "subject": "7",
        "title": "A line never seen before",
        "why": "It was not among the 12 patterns learned.",
        "severity": FindingSeverity.WARNING,
        "score": 4.5,
        "count": 3,
        "first_unix_ns": NOW - 10**9,
        "last_unix_ns": NOW,
        "expected": Band("none", 0.0, 0.0, "lines"),
        "seen": Band("3", 3.0, None, "lines"),
        "baseline": Baseline(NOW - 10**12, NOW - 10**9, 60, 500),
        "template_id": -(2**62),
        "template": "boom <*>",
        "evidence": (Evidence("series", "lines", NOW, "", ((NOW - 5, 1.0), (NOW, 2.0))),),
        "detected_unix_ns": NOW,
    }
    return Finding(**{**said, **changes})
