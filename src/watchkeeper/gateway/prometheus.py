"""The state of Watchkeeper as Prometheus text (exposition format 0.0.4).

Enters: Status, ledger rows and the process. Leaves: text. Counters never go down within one home folder, for the ledger
is kept over restarts. Written by hand: it is forty lines, and a client library would keep a second set of counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psutil

from watchkeeper.gateway.application import WatchkeeperLike
from watchkeeper.gateway.work import Work
from watchkeeper.receive.ledger import LedgerRow

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES = ("accepted", "rejected", "dropped", "deduplicated", "refused")


class Family(NamedTuple):
    """One metric: name, type (counter or gauge), help, and its samples as labels with a value."""

    name: str
    type: str
    help: str
    samples: list[tuple[Mapping[str, str], float]]


def render(families: Iterable[Family]) -> str:
    """Write families as text.

    >>> print(render([Family("x_total", "counter", "All.", [({"a": 'say "hi"'}, 2)])]), end="")
    # HELP x_total All.
    # TYPE x_total counter
    x_total{a="say \\\\"hi\\\\""} 2
    """
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escape(family.help)}")
        lines.append(f"# TYPE {family.name} {family.type}")
        for labels, value in family.samples:
            said = ",".join(f'{name}="{_escape(text, quote=True)}"' for name, text in labels.items())
            lines.append(f"{family.name}{{{said}}} {_number(value)}" if said else f"{family.name} {_number(value)}")
    return "\n".join(lines) + "\n"


def exposition(keeper: WatchkeeperLike, work: Work, *, streams_open: int) -> str:
    """Give the whole of /metrics; cost: that of a status."""
    status = keeper.status()
    ledger = keeper.ledger.rows()
    return render(
        [
            Family(
                "watchkeeper_build_info",
                "gauge",
                "The version that runs.",
                [({"version": status["version"], "decoder": status["decoder"]}, 1)],
            ),
            Family("watchkeeper_ready", "gauge", "1 while telemetry is taken.", [({}, float(keeper.ready[0]))]),
            *_ledger_families(ledger),
            *_store_families(status["store"]),
            *_pipeline_families(status),
            *_gateway_families(work, streams_open),
            *_process_families(),
        ]
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


def _gateway_families(work: Work, streams_open: int) -> list[Family]:
    busy = [
        ({"pool": name}, float(pool.busy))
        for name, pool in (("queries", work.queries), ("sql", work.sql), ("live", work.live))
    ]
    return [
        Family("watchkeeper_gateway_work", "gauge", "Blocking work that runs or waits, by pool.", list(busy)),
        Family("watchkeeper_gateway_streams", "gauge", "Open event streams.", [({}, float(streams_open))]),
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


def _escape(text: str, *, quote: bool = False) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
    return escaped.replace('"', '\\"') if quote else escaped


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
