"""The shop as it was recorded: what is learned, what is asked, what is true, and what is told where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
from tests.bench.data.shop_recording import CALM, END_S, FAULTS, SETTLE_S, START, S, recording

from watchkeeper.bench.base import BenchError, DataSpec, Place, Split
from watchkeeper.bench.cases.recording import HOME, LABELS_FILE, fingerprint, read_labels
from watchkeeper.bench.cells import Chosen, plan
from watchkeeper.bench.data.shop import RECORDED
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.measure import measure_cell
from watchkeeper.bench.protocol import run_split
from watchkeeper.diagnose.rank.registry import ranker

STEP_S = 5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    data = tmp_path_factory.mktemp("data")
    recording(data / RECORDED)
    return Place(data, data / "cache")


def spec(task: str) -> DataSpec:
    return catalogue().data.get(f"{task}/shop")


def splits(task: str, place: Place) -> list[Split]:
    return list(spec(task).splits(place))


def test_windows_are_learned_in_the_first_calm_and_asked_after_it(place: Place) -> None:
    (split,) = splits("anomaly-detection", place)
    (learned,), (held,), (asked,) = split.train, split.validation, split.test
    assert len(learned.given) + len(held.given) == (CALM[0][1] - CALM[0][0]) // STEP_S
    assert not learned.truth.any()
    assert not held.truth.any()
    faulty_s = sum(end - begin for _, _, begin, end in FAULTS)
    calm_s = sum(end - begin for begin, end in CALM[1:])
    assert asked.truth.sum() == faulty_s // STEP_S
    assert len(asked.given) == (faulty_s + calm_s) // STEP_S  # what fades is in neither
    assert {len(part) for part in asked.given} == {len(asked.given)}
    assert asked.given.logs.shape[1] == 3
    assert asked.given.metrics.shape[1] == 2


@pytest.mark.parametrize(("model", "found"), [("logs_alone", 1), ("metrics_alone", 0), ("fused_ranks", 2)])
def test_each_modality_sees_the_faults_that_show_in_it(place: Place, model: str, found: int) -> None:
    (split,) = splits("anomaly-detection", place)
    outcome, _, _ = run_split(catalogue().models.get(model).make, split, FORMS.get("modalities"), 0)
    ((scores,), (asked,)) = outcome.answers, split.test
    faulty = np.flatnonzero(asked.truth)
    flagged = [bool((scores[part] > outcome.threshold).all()) for part in np.array_split(faulty, 2)]
    assert flagged == {0: [True, False], 1: [False, True], 2: [True, True]}[found]


def test_faults_are_told_with_their_cause_and_calm_without_one(place: Place) -> None:
    (split,) = splits("localization", place)
    truths = {item.id: item.truth for item in split.test}
    assert truths == {
        "calm 0": frozenset(),
        "slow at cart #0": {"service:cart"},
        "calm 1": frozenset(),
        "broken at front #1": {"service:front"},
        "calm 2": frozenset(),
    }
    by_id = {item.id: item.given for item in split.test}
    for name, _, begin, end in FAULTS:
        window = next(each for identifier, each in by_id.items() if identifier.startswith(name))
        assert window.onset_unix_ns == START + begin * S
        assert window.until_unix_ns >= START + end * S
        assert set(window.nodes) == {"service:front", "service:cart"}
        assert window.topology.dependencies("service:front") == ("service:cart",)
    assert [len(by_id[each].findings) for each in truths] == [0, 1, 0, 0, 0]
    assert [change.node for change in by_id["slow at cart #0"].changes] == ["service:cart"]
    first = ranker("robust").rank(by_id["slow at cart #0"]).causes[0]
    assert first.node == "service:cart"


def test_the_baseline_of_a_fault_is_calm(place: Place) -> None:
    (split,) = splits("localization", place)
    window = next(item.given for item in split.test if item.id == "broken at front #1")
    begin, end = START + FAULTS[0][2] * S, START + FAULTS[0][3] * S + int(SETTLE_S) * S
    starts = [one.starts_unix_ns for one in window.events] + [one.times_unix_ns for one in window.series]
    assert all(((each + STEP_S * S <= begin) | (each >= end)).all() for each in starts)
    assert all((each < begin).any() and (each >= window.onset_unix_ns).any() for each in starts)
    (gap,) = window.gaps
    assert gap.before_s == pytest.approx(0.002)


def test_categories_are_asked_by_round(place: Place, tmp_path: Path) -> None:
    first, second = splits("category", place)
    assert [(item.id, item.truth) for item in first.test] == [("slow at cart #0", "resource_cpu")]
    assert [(item.id, item.truth) for item in first.train] == [("broken at front #1", "application_error")]
    assert second.train == first.test
    assert first.labelled
    (broken,) = first.train
    assert any("template" in name and "offer" in name for name in broken.given)
    recording(tmp_path / RECORDED, rounds=1)
    with pytest.raises(BenchError, match="--rounds 2"):
        splits("category", Place(tmp_path, tmp_path))


def test_a_cell_is_measured_and_its_record_tells_the_recording(place: Place) -> None:
    chosen = Chosen(("localization",), ("shop",), ("rank_robust",), ("none",))
    (cell,) = plan(catalogue(), chosen, place.data)
    assert not cell.skipped
    record = measure_cell(cell, place)
    assert set(record["cases"]["ids"]) == {"slow at cart #0", "broken at front #1"}
    assert record["figures"]["specificity"] is not None
    assert record["sources"] == {RECORDED: fingerprint(place.data / RECORDED)}


def test_where_nothing_was_recorded_the_cells_are_skipped_with_the_command(tmp_path: Path) -> None:
    for task in ("anomaly-detection", "localization", "category"):
        cells = plan(catalogue(), Chosen((task,), ("shop",)), tmp_path)
        reasons = {cell.skipped for cell in cells if cell.enhancement.name == "none"}
        how = f"record it with `watchkeeper bench record {tmp_path / RECORDED}`"
        assert reasons == {f"the data set {RECORDED} is not here; {how}"}


def test_labels_that_cannot_be_true_are_refused(place: Place, tmp_path: Path) -> None:
    told = orjson.loads((place.data / RECORDED / LABELS_FILE).read_bytes())
    assert read_labels(place.data / RECORDED).faults[0].service == "cart"

    def refused(change: dict[str, object], why: str) -> None:
        (tmp_path / LABELS_FILE).write_bytes(orjson.dumps({**told, **change}))
        with pytest.raises(BenchError, match=why):
            read_labels(tmp_path)

    refused({"schema_version": 2}, "schema version 2, known is 1")
    refused({"faults": []}, "no fault with calm before")
    refused({"calm": [*told["calm"], told["faults"][0] and {**told["calm"][0], "end_unix_ns": START}]}, "spans")
    refused({"settle_s": "long"}, "cannot be read")
    late = {"begin_unix_ns": START + 120 * S, "end_unix_ns": START + END_S * S}
    refused({"calm": [told["calm"][0], late]}, "overlap")
    with pytest.raises(BenchError, match="record it anew"):
        read_labels(tmp_path / "nowhere")


def test_a_recording_is_read_without_changing_it(place: Place) -> None:
    home = place.data / RECORDED / HOME
    before = {each: each.stat().st_mtime_ns for each in [home, *home.rglob("*")]}
    splits("localization", place)
    assert {each: each.stat().st_mtime_ns for each in [home, *home.rglob("*")]} == before
