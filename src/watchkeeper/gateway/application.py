"""What the gateway needs of the running program; app/watchkeeper.py is it, and a test may bring another.

Types only. The gateway holds no logic of its own: what it changes, it changes through these.
"""

from __future__ import annotations

import queue
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from watchkeeper.app.changes import Changes
from watchkeeper.app.diagnosis import Diagnoses
from watchkeeper.app.feedback import OperatorFeedback
from watchkeeper.app.incidents import Incidents
from watchkeeper.app.online_model import OnlineModel
from watchkeeper.app.own_metrics import Source
from watchkeeper.app.silences import Silences
from watchkeeper.app.training import Training
from watchkeeper.app.why import Why
from watchkeeper.detect.base import LearningState
from watchkeeper.models.versions import ModelVersions
from watchkeeper.patterns.base import Template
from watchkeeper.receive.ledger import LedgerRow, TurnedAwayRow
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import Topology
from watchkeeper.store.backup import BackupReport
from watchkeeper.store.reads.base import Queryable
from watchkeeper.training.gateway import TrainingGateway
from watchkeeper.training.lists import Lists


class LedgerLike(Protocol):
    """The ingest ledger."""

    def rows(self) -> list[LedgerRow]:
        """Give every row."""

    def turned_away_rows(self) -> list[TurnedAwayRow]:
        """Give who was turned away before sending anything."""


class FindingsLike(Protocol):
    """The kept findings."""

    def list(
        self,
        *,
        state: str | None = None,
        service: str | None = None,
        kind: str | None = None,
        from_unix_ns: int | None = None,
        to_unix_ns: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[Finding], str | None]:
        """Give a page of findings and the cursor of the next."""

    def get(self, identifier: str) -> Finding | None:
        """Give one finding."""

    def open_by_service(self) -> dict[str, int]:
        """Count the open findings of each service."""

    def subscribe(self) -> AbstractContextManager[queue.Queue[Finding]]:
        """Give a bounded queue of every finding that opens, changes or closes; the oldest goes when it is full."""


class PatternsLike(Protocol):
    """The log patterns known."""

    def get(self, template_id: int) -> Template | None:
        """Give one template."""


class TailSubscriberLike(Protocol):
    """One reader of the live feed."""

    batches: queue.Queue[tuple[Signal, pa.RecordBatch]]
    missed_rows: int


class TailLike(Protocol):
    """The live feed of batches that have become queryable."""

    def subscribe(self) -> AbstractContextManager[TailSubscriberLike]:
        """Give a subscriber."""


class TopologiesLike(Protocol):
    """The topology over time."""

    def at(self, from_unix_ns: int, to_unix_ns: int) -> Topology:
        """Give the graph of the hours that overlap a span of time."""

    def problems(self, from_unix_ns: int, to_unix_ns: int) -> tuple[str, ...]:
        """Tell where a CMDB and what was seen disagree."""


class WatchkeeperLike(Protocol):
    """The running program."""

    settings: Settings
    receiver: Receiver
    tokens: Tokens
    incidents: Incidents
    feedback: OperatorFeedback
    training: Training
    training_gateway: TrainingGateway
    watchlists: Lists
    changes: Changes
    diagnoses: Diagnoses
    silences: Silences
    metric_sources: list[Source]
    models: ModelVersions
    online: OnlineModel
    why: Why

    def publish(self, findings: list[Finding]) -> None:
        """Keep findings that came from outside, and let them become incidents where they do."""

    @property
    def store(self) -> Queryable:
        """Give the store."""

    @property
    def ledger(self) -> LedgerLike:
        """Give the ledger."""

    @property
    def findings(self) -> FindingsLike:
        """Give the findings."""

    @property
    def patterns(self) -> PatternsLike:
        """Give the patterns."""

    @property
    def topologies(self) -> TopologiesLike:
        """Give the topology over time."""

    @property
    def tail(self) -> TailLike:
        """Give the live feed."""

    @property
    def ready(self) -> tuple[bool, str]:
        """Tell whether telemetry is taken, and if not, why."""

    def backup(self, target: Path) -> BackupReport:
        """Write a verified copy of everything stored; raises StoreError when the target exists or cannot be written."""

    def status(self) -> dict[str, Any]:
        """Give `Status` of docs/api.md, times as numbers."""

    def learning(self) -> list[LearningState]:
        """Tell how far learning has come."""
