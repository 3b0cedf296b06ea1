"""Windows with events that no normal window had, and how long they stay out of the ordinary."""

from __future__ import annotations

import pytest

from watchkeeper.detect import newcomers
from watchkeeper.detect.newcomers import RARE_SCORE, NewcomerWatch
from watchkeeper.detect.service import UNSEEN_SCORE_MIN

USUAL, FAULT, GREETING = {1, 2, 3}, 8, 9
TEXTS = {
    1: "request <*> served",
    2: "failed to refresh the cache of <*>",
    3: "user <*> logged in",
    8: "kernel panic: not syncing",
    9: "hello from release <*>",
    10: "failed to refresh the cache of <*> after <*>",
    11: "request <*> refused",
}


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


@pytest.fixture
def reader() -> NewcomerWatch:
    trained = NewcomerWatch(lambda event: TEXTS.get(event, ""), settle_windows=10, grave_settle_windows=30)
    trained.train([USUAL] * 500 + [{1, 100 + number} for number in range(20)] + [USUAL] * 500)
    return trained


def test_with_texts_an_error_is_told_and_a_greeting_is_not(reader: NewcomerWatch) -> None:
    assert reader.take({1, FAULT}) > reader.threshold == UNSEEN_SCORE_MIN
    assert 0 < reader.take({1, GREETING}) <= reader.threshold


def test_a_reworded_error_is_less_of_a_surprise(reader: NewcomerWatch) -> None:
    assert reader.score({10}) < reader.threshold < reader.score({FAULT})


def test_a_harmless_line_does_not_vouch_for_an_error_in_like_words(reader: NewcomerWatch) -> None:
    assert reader.score({11}) == pytest.approx(reader.score({FAULT}))


def test_an_error_takes_longer_to_become_normal(reader: NewcomerWatch) -> None:
    told = [reader.take({FAULT}) > reader.threshold for _ in range(50)]
    assert told == [True] * 31 + [False] * 19


def test_what_is_grave_in_unlabelled_training_is_not_learned_as_normal() -> None:
    windows = [USUAL] * 600 + [{1, FAULT}] * 5 + [USUAL] * 400
    told = {}
    for clean in (True, False):
        watch = NewcomerWatch(lambda event: TEXTS.get(event, ""))
        watch.train(windows, clean=clean)
        told[clean] = watch.take({1, FAULT}) > watch.threshold
    assert told == {True: False, False: True}
