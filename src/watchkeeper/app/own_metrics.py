"""Watchkeeper's metrics of itself, by Prometheus's names: what /metrics shows and what remote write sends on.

Enters: the running program. Leaves: Families. Counters never go down within one home folder where they are the
ledger's, which is kept over restarts. Neither writes the text of /metrics nor sends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import psutil

from watchkeeper.app.incidents import Incidents
from watchkeeper.diagnose.incident import IncidentSeverity
from watchkeeper.receive.ledger import LedgerRow

OUTCOMES = ("accepted", "rejected", "dropped", "deduplicated", "refused")


class Family(NamedTuple):
    """One metric: name, type (counter or gauge), help, and its samples as labels with a value."""

    name: str
    type: str
    help: str
    samples: list[tuple[Mapping[str, str], float]]


Source = Callable[[], list[Family]]


class _Rows(Protocol):
    def rows(self) -> list[LedgerRow]:
        """Give every row of the ledger."""


class Watched(Protocol):
    """What is told of the running program; `metric_sources` are those of parts that it need not know."""

    incidents: Incidents
    metric_sources: list[Source]

    @property
    def ledger(self) -> _Rows:
        """Give the ledger."""

    @property
    def ready(self) -> tuple[bool, str]:
        """Tell whether telemetry is taken, and if not, why."""

    def status(self) -> dict[str, Any]:
        """Give the state of everything."""


def own_families(keeper: Watched) -> list[Family]:
    """Give all metrics; cost: that of a status."""
    status = keeper.status()
    return [
        Family(
            "watchkeeper_build_info",
            "gauge",
            "The version that runs.",
            [({"version": status["version"], "decoder": status["decoder"]}, 1)],
        ),
        Family("watchkeeper_ready", "gauge", "1 while telemetry is taken.", [({}, float(keeper.ready[0]))]),
        *_ledger_families(keeper.ledger.rows()),
        *_store_families(status["store"]),
        *_pipeline_families(status),
        _incident_family(keeper.incidents),
        *(family for source in keeper.metric_sources for family in source()),
        *_process_families(),
    ]


def _incident_family(incidents: Incidents) -> Family:
    live = incidents.store.live_by_severity()
    return Family(
        "watchkeeper_incidents_open",
        "gauge",
        "Incidents that go on, by severity.",
        [({"severity": severity.value}, float(live.get(severity.value, 0))) for severity in IncidentSeverity],
    )


def _ledger_families(rows: list[LedgerRow]) -> list[Family]:
    def labels(row: LedgerRow) -> dict[str, str]:
        return {"sender": row.sender, "signal": row.signal.value, "protocol": row.protocol}

    records = [
        ({**labels(row), "outcome": outcome}, float(getattr(row, outcome))) for row in rows for outcome in OUTCOMES
    ]
    return [
        Family("watchkeeper_ingest_records_total", "counter", "Records by what became of them.", list(records)),
        Family(
            "watchkeeper_ingest_requests_total",
            "counter",
            "Requests with telemetry.",
            [(labels(row), float(row.requests)) for row in rows],
        ),
        Family(
            "watchkeeper_ingest_bytes_total",
            "counter",
            "Bytes of telemetry, decompressed.",
            [(labels(row), float(row.bytes)) for row in rows],
        ),
    ]


def _store_families(store: Mapping[str, Any]) -> list[Family]:
    signals = store["signals"]

    def by_signal(key: str) -> list[tuple[Mapping[str, str], float]]:
        return [({"signal": name}, float(signals[name][key])) for name in sorted(signals)]

    quarantined = store.get("quarantined", 0)
    return [
        Family("watchkeeper_store_rows", "gauge", "Rows that can be queried.", by_signal("rows")),
        Family("watchkeeper_store_bytes", "gauge", "Bytes of segments on disk.", by_signal("bytes")),
        Family("watchkeeper_store_segments", "gauge", "Segment files.", by_signal("segments")),
        Family(
            "watchkeeper_store_wal_bytes", "gauge", "Bytes of the write-ahead log.", [({}, float(store["wal_bytes"]))]
        ),
        Family(
            "watchkeeper_store_hot_bytes",
            "gauge",
            "Bytes of telemetry in memory that is not in a segment yet.",
            [({}, float(store["hot_bytes"]))],
        ),
        Family(
            "watchkeeper_store_disk_free_bytes",
            "gauge",
            "Free space of the disk.",
            [({}, float(store["disk_free_bytes"]))],
        ),
        Family(
            "watchkeeper_store_quarantined",
            "gauge",
            "Files set aside because they cannot be read.",
            [({}, float(quarantined if isinstance(quarantined, int) else len(quarantined)))],
        ),
    ]


def _pipeline_families(status: Mapping[str, Any]) -> list[Family]:
    pipeline, findings = status["pipeline"], status["findings"]
    return [
        Family(
            "watchkeeper_pipeline_lag_seconds",
            "gauge",
            "How far detection is behind what is stored.",
            [({}, float(pipeline["lag_s"]))],
        ),
        Family(
            "watchkeeper_pipeline_pending_batches",
            "gauge",
            "Batches that wait for detection.",
            [({}, float(pipeline["pending_batches"]))],
        ),
        Family(
            "watchkeeper_pipeline_lines_mined_total",
            "counter",
            "Log lines matched to a pattern since the start.",
            [({}, float(pipeline["lines_mined"]))],
        ),
        Family("watchkeeper_patterns", "gauge", "Log patterns known.", [({}, float(pipeline["templates"]))]),
        Family("watchkeeper_findings_open", "gauge", "Findings that are open.", [({}, float(findings["open"]))]),
    ]


def _process_families() -> list[Family]:
    process = psutil.Process()
    with process.oneshot():
        cpu = process.cpu_times()
        memory = process.memory_info().rss
        started = process.create_time()
        threads = process.num_threads()
    return [
        Family("process_cpu_seconds_total", "counter", "Processor time used.", [({}, cpu.user + cpu.system)]),
        Family("process_resident_memory_bytes", "gauge", "Resident memory.", [({}, float(memory))]),
        Family("process_start_time_seconds", "gauge", "When the process began, in Unix time.", [({}, started)]),
        Family("process_threads", "gauge", "Threads.", [({}, float(threads))]),
    ]
