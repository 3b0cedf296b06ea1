"""How right the time left is, with a clock that the tests move; and that the percentage never goes back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from watchkeeper.training.estimate import Estimate
from watchkeeper.training.job import Stage, Statistics

PACES: Mapping[Stage, float] = {Stage.FETCHING: 8e-6, Stage.TRAIN: 0.1, Stage.EVALUATE: 1.0, Stage.SAVE: 1.0}
PLANNED: Mapping[Stage, float] = {Stage.FETCHING: 1e6, Stage.TRAIN: 400, Stage.EVALUATE: 12, Stage.SAVE: 2}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def work(*, speed: float, biased: float = 1.0, slower_later: float = 1.0) -> list[tuple[float, Statistics]]:
    """Go through a job; gives Statistics of each piece of work, with the time they were told.

    speed: factor on all paces. biased: what the trial tells, as a factor. slower_later: from the middle of `train` on.
    """
    clock = Clock()
    estimate = Estimate(clock=clock)
    told: list[tuple[float, Statistics]] = []
    estimate.plan(Stage.FETCHING, PLANNED[Stage.FETCHING])
    for stage in Stage:
        if stage is Stage.TRAIN:
            for later in (Stage.TRAIN, Stage.EVALUATE, Stage.SAVE):
                estimate.plan(later, PLANNED[later])
                estimate.expect(later, PACES[later] * speed * biased)
        estimate.begin(stage)
        pieces = max(1, int(PACES[stage] * PLANNED[stage] * speed / 0.5))
        for piece in range(1, pieces + 1):
            late = stage in {Stage.EVALUATE, Stage.SAVE} or (stage is Stage.TRAIN and piece > pieces / 2)
            clock.now_s += PACES[stage] * PLANNED[stage] * speed * (slower_later if late else 1.0) / pieces
            estimate.reach(PLANNED[stage] * piece / pieces)
            told.append((clock.now_s, estimate.statistics(epoch=0, accuracy=None)))
        estimate.finish()
    return told


def check(told: list[tuple[float, Statistics]], share: float) -> None:
    """From this share of the whole on, the time left is right within a quarter, or one second."""
    total_s = told[-1][0]
    percentages = [each.percentage_completed for _, each in told]
    assert percentages == sorted(percentages)
    assert 99.0 < percentages[-1] <= 99.9
    for at_s, each in told:
        assert each.time_elapsed_s == pytest.approx(at_s)
        if at_s >= share * total_s:
            assert each.remaining_time_s == pytest.approx(total_s - at_s, rel=0.25, abs=1.0), (at_s, total_s)


@pytest.mark.parametrize("speed", [0.2, 1.0, 7.0])
def test_a_first_job_on_a_machine_of_any_speed(speed: float) -> None:
    check(work(speed=speed), 0.5)


@pytest.mark.parametrize("biased", [0.4, 2.5])
def test_a_trial_that_was_off_by_as_much_for_all_work(biased: float) -> None:
    check(work(speed=1.0, biased=biased), 0.5)


@pytest.mark.parametrize("slower", [0.4, 2.5])
def test_others_come_or_go_in_the_middle(slower: float) -> None:
    """That cannot be known before; a minute later it is."""
    check(work(speed=4.0, slower_later=slower), 0.88)


def test_there_is_no_telling_before_a_trial() -> None:
    clock = Clock()
    estimate = Estimate(clock=clock)
    estimate.plan(Stage.FETCHING, 100)
    clock.now_s = 5.0
    estimate.reach(50)
    told = estimate.statistics(epoch=0, accuracy=None)
    assert (told.remaining_time_s, told.percentage_completed) == (None, 0.0)
    for stage, units in ((Stage.TRAIN, 10.0), (Stage.EVALUATE, 2.0), (Stage.SAVE, 1.0)):
        estimate.plan(stage, units)
        estimate.expect(stage, 1.0)
    assert estimate.remaining_s() == pytest.approx(5.0 + 10.0 + 2.0 + 1.0)


def test_what_is_needed_once_slows_nothing_down() -> None:
    clock = Clock()
    estimate = Estimate(clock=clock)
    estimate.begin(Stage.SAVE)
    estimate.plan(Stage.SAVE, 10)
    clock.now_s = 60.0
    estimate.skip(but_s=4.0)
    estimate.reach(4)
    assert estimate.remaining_s() == pytest.approx(6.0)


def test_an_earlier_process_counts() -> None:
    clock = Clock()
    estimate = Estimate(before_s=60.0, percentage=70.0, clock=clock)
    estimate.begin(Stage.SAVE)
    estimate.plan(Stage.SAVE, 100)
    clock.now_s = 3.0
    estimate.skip()
    estimate.resume(80)
    for step in range(81, 91):
        clock.now_s += 1.0
        estimate.reach(step)
    told = estimate.statistics(epoch=3, accuracy=0.5)
    assert (told.time_elapsed_s, told.remaining_time_s) == (73.0, pytest.approx(10.0))
    assert told.percentage_completed == pytest.approx(100 * 73 / 83)


def test_what_an_earlier_process_told_does_not_go_back() -> None:
    told = Estimate(percentage=12.0, clock=Clock()).statistics(epoch=0, accuracy=None)
    assert told.percentage_completed == 12.0
