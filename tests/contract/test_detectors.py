"""What holds of every detector: state without pickles, no aliasing, bounds, batches cut anywhere, determinism."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "detect"))

import detect_traffic as traffic

from watchkeeper.detect.base import Detector
from watchkeeper.detect.logs import LogDetector
from watchkeeper.patterns.miner import TemplateMiner


def _log_detector(miner: TemplateMiner) -> Detector:
    def text(template_id: int) -> str:
        template = miner.get(template_id)
        return template.text if template else ""

    return LogDetector(text, warmup_s=60.0, window_s=10.0, close_s=30.0)


DETECTORS: dict[str, Callable[[TemplateMiner], Detector]] = {"logs": _log_detector}


@pytest.fixture(params=sorted(DETECTORS))
def make(request: pytest.FixtureRequest) -> Callable[[], Detector]:
    return lambda: DETECTORS[request.param](MINER)


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


BATCHES = _batches()
WHOLE = pa.concat_batches(BATCHES)


def _final(findings: list[list[object]]) -> dict[str, object]:
    return {finding.id: finding for told in findings for finding in told}  # type: ignore[attr-defined]


def test_a_detector_finds_the_fault(make: Callable[[], Detector]) -> None:
    detector = make()
    told = _final([detector.learn(batch) for batch in BATCHES])
    assert told
    assert {finding.service for finding in told.values()} == {"payment"}  # type: ignore[attr-defined]


def test_scores_are_of_the_right_shape_and_zero_while_warming(make: Callable[[], Detector]) -> None:
    detector = make()
    for batch in BATCHES[:5]:
        scores = detector.score(batch)
        assert scores.dtype == np.float64
        np.testing.assert_array_equal(scores, np.zeros(batch.num_rows))
        detector.learn(batch)
    for batch in BATCHES[5:]:
        scores = detector.score(batch)
        assert scores.shape == (batch.num_rows,)
        assert (scores >= 0).all()
        detector.learn(batch)


def test_scoring_changes_nothing(make: Callable[[], Detector], tmp_path: Path) -> None:
    one, other = make(), make()
    for batch in BATCHES:
        one.score(batch)
        assert one.learn(batch) == other.learn(batch)
    assert one.learning() == other.learning()


def test_the_scores_of_a_batch_are_those_of_its_parts(make: Callable[[], Detector]) -> None:
    detector = make()
    for batch in BATCHES[:22]:
        detector.learn(batch)
    batch = BATCHES[22]
    parts = [detector.score(batch.slice(start, 7)) for start in range(0, batch.num_rows, 7)]
    np.testing.assert_array_equal(detector.score(batch), np.concatenate(parts))
    assert detector.score(batch).max() > 0


@pytest.mark.parametrize("size", [1, 37, 400])
def test_what_is_learned_does_not_depend_on_how_lines_are_cut_into_batches(
    make: Callable[[], Detector], size: int
) -> None:
    whole, parts = make(), make()
    upto = 1200 if size == 1 else WHOLE.num_rows
    for batch in BATCHES:
        whole.learn(batch)
    for start in range(0, upto, size):
        parts.learn(WHOLE.slice(start, min(size, upto - start)))
    if size > 1:
        assert parts.learning() == whole.learning()
        probe = BATCHES[25]
        np.testing.assert_allclose(_known_scores(parts, probe), _known_scores(whole, probe))
    assert [state.state for state in parts.learning()]


def _known_scores(detector: Detector, batch: pa.RecordBatch) -> np.ndarray:  # type: ignore[type-arg]
    """Give which lines are unseen: the part of a score that no open window changes."""
    return (detector.score(batch) > 0).astype(np.float64)


def test_the_same_telemetry_gives_the_same_findings(make: Callable[[], Detector]) -> None:
    one, other = make(), make()
    assert [one.learn(batch) for batch in BATCHES] == [other.learn(batch) for batch in BATCHES]


def test_state_is_taken_up_again_without_pickle(make: Callable[[], Detector], tmp_path: Path) -> None:
    whole, before, after = make(), make(), make()
    for batch in BATCHES[:23]:
        whole.learn(batch)
        before.learn(batch)
    before.save(tmp_path)
    after.load(tmp_path)
    for path in tmp_path.rglob("*"):
        assert path.suffix in {".json", ".npz", ".parquet"}
    for batch in BATCHES[23:]:
        np.testing.assert_array_equal(after.score(batch), whole.score(batch))
        assert after.learn(batch) == whole.learn(batch)
    assert after.learning() == whole.learning()
    end = max(BATCHES[-1].column("time_unix_ns").to_pylist())
    assert after.flush(end + 10**12) == whole.flush(end + 10**12)


def test_the_input_is_neither_changed_nor_kept(make: Callable[[], Detector]) -> None:
    detector = make()
    times = np.array(BATCHES[0].column("time_unix_ns").to_numpy())
    copied = BATCHES[0].set_column(0, "time_unix_ns", pa.array(times)).cast(BATCHES[0].schema)
    before = copied.to_pylist()
    detector.learn(copied)
    assert copied.to_pylist() == before
    state = copy.deepcopy(detector.learning())
    times[:] = 0
    assert detector.learning() == state


def test_findings_open_change_and_close(make: Callable[[], Detector]) -> None:
    detector = make()
    for batch in BATCHES:
        detector.learn(batch)
    end = max(BATCHES[-1].column("time_unix_ns").to_pylist())
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
