"""What holds of every detector: state without pickles, no aliasing, bounds, batches cut anywhere, determinism."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "detect"))
sys.path.insert(0, str(Path(__file__).parents[1] / "detect" / "metrics"))
sys.path.insert(0, str(Path(__file__).parents[1] / "detect" / "traces"))

import detect_traffic as traffic
import metric_traffic
import trace_traffic

from watchkeeper.detect.base import Detector
from watchkeeper.detect.logs import LogDetector
from watchkeeper.detect.metrics.detector import MetricDetector
from watchkeeper.detect.traces.detector import TraceDetector
from watchkeeper.patterns.miner import TemplateMiner


def _log_detector(miner: TemplateMiner) -> Detector:
    def text(template_id: int) -> str:
        template = miner.get(template_id)
        return template.text if template else ""

    return LogDetector(text, warmup_s=60.0, window_s=10.0, close_s=30.0)


class Case(NamedTuple):
    """A detector and telemetry for it: `quiet` batches to learn from, a fault of payment from `fault` on, quiet again.

    cuts: sizes of batches that must not matter. once: rows at the head of a batch of which none continues another.
    """

    make: Callable[[], Detector]
    batches: list[pa.RecordBatch]
    quiet: int
    fault: int
    cuts: tuple[int, ...]
    once: int = 10_000

    @property
    def whole(self) -> pa.RecordBatch:
        """Give all batches as one."""
        return pa.concat_batches(self.batches)


MINER = TemplateMiner()


def _batches() -> list[pa.RecordBatch]:
    """Ninety quiet seconds, a fault, lines out of order, and quiet again."""
    shop, batches = traffic.Shop(5), []
    for start in range(0, 200, 5):
        lines = [line for second in shop.seconds(start, start + 5) for line in second]
        if 100 <= start < 150:
            lines += [(start + n / 9, "payment", traffic.ERROR, f"refused {n}") for n in range(40)]
        if start % 20 == 15:
            lines = lines[len(lines) // 2 :] + lines[: len(lines) // 2]
        batches.append(traffic.log_batch(lines, MINER))
    return batches


def _metric_batches() -> list[pa.RecordBatch]:
    """Ten minutes of gauges, three of a payment that is slow, and two quiet ones."""
    shop, fault = metric_traffic.Shop(5), {("payment", "request.duration"): 5.0, ("payment", "cpu.utilization"): 2.2}
    moments = shop.between(0, 1200) + shop.between(1200, 1380, fault) + shop.between(1380, 1500)
    return [
        metric_traffic.metric_batch([point for points in moments[at : at + 5] for point in points])
        for at in range(0, len(moments), 5)
    ]


def _trace_batches() -> list[pa.RecordBatch]:
    """Three minutes of traces, one of a payment that fails, and half a quiet one."""
    shop, fault = trace_traffic.Shop(3), trace_traffic.Fault(failing=0.9)
    return [
        trace_traffic.batch(shop.seconds(start, start + 5, fault if 300 <= start < 360 else None))
        for start in range(0, 420, 5)
    ]


BATCHES = _batches()
CASES = {
    "logs": Case(lambda: _log_detector(MINER), BATCHES, 5, 22, (37, 400)),
    "metrics": Case(
        lambda: MetricDetector(warmup_s=300.0, window_s=10.0, close_s=60.0), _metric_batches(), 5, 25, (37, 400), 15
    ),
    "traces": Case(
        lambda: TraceDetector(warmup_s=100.0, window_s=10.0, close_s=40.0), _trace_batches(), 5, 63, (37, 400)
    ),
}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def _final(findings: list[list[object]]) -> dict[str, object]:
    return {finding.id: finding for told in findings for finding in told}  # type: ignore[attr-defined]


def test_a_detector_finds_the_fault(case: Case) -> None:
    detector = case.make()
    told = _final([detector.learn(batch) for batch in case.batches])
    assert told
    services = {finding.service for finding in told.values()}  # type: ignore[attr-defined]
    assert "payment" in services
    assert services <= {"payment", "front"}, "who calls payment may be told too, nobody else"


def test_scores_are_of_the_right_shape_and_zero_while_warming(case: Case) -> None:
    detector = case.make()
    for batch in case.batches[: case.quiet]:
        scores = detector.score(batch)
        assert scores.dtype == np.float64
        np.testing.assert_array_equal(scores, np.zeros(batch.num_rows))
        detector.learn(batch)
    for batch in case.batches[case.quiet :]:
        scores = detector.score(batch)
        assert scores.shape == (batch.num_rows,)
        assert (scores >= 0).all()
        detector.learn(batch)


def test_scoring_changes_nothing(case: Case, tmp_path: Path) -> None:
    one, other = case.make(), case.make()
    for batch in case.batches:
        one.score(batch)
        assert one.learn(batch) == other.learn(batch)
    assert one.learning() == other.learning()


def test_the_scores_of_a_batch_are_those_of_its_parts(case: Case) -> None:
    detector = case.make()
    for batch in case.batches[: case.fault]:
        detector.learn(batch)
    batch = case.batches[case.fault].slice(0, case.once)
    parts = [detector.score(batch.slice(start, 7)) for start in range(0, batch.num_rows, 7)]
    np.testing.assert_array_equal(detector.score(batch), np.concatenate(parts))
    assert detector.score(batch).max() > 0


@pytest.mark.parametrize("cut", [0, 1])
def test_what_is_learned_does_not_depend_on_how_rows_are_cut_into_batches(case: Case, cut: int) -> None:
    whole, parts = case.make(), case.make()
    everything, size = case.whole, case.cuts[cut]
    for batch in case.batches:
        whole.learn(batch)
    for start in range(0, everything.num_rows, size):
        parts.learn(everything.slice(start, size))
    assert parts.learning() == whole.learning()
    probe = case.batches[case.fault + 1]
    np.testing.assert_allclose(_known_scores(parts, probe), _known_scores(whole, probe))


def test_rows_may_come_one_by_one(case: Case) -> None:
    detector, everything = case.make(), case.whole
    for start in range(min(1200, everything.num_rows)):
        detector.learn(everything.slice(start, 1))
    assert all(state.state for state in detector.learning())
    assert detector.learning()


def _known_scores(detector: Detector, batch: pa.RecordBatch) -> np.ndarray:  # type: ignore[type-arg]
    """Give which rows score at all: the part of a score that no open window changes."""
    return (detector.score(batch) > 0).astype(np.float64)


def test_the_same_telemetry_gives_the_same_findings(case: Case) -> None:
    one, other = case.make(), case.make()
    assert [one.learn(batch) for batch in case.batches] == [other.learn(batch) for batch in case.batches]


def test_state_is_taken_up_again_without_pickle(case: Case, tmp_path: Path) -> None:
    whole, before, after = case.make(), case.make(), case.make()
    for batch in case.batches[: case.fault + 1]:
        whole.learn(batch)
        before.learn(batch)
    before.save(tmp_path)
    after.load(tmp_path)
    for path in tmp_path.rglob("*"):
        assert path.suffix in {".json", ".npz", ".parquet"}
    for batch in case.batches[case.fault + 1 :]:
        np.testing.assert_array_equal(after.score(batch), whole.score(batch))
        assert after.learn(batch) == whole.learn(batch)
    assert after.learning() == whole.learning()
    end = max(case.batches[-1].column("time_unix_ns").to_pylist())
    assert after.flush(end + 10**12) == whole.flush(end + 10**12)


def test_the_input_is_neither_changed_nor_kept(case: Case) -> None:
    detector = case.make()
    times = np.array(case.batches[0].column("time_unix_ns").to_numpy())
    copied = case.batches[0].set_column(0, "time_unix_ns", pa.array(times)).cast(case.batches[0].schema)
    before = copied.to_pylist()
    detector.learn(copied)
    assert copied.to_pylist() == before
    state = copy.deepcopy(detector.learning())
    times[:] = 0
    assert detector.learning() == state


def test_findings_open_change_and_close(case: Case) -> None:
    detector = case.make()
    for batch in case.batches:
        detector.learn(batch)
    end = max(case.batches[-1].column("time_unix_ns").to_pylist())
    told = detector.flush(end + 10**12)
    assert all(finding.state == "closed" for finding in told)
    assert detector.flush(end + 10**12) == []


def test_memory_is_bounded() -> None:
    detector = LogDetector(lambda _: "", warmup_s=0.0, window_s=1.0, services_max=3)
    rows = 4000
    for round_number in range(8):
        batch = BATCHES[0].slice(0, 1)
        many = pa.concat_batches([batch] * rows)
        ids = pa.array(np.arange(rows) + rows * round_number, pa.int64())
        index = many.schema.get_field_index("template_id")
        detector.learn(many.set_column(index, many.schema.field(index), ids))
    for number in range(10):
        lines = [(1.0, f"service{number}", traffic.INFO, "x")]
        detector.learn(traffic.log_batch(lines, MINER))
    assert len(detector.learning()) == 3
    watch = next(iter(LogDetector(lambda _: "")._watches.values()), None)
    assert watch is None
    other = LogDetector(lambda _: "", warmup_s=0.0, window_s=1.0)
    for round_number in range(8):
        ids = pa.array(np.arange(rows) + rows * round_number, pa.int64())
        other.learn(many.set_column(index, many.schema.field(index), ids))
    [kept] = other._watches.values()
    assert len(kept.ids) <= 10_000
    assert replace(kept.learning()).lines == rows * 8


def _later(batch: pa.RecordBatch, seconds: int) -> pa.RecordBatch:
    """Give the batch as though it had come later."""
    for name in ("time_unix_ns", "end_time_unix_ns", "received_unix_ns"):
        place = batch.schema.get_field_index(name)
        if place >= 0:
            moved = pa.array(batch.column(name).to_numpy() + seconds * 10**9, batch.schema.field(place).type)
            batch = batch.set_column(place, batch.schema.field(place), moved)
    return batch


def _times(batch: pa.RecordBatch) -> tuple[int, int]:
    times = batch.column("time_unix_ns").to_numpy()
    return int(times.min()), int(times.max())


def test_an_earlier_state_takes_over_as_though_no_time_had_passed(case: Case, tmp_path: Path) -> None:
    """Learn what is normal, keep it, see hours of something else, go back: the same is normal and the same is told."""
    detector, went_back, expected, gap_s = case.make(), case.make(), case.make(), 4 * 3600
    start = case.fault - 3
    quiet, fault = case.batches[:start], case.batches[start : start + 9]
    for batch in quiet:
        detector.learn(batch)
    detector.save(tmp_path)
    span_s = -(-(_times(fault[-1])[1] - _times(fault[0])[0]) // 10**10) * 10
    told: dict[str, str] = {}
    for again in range(4, 0, -1):
        for batch in fault:
            told.update({one.id: str(one.state) for one in detector.learn(_later(batch, gap_s - again * span_s))})
    went_back.load(tmp_path)
    expected.load(tmp_path)
    closed = {one.id: str(one.state) for one in went_back.take_over(detector)}
    assert closed == {one: "closed" for one, state in told.items() if state == "open"}
    assert [(one.service, one.state) for one in went_back.learning()] == [
        (one.service, one.state) for one in expected.learning()
    ]
    then = {(one.kind, one.service) for batch in fault for one in expected.learn(batch)}
    usual = quiet[-8:]
    later = gap_s + 10 + (_times(usual[-1])[1] - _times(usual[0])[0]) // 10**10 * 10
    found = {(one.kind, one.service) for batch in usual for one in went_back.learn(_later(batch, later))}
    # What had been gathered and not yet judged is of the fault, and is judged now.
    assert found <= then, "what was normal when it was learned is normal again, and nothing is missing"
    assert {(one.kind, one.service) for batch in fault for one in went_back.learn(_later(batch, later))} >= then
    assert then
