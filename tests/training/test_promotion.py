"""The rule of promotion, by made-up scores on which the answer is plain."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.training.promotion import Held, judge, quality

SIZE = 200
COUNTS = np.ones(SIZE)
NONE = np.zeros(SIZE, bool)
ALL = np.ones(SIZE, bool)


def held(score: float, flagged: int, *, noise: float = 0.05, seed: int = 1) -> Held:
    scores = np.clip(score + np.random.default_rng(seed).normal(0, noise, SIZE), 0, 1)
    return Held(scores, np.arange(SIZE) < flagged)


@pytest.mark.parametrize(("flagged", "promote"), [(0, True), (10, True), (16, True), (60, False)])
def test_without_a_previous_version_the_budget_decides(flagged: int, promote: bool) -> None:
    verdict = judge(held(0.8, flagged), None, COUNTS, ALL, budget=0.05)
    assert verdict.promote is promote
    assert f"it flags {flagged} of the 200 held-out normal forms" in verdict.why


@pytest.mark.parametrize(("new", "promote"), [(0.9, True), (0.8, True), (0.7, False)])
def test_no_worse_than_the_previous_version(new: float, promote: bool) -> None:
    verdict = judge(held(new, 2, seed=2), held(0.8, 2), COUNTS, ALL, budget=0.05)
    assert verdict.promote is promote
    assert "95 % interval" in verdict.why


def test_over_the_budget_but_better_than_what_there_is() -> None:
    assert judge(held(0.8, 60), held(0.8, 90, seed=2), COUNTS, ALL, budget=0.05).promote
    assert not judge(held(0.8, 90), held(0.8, 60, seed=2), COUNTS, ALL, budget=0.05).promote


def test_nothing_is_new() -> None:
    assert judge(held(0.8, 0), None, COUNTS, NONE, budget=0.05).promote


def test_quality() -> None:
    counts = np.where(np.arange(SIZE) < 10, 100.0, 1.0)
    told = quality(Held(np.where(np.arange(SIZE) < 10, 1.0, 0.0), np.arange(SIZE) >= 10), counts)
    assert told.accuracy == pytest.approx(100 / 290)  # by the square root of the count
    assert told.flagged == pytest.approx(190 / 1190)
    assert told.accuracy_low < told.accuracy < told.accuracy_high
