"""What is gathered for a live incident is what was stored, laid out in windows, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.store.reads.tables import Tables

from watchkeeper.diagnose.gather import LIMITS, GatherLimits, Reach, candidates, gather
from watchkeeper.diagnose.window import Aspect, Change
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

NOW = Tables.now - Tables.now % (5 * Tables.second)
SECOND = Tables.second
SERVER, CLIENT = 2, 3

TOPOLOGY = Topology(
    nodes=tuple(Node(NodeKind.SERVICE, name) for name in ("front", "cart", "stock", "mail")),
    edges=(
        Edge("service:front", "service:cart", EdgeKind.CALLS),
        Edge("service:cart", "service:stock", EdgeKind.CALLS),
    ),
)


@pytest.fixture
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.connection.close()


def call(at_s: float, trace: str, *, server_ms: float, gap_ms: float, failed: bool = False) -> list[dict[str, object]]:
    at = NOW + int(at_s * SECOND)
    return [
        {
            "time_unix_ns": at,
            "trace_id": trace,
            "span_id": f"{trace}-c",
            "service": "front",
            "name": "GET cart",
            "kind": CLIENT,
            "duration_ns": int((server_ms + gap_ms) * 1e6),
        },
        {
            "time_unix_ns": at,
            "trace_id": trace,
            "span_id": f"{trace}-s",
            "parent_span_id": f"{trace}-c",
            "service": "cart",
            "name": "GET /cart",
            "kind": SERVER,
            "duration_ns": int(server_ms * 1e6),
            "status_code": 2 if failed else 1,
        },
    ]


def gathered(tables: Tables, *, noticed: tuple[str, ...] = ("service:front",), limits: GatherLimits = LIMITS):
    reach = Reach(onset_unix_ns=NOW, until_unix_ns=NOW + 60 * SECOND, nodes=noticed)
    return gather(tables, reach, topology=TOPOLOGY, template_text=lambda number: f"template {number}", limits=limits)


def test_candidates_are_what_is_connected_nearest_first():
    assert candidates(TOPOLOGY, ("service:front",)) == ("service:front", "service:cart", "service:stock")
    assert candidates(TOPOLOGY, ("service:mail",)) == ("service:mail",)
    assert candidates(TOPOLOGY, ()) == ()


def test_lines_are_counted_by_template_and_window(tables):
    tables.logs(
        *[{"time_unix_ns": NOW - at * SECOND, "service": "cart", "template_id": 7} for at in (30, 20, 20)],
        {"time_unix_ns": NOW + 1, "service": "cart", "template_id": 8, "severity_number": 17},
        {"time_unix_ns": NOW + 1, "service": "mail", "template_id": 8},
        {"time_unix_ns": NOW + 70 * SECOND, "service": "cart", "template_id": 7},
    )
    (events,) = gathered(tables).events
    assert (events.kind, events.nodes, events.subjects) == ("log", ("service:cart",) * 2, ("template 7", "template 8"))
    assert events.counts.sum(axis=1).tolist() == [3, 1]
    assert events.errors.sum(axis=1).tolist() == [0, 1]
    starts = events.starts_unix_ns[events.counts[0] > 0]
    assert starts.tolist() == [NOW - 30 * SECOND, NOW - 20 * SECOND]
    assert events.counts[0].max() == 2


def test_spans_tell_operations_callers_and_gaps(tables):
    for number in range(6):
        tables.spans(*call(-60 + number, f"a{number}", server_ms=10, gap_ms=1))
        tables.spans(*call(1 + number, f"b{number}", server_ms=10, gap_ms=200, failed=number < 3))
    window = gathered(tables)
    events = next(each for each in window.events if each.kind == "span")
    assert list(zip(events.nodes, events.subjects, events.callers, strict=True)) == [
        ("service:cart", "GET /cart", "service:front"),
        ("service:front", "GET cart", ""),
    ]
    assert events.counts[0].sum() == 12
    assert events.errors[0].sum() == 3
    assert np.nanmedian(events.duration_s[0]) == pytest.approx(0.010)
    (gap,) = window.gaps
    assert (gap.caller, gap.callee, gap.calls_before, gap.calls_during) == ("service:front", "service:cart", 6, 6)
    assert gap.before_s == pytest.approx(0.001)
    assert gap.during_s == pytest.approx(0.200)
    rate = next(series for series in window.series if series.name == "span.rate")
    assert (rate.node, rate.aspect) == ("service:cart", Aspect.TRAFFIC)
    assert np.nansum(rate.values) * 5 == pytest.approx(12)


def test_what_sends_no_spans_is_seen_through_its_clients(tables):
    def client(at_s: float, span_id: str, attributes: dict[str, str], *, failed: bool) -> None:
        row = {
            "time_unix_ns": NOW + int(at_s * SECOND),
            "trace_id": span_id,
            "span_id": span_id,
            "service": "cart",
            "name": "call",
            "kind": CLIENT,
            "duration_ns": 5_000_000,
            "attributes": attributes,
            "status_code": 2 if failed else 1,
        }
        tables.spans(row)

    redis = {"db.system.name": "redis", "server.address": "store"}
    client(-60, "a", redis, failed=False)
    client(5, "b", redis, failed=True)
    client(5, "c", {"server.address": "stock"}, failed=True)
    client(6, "d", {"server.address": "stock"}, failed=False)
    client(6, "e", {"server.address": "bank.example"}, failed=False)
    nodes = ("service:front", "database:redis/store")
    reach = Reach(NOW, NOW + 60 * SECOND, nodes)
    window = gather(tables, reach, topology=TOPOLOGY, template_text=str)
    events = next(each for each in window.events if each.kind == "span")
    seen = {node: (events.counts[row].sum(), events.errors[row].sum()) for row, node in enumerate(events.nodes)}
    assert seen == {
        "service:cart": (5, 2),
        "database:redis/store": (2, 1),
        "service:stock": (1, 1),
        "external:bank.example": (1, 0),
    }
    ratio = next(each for each in window.series if each.node == nodes[1] and each.aspect is Aspect.ERRORS)
    assert ratio.values[~np.isnan(ratio.values)].tolist() == [0.0, 1.0]


def test_counters_become_rates_and_histograms_means(tables):
    def point(at_s: int, **values: object) -> dict[str, object]:
        return {"time_unix_ns": NOW + at_s * SECOND, "service": "cart", "entity": "service=cart", **values}

    counter = {"name": "requests", "kind": "sum", "is_monotonic": True, "temporality": 2}
    tables.metrics(
        *[point(-50 + 5 * at, **counter, value_int=value) for at, value in enumerate((100, 150, 200, 10, 60))],
        *[point(-50 + 5 * at, name="process.memory.usage", kind="gauge", value_double=5.0) for at in range(4)],
        *[
            point(-50 + 5 * at, name="latency", unit="s", kind="histogram", temporality=1, count=10, sum=at / 10)
            for at in range(3)
        ],
    )
    found = {series.name: series for series in gathered(tables).series}
    values = found["requests"].values[~np.isnan(found["requests"].values)]
    assert values.tolist() == [10.0, 10.0, 10.0]  # the restart from 200 to 10 tells nothing
    assert found["process.memory.usage"].aspect is Aspect.MEMORY
    assert np.nanmax(found["process.memory.usage"].values) == 5.0
    assert np.nanmax(found["latency mean"].values) == pytest.approx(0.02)
    assert found["latency rate"].values[~np.isnan(found["latency rate"].values)].tolist() == [2.0, 2.0]


def test_nothing_stored_is_an_empty_window_and_changes_are_those_of_the_time(tables):
    window = gathered(tables)
    assert (window.events, window.series, window.gaps) == ((), (), ())
    assert window.nodes[0] == "service:front"
    near = Change("1", "deploy", "service:cart", "cart 2.0", NOW - 5 * SECOND)
    old = Change("2", "deploy", "service:cart", "cart 1.0", NOW - 7200 * SECOND)
    reach = Reach(NOW, NOW + SECOND, ("service:cart",))
    assert gather(tables, reach, topology=TOPOLOGY, template_text=str, changes=(near, old)).changes == (near,)
