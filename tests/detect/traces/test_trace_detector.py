"""The trace detector: what it finds in made-up traces, and that order and batches do not matter."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from trace_traffic import SECOND_NS, SERVER, START_NS, Fault, Shop, Span, batch

from watchkeeper.detect.traces.detector import TraceDetector
from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.finding import Finding, FindingState, finding_from_dict

FAULT_FROM, FAULT_TO, END = 300, 360, 420


def detector(**settings: float) -> TraceDetector:
    return TraceDetector(**{"warmup_s": 100.0, "window_s": 10.0, "close_s": 40.0, **settings})


@cache
def traffic(fault: Fault | None, seed: int = 3) -> list[pa.RecordBatch]:
    shop = Shop(seed)
    return [
        batch(shop.seconds(start, start + 5, fault if FAULT_FROM <= start < FAULT_TO else None))
        for start in range(0, END, 5)
    ]


def told(batches: list[pa.RecordBatch], keeper: TraceDetector | None = None) -> dict[str, Finding]:
    keeper = keeper or detector()
    found = {finding.id: finding for one in batches for finding in keeper.learn(one)}
    found.update({finding.id: finding for finding in keeper.flush(START_NS + (END + 20) * SECOND_NS)})
    return found


def by_kind(findings: dict[str, Finding], kind: str) -> dict[str, Finding]:
    return {f"{one.service} {one.subject}": one for one in findings.values() if one.kind == kind}


@pytest.mark.parametrize("seed", [1, 2])
def test_healthy_traffic_raises_nothing(seed: int) -> None:
    assert told(traffic(None, seed)) == {}


def test_failures_are_told_where_they_come_from() -> None:
    found = by_kind(told(traffic(Fault(failing=0.5))), "trace.error.rate")
    assert set(found) == {
        "payment POST /charges",
        "front front -> payment",
        "front POST /pay/*",
    }
    own = found["payment POST /charges"]
    assert own.attributes.get("explained_by", "") == ""
    assert own.seen.low is not None
    assert 0.3 < own.seen.low < 0.8
    assert own.first_unix_ns < START_NS + (FAULT_FROM + 10) * SECOND_NS
    assert own.detected_unix_ns <= START_NS + (FAULT_FROM + 30) * SECOND_NS
    assert found["front POST /pay/*"].attributes["explained_by"] == "payment"
    assert found["front front -> payment"].attributes["callee"] == "payment"


def test_a_slow_service_explains_its_caller() -> None:
    findings = told(traffic(Fault(slow_s=0.3)))
    found = by_kind(findings, "trace.latency")
    own, caller = found["payment POST /charges"], found["front POST /pay/*"]
    assert own.attributes["own_share"] > 0.9
    assert "explained_by" not in own.attributes
    assert caller.attributes["own_share"] < 0.1
    assert caller.attributes["explained_by"] == "payment"
    assert found["front front -> payment"].attributes["explained_by"] == "payment"
    assert not by_kind(findings, "trace.edge.gap")
    assert "GET /" not in " ".join(found)


def test_a_slow_wire_is_told_from_a_slow_service() -> None:
    findings = told(traffic(Fault(gap_s=0.3)))
    gap = by_kind(findings, "trace.edge.gap")
    assert set(gap) == {"front front -> payment"}
    assert not [one for one in by_kind(findings, "trace.latency") if one.startswith("payment")]
    assert "network" in gap["front front -> payment"].why


def test_a_child_that_no_longer_comes() -> None:
    found = by_kind(told(traffic(Fault(no_store=True))), "trace.child.missing")
    assert [one.attributes["child"] for one in found.values()] == ["HGETALL"]


def test_a_call_never_made_before() -> None:
    found = by_kind(told(traffic(Fault(new_call=True))), "trace.path.unseen")
    assert [(one.service, one.attributes["child"]) for one in found.values()] == [("cart", "GET quota")]


@pytest.mark.parametrize(("rate", "measure"), [(0.1, "drop"), (4.0, "surge")])
def test_less_and_more_traffic(rate: float, measure: str) -> None:
    found = by_kind(told(traffic(Fault(rate=rate))), "trace.throughput")
    assert set(found) == {"front GET /", "front POST /pay/*"}
    assert {one.attributes["measure"] for one in found.values()} == {measure}


def test_findings_carry_exemplars_points_bands_and_a_baseline() -> None:
    batches = traffic(Fault(failing=0.5, slow_s=0.3))
    traces = {one for each in batches for one in each.column("trace_id").to_pylist()}
    for finding in told(batches).values():
        lines = [one for one in finding.evidence if one.kind == "line"]
        assert lines
        assert {one.trace_id for one in lines} <= traces
        [series] = [one for one in finding.evidence if one.kind == "series"]
        assert len(series.points) > 5
        assert all(math.isfinite(value) for _, value in series.points)
        assert finding.baseline.windows > 0
        assert finding.baseline.from_unix_ns < finding.first_unix_ns
        assert finding.expected.high is not None
        assert finding.why.endswith(".")
        assert finding_from_dict(orjson.loads(orjson.dumps(finding.as_dict()))) == finding


def test_order_and_cuts_of_batches_do_not_matter() -> None:
    batches = traffic(Fault(failing=0.5, slow_s=0.3, new_call=True))
    whole = told(batches)
    table = pa.concat_batches(batches)
    rows = np.arange(table.num_rows)
    for begin in range(0, len(rows), 60):
        np.random.default_rng(begin).shuffle(rows[begin : begin + 60])
    mixed = pa.Table.from_batches([table]).take(rows).combine_chunks().to_batches()[0]
    cut = [mixed.slice(begin, 17) for begin in range(0, mixed.num_rows, 17)]
    assert told(cut) == whole
    assert whole


def test_findings_close_when_it_is_over() -> None:
    keeper = detector()
    assert told(traffic(Fault(failing=0.5)), keeper)
    closed = keeper.flush(START_NS + 1_000 * SECOND_NS)
    assert {one.state for one in closed} == {FindingState.CLOSED}
    assert keeper.flush(START_NS + 1_000 * SECOND_NS) == []
    assert keeper.flush(START_NS + 10**9 * SECOND_NS) == []


def test_scores() -> None:
    keeper = detector()
    batches = traffic(None)
    np.testing.assert_array_equal(keeper.score(batches[0]), np.zeros(batches[0].num_rows))
    assert keeper.score(batches[0].slice(0, 0)).shape == (0,)
    for one in batches[:60]:
        keeper.learn(one)
    before = keeper.learning()
    normal = keeper.score(batches[60])
    slow = keeper.score(batch(Shop(9).seconds(300, 305, Fault(slow_s=2.0, failing=1.0))))
    assert normal.max() < slow.max()
    assert slow.max() > 5
    parts = np.concatenate([keeper.score(batches[60].slice(at, 7)) for at in range(0, batches[60].num_rows, 7)])
    np.testing.assert_array_equal(parts, normal)
    assert keeper.learning() == before


def test_learning_is_told() -> None:
    keeper = detector()
    for one in traffic(None)[:12]:
        keeper.learn(one)
    assert {one.service: one.state for one in keeper.learning()} == dict.fromkeys(
        ("cart", "front", "payment"), "warming"
    )
    for one in traffic(None)[12:60]:
        keeper.learn(one)
    assert {one.state for one in keeper.learning()} == {"watching"}


def test_state_is_taken_up_again(tmp_path: Path) -> None:
    batches = traffic(Fault(failing=0.5, slow_s=0.3, no_store=True))
    whole, before, after = detector(), detector(), detector()
    for one in batches[:63]:
        assert whole.learn(one) == before.learn(one)
    before.save(tmp_path)
    after.load(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".npz"}
    for one in batches[63:]:
        np.testing.assert_array_equal(whole.score(one), after.score(one))
        assert whole.learn(one) == after.learn(one)
    assert whole.learning() == after.learning()
    end = START_NS + 2_000 * SECOND_NS
    assert whole.flush(end) == after.flush(end)


def test_damaged_and_newer_state_is_told(tmp_path: Path) -> None:
    keeper = detector()
    keeper.learn(traffic(None)[0])
    with pytest.raises(StoreError, match="cannot be read"):
        keeper.load(tmp_path)
    keeper.save(tmp_path)
    (tmp_path / "traces.npz").write_bytes(b"torn")
    with pytest.raises(StoreError, match="cannot be read"):
        keeper.load(tmp_path)
    document = orjson.loads((tmp_path / "traces.json").read_bytes())
    (tmp_path / "traces.json").write_bytes(orjson.dumps({**document, "schema_version": 99}))
    with pytest.raises(NewerFormat):
        keeper.load(tmp_path)


def test_names_with_ids_are_folded_and_memory_is_bounded() -> None:
    keeper = detector()
    letters = [f"op {chr(97 + one // 26 % 26)}{chr(97 + one % 26)}{chr(97 + one // 676)}" for one in range(600)]
    spans = [Span("api", f"GET /users/{one}", SERVER, one / 100, 0.01, one + 1, one + 1) for one in range(600)]
    spans += [Span("api", name, SERVER, one / 100, 0.01, one + 999, one + 999) for one, name in enumerate(letters)]
    keeper.learn(batch(spans))
    names = [one.name for one in keeper._watch.operations.names]
    assert "GET /users/*" in names
    assert "(other)" in names
    assert len(names) <= 202


def test_late_spans_are_counted_and_left_out() -> None:
    keeper = detector()
    for one in traffic(None)[:30]:
        keeper.learn(one)
    assert keeper.learn(batch(Shop(5).seconds(3, 6))) == []
    assert keeper.late_spans > 0
