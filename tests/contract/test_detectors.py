"""What holds of every detector: state without pickles, no aliasing, bounds, batches cut anywhere, determinism."""

from __future__ import annotations

import copy
import sys
from collections import Counter
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


@pytest.fixture(params=sorted(CASES), scope="module")
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


def _learn_all(detector: Detector, batches: list[pa.RecordBatch], seconds: int) -> dict[tuple[str, ...], str]:
    """Learn the batches as though they had come later, and give what was told: kind, service, subject; its last state.

    The subject of a template that was never seen, and of an operation, is the same whenever it comes.
    """
    told = {}
    for batch in batches:
        for one in detector.learn(_later(batch, seconds)):
            told[str(one.kind), one.service, one.subject] = str(one.state)
    return told


def _open(told: dict[str, str]) -> set[str]:
    return {one for one, state in told.items() if state == "open"}


class Life(NamedTuple):
    """A detector that learned what is quiet, and two that begin with what it knew; what it then saw instead."""

    ran_on: Detector
    went_back: Detector
    expected: Detector
    quiet: list[pa.RecordBatch]
    fault: list[pa.RecordBatch]

    @property
    def usual(self) -> list[pa.RecordBatch]:
        """Give the last of what is quiet."""
        return self.quiet[-8:]


GAP_S = 4 * 3600


def _learned(detector: Detector) -> list[tuple[object, ...]]:
    """Give how far learning has come; for those that are learned, the time since is told, seen or not."""
    return [
        (one.service, one.state, one.lines, pytest.approx(one.learned_s, abs=1.0) if one.state == "warming" else None)
        for one in detector.learning()
    ]


