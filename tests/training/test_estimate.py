"""How right the time left is, with a clock that the tests move; and that the percentage never goes back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from watchkeeper.training.estimate import PACES, Estimate
from watchkeeper.training.job import Stage, Statistics


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def work(
    paces: Mapping[Stage, float], planned: Mapping[Stage, int], known: Mapping[Stage, float]
) -> list[tuple[float, Statistics]]:
    """Go through a job whose real paces are these; gives Statistics of each second, with the time they were told."""
    clock = Clock()
    estimate = Estimate(known, clock=clock)
    told: list[tuple[float, Statistics]] = []
    estimate.plan(Stage.FETCHING, planned[Stage.FETCHING])
    estimate.plan(Stage.TRAIN, 2_000)
    estimate.plan(Stage.EVALUATE, 1_500)
    estimate.plan(Stage.SAVE, 1)
    for stage in Stage:
        if stage is Stage.TRAIN:
            estimate.plan(Stage.TRAIN, planned[Stage.TRAIN])
            estimate.plan(Stage.EVALUATE, planned[Stage.EVALUATE])
        estimate.begin(stage)
        pieces = max(1, int(paces[stage] * planned[stage] / 0.5))
        for piece in range(1, pieces + 1):
            clock.now_s += paces[stage] * planned[stage] / pieces
            if stage is not Stage.EVALUATE:  # which tells nothing of how far it is
                estimate.reach(planned[stage] * piece / pieces)
            told.append((clock.now_s, estimate.statistics(epoch=0, accuracy=None)))
        estimate.finish()
    return told


PLANNED = {Stage.FETCHING: 1_000_000, Stage.TRAIN: 900, Stage.EVALUATE: 600, Stage.SAVE: 1}


@pytest.mark.parametrize("speed", [0.2, 1.0, 7.0])
def test_a_machine_of_any_speed(speed: float) -> None:
    told = work({stage: pace * speed for stage, pace in PACES.items()}, PLANNED, {})
    check(told)


@pytest.mark.parametrize("ratio", [0.3, 3.0])
def test_paces_of_the_job_before(ratio: float) -> None:
    """Another relation between the stages than expected is known from the job before, on a machine twice as slow."""
    known = {**PACES, Stage.EVALUATE: PACES[Stage.EVALUATE] * ratio, Stage.FETCHING: PACES[Stage.FETCHING] / ratio}
    check(work({stage: pace * 2 for stage, pace in known.items()}, PLANNED, known))


def check(told: list[tuple[float, Statistics]]) -> None:
    total_s = told[-1][0]
    percentages = [each.percentage_completed for _, each in told]
    assert percentages == sorted(percentages)
    assert 99.0 < percentages[-1] <= 99.9
    for at_s, each in told:
        true_s = total_s - at_s
        if at_s >= total_s / 2 and true_s > 0.02 * total_s:
            assert each.remaining_time_s == pytest.approx(true_s, rel=0.25), (at_s, total_s, each.stage)
        assert each.time_elapsed_s == pytest.approx(at_s)


def test_it_slows_down_on_the_way() -> None:
    clock = Clock()
    estimate = Estimate(clock=clock)
    estimate.plan(Stage.TRAIN, 400)
    estimate.begin(Stage.TRAIN)
    for step in range(1, 401):
        clock.now_s += 0.1 if step < 100 else 0.5
        estimate.reach(step)
        if step > 250:
            assert estimate.remaining_s() == pytest.approx((400 - step) * 0.5, rel=0.25)


def test_an_earlier_process_counts() -> None:
    clock = Clock()
    estimate = Estimate(before_s=60.0, percentage=70.0, clock=clock)
    estimate.plan(Stage.TRAIN, 100)
    estimate.begin(Stage.TRAIN)
    clock.now_s = 3.0
    estimate.skip()
    estimate.resume(80)
    for step in range(81, 91):
        clock.now_s += 1.0
        estimate.reach(step)
    told = estimate.statistics(epoch=3, accuracy=0.5)
    assert (told.time_elapsed_s, told.remaining_time_s) == (73.0, pytest.approx(10.0))
    assert told.percentage_completed == pytest.approx(100 * 73 / 83)
    assert estimate.measured() == {"train": 1.0}


def test_nothing_is_told_before_anything_is_planned() -> None:
    told = Estimate(percentage=12.0, clock=Clock()).statistics(epoch=0, accuracy=None)
    assert (told.percentage_completed, told.remaining_time_s) == (12.0, None)
