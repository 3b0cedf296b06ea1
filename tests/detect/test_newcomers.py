"""Windows with events that no normal window had, and how long they stay out of the ordinary."""

from __future__ import annotations

import pytest

from watchkeeper.detect import newcomers
from watchkeeper.detect.newcomers import RARE_SCORE, NewcomerWatch

USUAL, FAULT, GREETING = {1, 2, 3}, 8, 9


@pytest.fixture
def watch() -> NewcomerWatch:
    trained = NewcomerWatch(settle_windows=10, quiet_windows=2)
    trained.train([USUAL] * 1000)
    return trained


def test_usual_windows_score_nothing_and_new_events_do(watch: NewcomerWatch) -> None:
    assert watch.take(USUAL) == 0.0
    assert watch.take({1, FAULT}) > watch.threshold == RARE_SCORE


def test_a_fault_that_comes_back_is_told_again(watch: NewcomerWatch) -> None:
    for _ in range(5):
        assert all(watch.take({FAULT}) > watch.threshold for _ in range(9))
        assert [watch.take(USUAL) for _ in range(3)] == [0.0] * 3


def test_what_goes_on_for_long_becomes_normal_and_stays_so(watch: NewcomerWatch) -> None:
    told = [watch.take({GREETING}) > watch.threshold for _ in range(20)]
    assert told == [True] * 11 + [False] * 9
    for _ in range(50):
        watch.take(USUAL)
    assert watch.take({GREETING}) == 0.0


def test_a_pause_within_quiet_windows_does_not_break_the_run(watch: NewcomerWatch) -> None:
    told = [watch.take({GREETING} if number % 3 == 0 else USUAL) > watch.threshold for number in range(30)]
    assert sum(told) == 5


def test_where_new_events_are_usual_they_are_no_surprise() -> None:
    watch = NewcomerWatch()
    watch.train([{1, 100 + number // 5} for number in range(1000)])
    assert 0 < watch.take({1, 5000}) <= watch.threshold
    assert watch.take({1, 5000}) == 0.0


def test_without_training_everything_is_learned_until_it_repeats() -> None:
    watch = NewcomerWatch()
    watch.train([])
    assert watch.threshold == RARE_SCORE
    for _ in range(100):
        watch.take(USUAL)
    assert watch.take({FAULT}) > watch.threshold


def test_suspects_are_bounded(watch: NewcomerWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "SUSPECTS_MAX", 5)
    for event in range(100, 200):
        watch.take({event})
    assert len(watch._suspects) == 5