def _tens(batches: list[pa.RecordBatch]) -> int:
    """Give the seconds that batches last, up to the next ten."""
    return -(-(_times(batches[-1])[1] - _times(batches[0])[0]) // 10**10) * 10


@pytest.fixture(scope="module")
def quiet_state(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep what is learned of all that is quiet."""
    folder, detector = tmp_path_factory.mktemp("quiet"), case.make()
    for batch in case.batches[: case.fault - 3]:
        detector.learn(batch)
    detector.save(folder)
    return folder


@pytest.fixture
def life(case: Case, quiet_state: Path) -> Life:
    detectors = case.make(), case.make(), case.make()
    for detector in detectors:
        detector.load(quiet_state)
    start = case.fault - 3
    return Life(*detectors, case.batches[:start], case.batches[start : start + 9])


def test_an_earlier_state_takes_over_as_though_no_time_had_passed(life: Life) -> None:
    """Learn what is normal, keep it, see hours of something else, go back: the same is normal and the same is told."""
    quiet_s, fault_s = _tens(life.usual), _tens(life.fault)
    told: dict[str, str] = {}
    for again in range(4, 0, -1):
        for batch in life.fault:
            moved = _later(batch, GAP_S - again * fault_s)
            told.update({one.id: str(one.state) for one in life.ran_on.learn(moved)})
    closed = {one.id: str(one.state) for one in life.went_back.take_over(life.ran_on)}
    assert closed == dict.fromkeys(_open(told), "closed")
    assert _learned(life.went_back) == _learned(life.expected), "nothing is learned from the time between"
    # What had been gathered and not yet judged is of the fault, and is judged now.
    first = _learn_all(life.went_back, life.usual, GAP_S + quiet_s)
    _learn_all(life.expected, life.usual, quiet_s)
    then = _learn_all(life.expected, life.fault, quiet_s)
    assert {*first} <= {*then}
    again = _learn_all(life.went_back, life.fault, GAP_S + quiet_s)
    assert again == then
    assert then


def test_what_was_usual_before_is_told_of_by_nobody_after(life: Life) -> None:
    """The state that ran on had come to take the fault for usual, and saw something usual at last."""
    quiet_s, fault_s = _tens(life.usual), _tens(life.fault)
    for again in range(4, 0, -1):
        _learn_all(life.ran_on, life.fault, GAP_S - quiet_s - again * fault_s)
    _learn_all(life.ran_on, life.usual, GAP_S)
    life.went_back.take_over(life.ran_on)
    assert _learn_all(life.went_back, life.usual, GAP_S + quiet_s) == {}
    _learn_all(life.expected, life.usual, quiet_s)
    assert _learned(life.went_back) == _learned(life.expected)
    told, then = (
        _learn_all(one, life.fault, seconds)
        for one, seconds in ((life.went_back, GAP_S + quiet_s), (life.expected, quiet_s))
    )
    assert told == then
    assert then


def test_what_another_knew_under_other_numbers_is_taken_over(life: Life, case: Case) -> None:
    """It met the same things in another order, as after its state was lost."""
    other, quiet_s = case.make(), _tens(life.usual)
    first, *rest = life.usual
    other.learn(_later(first.take(np.arange(first.num_rows)[::-1]), GAP_S))
    _learn_all(other, rest, GAP_S)
    life.went_back.take_over(other)
    assert _learn_all(life.went_back, life.usual, GAP_S + quiet_s) == {}
    _learn_all(life.expected, life.usual, quiet_s)
    told = _learn_all(life.went_back, life.fault, GAP_S + quiet_s)
    assert told == _learn_all(life.expected, life.fault, quiet_s)
    assert told


def test_a_state_that_was_still_learning_goes_on_learning(case: Case, tmp_path: Path) -> None:
    """Hours that it did not see are no warm-up: it judges nothing before it has learned as long as any other."""
    ran_on, went_back, expected = case.make(), case.make(), case.make()
    begun, rest = case.batches[:4], case.batches[4 : case.fault - 3]
    for batch in begun:
        ran_on.learn(batch)
    ran_on.save(tmp_path)
    went_back.load(tmp_path)
    expected.load(tmp_path)
    for batch in case.batches[: case.fault - 3]:
        ran_on.learn(_later(batch, GAP_S))
    went_back.take_over(ran_on)
    assert {one.state for one in went_back.learning()} == {"warming"}
    assert _learned(went_back) == _learned(expected)
    begin_s = GAP_S + _tens(rest)
    warming: dict[Detector, Counter[str]] = {went_back: Counter(), expected: Counter()}
    for batch in rest:
        for one, seconds in ((went_back, begin_s), (expected, 0)):
            warming[one].update(state.service for state in one.learning() if state.state == "warming")
            one.learn(_later(batch, seconds))
    assert {one.state for one in went_back.learning()} == {"watching"}
    batch_s = (_times(rest[1])[0] - _times(rest[0])[0]) / 1e9
    for service, batches in warming[expected].items():
        assert abs(warming[went_back][service] - batches) * batch_s <= 12.0, "to the window"
        assert batches >= 2


def test_a_state_that_took_over_can_be_kept(life: Life, case: Case, tmp_path: Path) -> None:
    told: dict[str, str] = {}
    for batch in life.fault:
        told.update({one.id: str(one.state) for one in life.ran_on.learn(_later(batch, GAP_S))})
        if _open(told):
            break
    closed = life.went_back.take_over(life.ran_on)
    assert {one.id: str(one.state) for one in closed} == dict.fromkeys(_open(told), "closed")
    assert closed
    life.went_back.save(tmp_path / "again")
    other = case.make()
    other.load(tmp_path / "again")
    later_s = GAP_S + _tens(life.fault)
    for batch in (*life.usual, *life.fault):
        moved = _later(batch, later_s)
        np.testing.assert_array_equal(other.score(moved), life.went_back.score(moved))
        assert other.learn(moved) == life.went_back.learn(moved)
    assert other.learning() == life.went_back.learning()


def test_what_was_open_when_a_state_was_kept_is_told_of_no_more(life: Life, case: Case, tmp_path: Path) -> None:
    """It was closed long ago by the state that ran on."""
    told: dict[str, str] = {}
    for batch in life.fault:
        told.update({one.id: str(one.state) for one in life.ran_on.learn(batch)})
        if _open(told):
            break
    assert _open(told)
    life.ran_on.save(tmp_path / "open")
    other = case.make()
    other.load(tmp_path / "open")
    fault_s, usual_s = _tens(life.fault), _tens(life.usual)
    for batch in life.usual:
        life.ran_on.learn(_later(batch, GAP_S))
    closed = [one.id for one in other.take_over(life.ran_on)]
    later = [one for batch in life.usual for one in other.learn(_later(batch, GAP_S + usual_s))]
    later += other.flush(_times(life.usual[-1])[1] + (GAP_S + usual_s + fault_s + 300) * 10**9)
    assert not {*told} & {*closed, *(one.id for one in later)}


def test_nothing_is_taken_over_from_one_that_knows_nothing_or_is_behind(life: Life, case: Case) -> None:
    assert life.went_back.take_over(case.make()) == []
    behind = case.make()
    behind.learn(case.batches[0])
    assert life.went_back.take_over(behind) == []
    assert _learned(life.went_back) == _learned(life.expected)
    told = _learn_all(life.went_back, life.fault, 0)
    assert told == _learn_all(life.expected, life.fault, 0)
    assert told
