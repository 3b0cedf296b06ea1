"""How far a cell is, told to whoever waits for it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from watchkeeper.bench import progress
from watchkeeper.bench.base import Item, Split
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.protocol import run_split
from watchkeeper.learn.training import Progress


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that is told to; every telling counts."""
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress"))
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    return tmp_path / "progress"


def test_answers_and_trainings_are_told(told: Path) -> None:
    assert progress.read(told) is None
    progress.tell(Progress(1, 4, 0.5, 10.0, 30.0))
    assert progress.read(told) == ("training", 25.0, 30.0)
    progress.tell_answered(1, 4, time.monotonic() - 10.0)
    far = progress.read(told)
    assert far is not None
    assert far[:2] == ("answering", 25.0)
    assert far.remaining_s == pytest.approx(30.0, abs=2.0)
    told.write_text("{")
    assert progress.read(told) is None


def test_a_split_tells_after_each_answer(told: Path) -> None:
    rows = np.zeros((3, 2))
    items = tuple(Item(f"{at}", rows, np.zeros(3, bool)) for at in range(4))
    run_split(catalogue().models.get("never").make, Split("one", (), items), FORMS.get("rows"), 0)
    far = progress.read(told)
    assert far is not None
    assert (far.doing, far.percent, far.remaining_s) == ("answering", 100.0, 0.0)


def test_it_is_told_once_in_a_while_only(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 60.0)
    monkeypatch.setattr(progress, "_last_s", [time.monotonic()])
    progress.tell_answered(1, 4, time.monotonic())
    assert progress.read(told) is None
