"""The shapes of liveness, status and the ingest ledger, as pydantic models; see models.py."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.gateway.models import Shape, UnixNs


class Health(Shape):
    """The process lives."""

    status: Literal["ok"]


class Readiness(Shape):
    """Telemetry is taken."""

    ready: bool


class IngestCounts(Shape):
    """What became of the records of one signal since the home folder was made."""

    accepted: int
    rejected: int
    dropped: int
    deduplicated: int
    per_second: float = Field(description="Records accepted a second, over the last minute.")


class StoredSignal(Shape):
    """What is stored of one signal."""

    rows: int
    bytes: int
    segments: int
    oldest_unix_ns: UnixNs | None
    newest_unix_ns: UnixNs | None


class StoreState(Shape):
    """The store."""

    folder: str
    bytes: int
    disk_free_bytes: int
    wal_bytes: int
    hot_bytes: int
    quarantined: int | list[Any] = Field(description="Files set aside because they cannot be read.")
    signals: dict[str, StoredSignal]


class PipelineState(Shape):
    """Detection."""

    lag_s: float
    pending_batches: int
    lines_mined: int
    templates: int


class Learning(Shape):
    """How far learning of one service has come."""

    service: str
    state: str = Field(examples=["warming", "watching"])
    learned_s: float
    needed_s: float
    lines: int


class FindingCounts(Shape):
    """Findings open now, and detected in the last hour."""

    open: int
    opened_1h: int


class IncidentCounts(Shape):
    """Incidents in each state now, the critical ones among them, and those opened in the last day."""

    open: int
    acknowledged: int
    critical: int
    opened_24h: int


class NatsState(Shape):
    """The connection to NATS."""

    servers: str
    state: Literal["connected", "connecting"]
    problem: str
    connections: int = Field(description="How often it was made since the start.")


class TrainingGatewayState(Shape):
    """How the training gateway is reached besides HTTP."""

    buckets: Literal["sqlite", "jetstream"]
    nats: NatsState | None = Field(description="null where no `nats_url` is set.")
    subjects: list[str]


class NotificationState(Shape):
    """How one target of notifications fares; sent counts from the start of the program."""

    name: str
    type: str
    waiting: int
    dead: int = Field(description="Given up after `notify_attempts_max` attempts, or refused for good.")
    last_error: str
    sent: int
    last_sent_unix_ns: UnixNs


class RemoteWriteState(Shape):
    """How the sending on of Watchkeeper's own metrics fares; samples count from the start of the program."""

    url: str
    version: str
    sent: int
    rejected: int = Field(description="Refused for good by the receiver.")
    dropped: int = Field(description="Given up because too many waited.")
    waiting: int = Field(description="Points in time that wait for the receiver.")
    last_sent_unix_ns: UnixNs
    last_error: str


class Status(Shape):
    """The state of everything."""

    version: str
    started_unix_ns: UnixNs
    uptime_s: float
    ready: bool
    state: Literal["healthy", "degraded", "error"]
    problems: list[str]
    endpoints: dict[str, str]
    decoder: str
    ingest: dict[str, IngestCounts]
    store: StoreState
    pipeline: PipelineState
    learning: list[Learning]
    findings: FindingCounts
    incidents: IncidentCounts
    notifications: list[NotificationState]
    training_gateway: TrainingGatewayState
    remote_write: list[RemoteWriteState]


class LedgerRow(Shape):
    """What became of the records of one sender, signal and protocol."""

    sender: str
    signal: str
    protocol: str
    requests: int
    accepted: int = Field(description="Stored.")
    rejected: int = Field(description="Told back as bad.")
    dropped: int = Field(description="Lost after they were acknowledged; 0 unless the disk failed.")
    deduplicated: int = Field(description="Of a batch that was stored before.")
    refused: int = Field(description="Told to come again (429, 503).")
    bytes: int
    first_unix_ns: UnixNs
    last_unix_ns: UnixNs
    last_error: str


class TurnedAway(Shape):
    """How often a peer was turned away by the TLS handshake, and why."""

    peer: str
    protocol: str
    reason: str
    times: int
    last_unix_ns: UnixNs


class LedgerAnswer(Shape):
    """The ingest ledger, and who was turned away before sending anything."""

    items: list[LedgerRow]
    turned_away: list[TurnedAway]
