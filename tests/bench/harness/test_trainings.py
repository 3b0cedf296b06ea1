"""Trainings that cells share: the same model, once trained, with its cost in every record."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from watchkeeper.bench import trainings
from watchkeeper.bench.base import Item, Split
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS, SessionBlock
from watchkeeper.bench.protocol import run_split
from watchkeeper.learn.autoencoder import Autoencoder

pytest.importorskip("torch")
ROWS = np.random.default_rng(0).random((40, 6))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder of trainings; this process has used none."""
    folder = tmp_path / "trainings"
    monkeypatch.setenv(trainings.VARIABLE, str(folder))
    monkeypatch.setattr(trainings, "_used", trainings._Used())
    return folder


def learned(seed: int = 0) -> Autoencoder:
    return trainings.shared(Autoencoder, lambda: Autoencoder.learn(ROWS, width=2, seed=seed), ROWS, seed)


def test_what_was_trained_is_taken_over_with_its_seconds(kept: Path) -> None:
    began_s = trainings.clock_s()
    first = learned()
    took_s = trainings.clock_s() - began_s
    began_s, walked_s = trainings.clock_s(), time.perf_counter()
    again = learned()
    assert trainings.used() == {"made": 1, "taken": 1}
    np.testing.assert_array_equal(first.score(ROWS), again.score(ROWS))
    assert trainings.clock_s() - began_s == pytest.approx(took_s, rel=0.5)  # what it cost when it was made
    assert time.perf_counter() - walked_s < took_s
    learned(seed=1)
    assert trainings.used() == {"made": 2, "taken": 1}
    assert len([*kept.glob("*.onnx")]) == 2


def test_a_file_that_cannot_be_read_is_trained_again(kept: Path) -> None:
    learned()
    for path in kept.glob("*.onnx"):
        path.write_bytes(b"cut")
    learned()
    assert trainings.used() == {"made": 2, "taken": 0}
    for told in (b"{", b"{}", b'{"seconds": null, "peak_memory_bytes": 1}'):
        for path in kept.glob("*.json"):
            path.write_bytes(told)
        learned()
    assert trainings.used() == {"made": 5, "taken": 0}
    learned()
    assert trainings.used() == {"made": 5, "taken": 1}


def test_what_cannot_be_kept_is_used_all_the_same(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept.write_text("no folder")
    assert len(learned().score(ROWS)) == len(ROWS)
    assert trainings.used() == {"made": 1, "taken": 0}
    assert "a training cannot be kept" in caplog.text


def test_nothing_is_kept_where_no_folder_is_told(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(trainings.VARIABLE)
    learned()
    assert trainings.used() == {"made": 0, "taken": 0}
    assert not kept.exists()


def test_old_trainings_are_deleted(kept: Path) -> None:
    learned()
    old = next(kept.glob("*.onnx"))
    os.utime(old, (time.time() - trainings.KEPT_S - 60,) * 2)
    trainings.forget_old(kept)
    assert [path.suffix for path in kept.iterdir()] == [".json"]


def sessions(name: str, count: int, odd: int = 0) -> Item:
    templates = np.tile([1, 2, 3, 4], count)
    templates[: 4 * odd : 4] = 9
    block = SessionBlock(np.arange(count + 1) * 4, templates, np.arange(count * 4, dtype=np.float64))
    return Item(name, block, np.arange(count) < odd, tuple(f"{name} {at}" for at in range(count)))


def test_a_second_cell_of_a_network_answers_the_same_and_costs_the_same(kept: Path) -> None:
    split = Split("one", (sessions("train", 30),), (sessions("test", 20, 5),), (sessions("held", 10),))
    spec = catalogue().models.get("next_event_lstm")
    first, spent, _ = run_split(spec.make, split, FORMS.get("sessions"), 0)
    again, spent_again, _ = run_split(spec.make, split, FORMS.get("sessions"), 0)
    assert trainings.used() == {"made": 1, "taken": 1}
    np.testing.assert_array_equal(first.answers[0], again.answers[0])
    assert first.threshold == again.threshold
    assert spent_again.fit_s == pytest.approx(spent.fit_s, rel=0.5)
