"""A recording made by hand: two services, a fault at one, then at the other, and calm before, between and after.

What `watchkeeper bench record` leaves, in small: a store with logs, metrics and spans every second, and the labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tests.diagnose.incident_findings import finding
from tests.store.telemetry import settings

from watchkeeper.app.changes import Changes
from watchkeeper.app.findings import FindingStore
from watchkeeper.bench.cases.recording import HOME, Labelled, Labels, Span, write_labels
from watchkeeper.diagnose.window import Change
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.entry import Entry
from watchkeeper.store.store import Store
from watchkeeper.topology.topologies import Topologies

S = 10**9
START = 1_763_726_400 * S
SERVER, CLIENT = 2, 3
FAULTS = (("slow", "cart", 100, 140), ("broken", "front", 190, 230))
CALM = ((0, 100), (150, 190), (240, 280))
END_S = 280
SETTLE_S = 10.0


class Broken(NamedTuple):
    """Which service is slow in a second, and which fails."""

    slow: str = ""
    failing: str = ""


def recording(folder: Path, *, rounds: int = 2) -> Path:
    """Make a recording in a folder; with one round, only the first fault is labelled, and the calm around it."""
    kept = {f"{signal.value}_days_max": 0 for signal in Signal}
    with Store.open(folder / HOME, settings(folder / HOME, **kept), no_replay) as store:
        topologies = Topologies(store.metadata)
        for signal, told in (("spans", _spans()), ("metrics", _metrics()), ("logs", _logs())):
            batch = batch_of(Signal(signal), told)
            store.append(Signal(signal), "json", "test", START, signal.encode(), batch).result(10)
            topologies.observe(Signal(signal), batch)
        topologies.flush()
        at = START + FAULTS[0][2] * S + 5 * S
        FindingStore(store.metadata).put([finding(0.0, "cart", first_unix_ns=at, last_unix_ns=at)])
        Changes(store.metadata).put([Change("c1", "deploy", "service:cart", "cart 2", at - 20 * S)])
        store.seal_now()
    faults = tuple(
        Labelled(name, at, service, category, (f"service:{service}",), START + begin * S, START + end * S)
        for at, ((name, service, begin, end), category) in enumerate(
            zip(FAULTS, ("resource_cpu", "application_error"), strict=True)
        )
    )
    calm = tuple(Span(START + begin * S, START + end * S) for begin, end in CALM)
    write_labels(folder, Labels(faults[:rounds], calm[: rounds + 1], SETTLE_S))
    return folder


def _broken(second: int) -> Broken:
    for name, service, begin, end in FAULTS:
        if begin <= second < end:
            return Broken(**{"slow" if name == "slow" else "failing": service})
    return Broken()


def _spans() -> list[dict[str, Any]]:
    """Give a request a second: front calls cart."""
    rows = []
    for second in range(END_S):
        broken, trace = _broken(second), f"{second:032x}"
        cart_ms = 300 if broken.slow == "cart" else 10 + second % 3
        chain = (("front", "GET /", SERVER, "a", "", 5), ("front", "GET cart", CLIENT, "b", "a", 2))
        for service, name, kind, span, parent, more_ms in (*chain, ("cart", "GET /cart", SERVER, "c", "b", 0)):
            lasted = (cart_ms + more_ms) * 10**6
            rows.append(
                {
                    "time_unix_ns": START + second * S + (5 - more_ms) * 10**5,
                    "end_time_unix_ns": START + second * S + (5 - more_ms) * 10**5 + lasted,
                    "duration_ns": lasted,
                    "trace_id": trace,
                    "span_id": span * 16,
                    "parent_span_id": parent * 16,
                    "service": service,
                    "name": name,
                    "kind": kind,
                    "status_code": 2 if broken.failing == "front" and span == "a" else 1,
                }
            )
    return rows


def _metrics() -> list[dict[str, Any]]:
    return [
        {
            "time_unix_ns": START + second * S,
            "service": service,
            "entity": f"service={service}",
            "name": "process.cpu.utilization",
            "unit": "1",
            "kind": "gauge",
            "value_double": 0.9 if _broken(second).slow == service else 0.1 + 0.01 * (second % 3),
        }
        for second in range(END_S)
        for service in ("front", "cart")
    ]


def _logs() -> list[dict[str, Any]]:
    rows = []
    for second in range(END_S):
        for service in ("front", "cart"):
            failed = _broken(second).failing == service
            rows.append(
                {
                    "time_unix_ns": START + second * S + 10**6,
                    "service": service,
                    "body": f"no template called offer {second}" if failed else f"request {second} answered",
                    "severity_number": 17 if failed else 9,
                }
            )
    bodies = pa.array([row["body"] for row in rows])
    templates = TemplateMiner().match(bodies, pa.nulls(len(rows), pa.int64())).to_pylist()
    return [{**row, "template_id": template} for row, template in zip(rows, templates, strict=True)]


def batch_of(signal: Signal, rows: list[dict[str, Any]]) -> pa.RecordBatch:
    usual = {"attributes": "{}", "resource_attributes": "{}", "trace_id": "", "span_id": "", "received_unix_ns": START}
    arrays = []
    for column in SCHEMAS[signal]:
        values = [row.get(column.name, usual.get(column.name)) for row in rows]
        arrays.append(
            pa.array(values).cast(column.type)
            if any(each is not None for each in values)
            else pa.nulls(len(rows), column.type)
        )
    return pa.record_batch(arrays, schema=SCHEMAS[signal])


def no_replay(entry: Entry) -> pa.RecordBatch:
    raise AssertionError(f"{entry.signal} was not sealed")
