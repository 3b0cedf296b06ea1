"""Seasons: learned of slow series after two days, used where they explain, taken off before the core judges."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.detect.metrics.core import Field, SeriesState
from watchkeeper.detect.metrics.season import DAILY, NONE, WEEKLY, Season

STEP_S = 1800.0
DAY_STEPS = 48
START_NS = 1_763_683_200_000_000_000


def _run(
    values: np.ndarray, *, step_s: float = STEP_S, places_max: int = 100
) -> tuple[Season, SeriesState, np.ndarray]:
    """Give the season, the state and the scores (T, n) of values (T, n)."""
    count = values.shape[1]
    rows, season, state = np.arange(count), Season(places_max), SeriesState(count)
    state.begin(rows, rate=1 / 60, warm=30.0)
    steps = np.full(count, step_s)
    scores = []
    for at, row in enumerate(values):
        times = np.full(count, START_NS + int(at * step_s * 1e9))
        scores.append(state.update(rows, (row - season.offsets(rows, times))[None]).surprise[0])
        season.learn(rows, row, times, state)
        season.consider(rows, steps, times, state)
    return season, state, np.array(scores)


def _daily(days: int, random: np.random.Generator, series: int = 4) -> np.ndarray:
    at = np.arange(days * DAY_STEPS)[:, None]
    phase = 2 * np.pi * at / DAY_STEPS + np.arange(series)
    return 100 + 20 * np.sin(phase) + 10 * np.sin(2 * phase) + random.normal(0, 1, phase.shape)


def test_a_daily_course_is_used_and_a_fault_within_its_range_stands_out() -> None:
    values = _daily(10, np.random.default_rng(1))
    values[-4:, 0] += 25
    season, state, scores = _run(values)
    assert season.mode[:4].tolist() == [DAILY] * 4
    assert (season.error[DAILY, :4] < 0.25 * season.error[NONE, :4]).all()
    assert scores[-4:, 0].min() > 3
    assert scores[-4:, 1:].mean() < 1.5
    plain = SeriesState(4)
    plain.begin(np.arange(4), rate=1 / 60, warm=30.0)
    assert plain.update(np.arange(4), values).surprise[-4:, 0].max() < scores[-4:, 0].min()
    assert state.fields[Field.SCALE, :4].max() < 4


def test_noise_and_wandering_get_no_season() -> None:
    random = np.random.default_rng(2)
    values = np.concatenate((random.normal(50, 3, (480, 4)), np.cumsum(random.normal(0, 1, (480, 4)), axis=0)), axis=1)
    season, _, _ = _run(values)
    assert len(season) == 8
    assert (season.mode[:8] == NONE).mean() >= 0.75


def test_a_week_with_quiet_days_is_told_from_the_day() -> None:
    random = np.random.default_rng(3)
    values = _daily(49, random, 2)
    day = np.arange(len(values)) // DAY_STEPS
    values[(day % 7) >= 5] -= 40
    season, _, _ = _run(values)
    assert season.mode[:2].tolist() == [WEEKLY] * 2


def test_another_unit_scales_the_season_and_changes_no_score() -> None:
    values = _daily(7, np.random.default_rng(4))
    assert np.array_equal(_run(values)[2], _run(values * 2.0**20)[2])


@pytest.mark.parametrize(("step_s", "days", "places"), [(20.0, 3, 0), (1800.0, 1, 0), (1800.0, 3, 2)])
def test_only_slow_series_of_two_days_have_a_place_and_no_more_than_there_is_room(
    step_s: float, days: int, places: int
) -> None:
    values = np.random.default_rng(5).normal(0, 1, (days * DAY_STEPS, 3))
    assert len(_run(values, step_s=step_s, places_max=2)[0]) == places


def test_state_is_taken_up_and_rows_are_given_up() -> None:
    values = _daily(6, np.random.default_rng(6))
    season, _, _ = _run(values)
    other = Season(100)
    other.take({name: array.copy() for name, array in season.arrays().items()})
    rows, times = np.arange(4), np.full(4, START_NS + 10**15)
    assert np.array_equal(season.offsets(rows, times), other.offsets(rows, times))
    assert (season.offsets(rows, times) != 0).all()
    other.gone(np.array([1]))
    assert len(other) == 3
    assert (other.offsets(rows, times) != 0).tolist() == [True, False, True, True]


def test_a_seasonal_series_that_stands_still_counts_its_repetitions() -> None:
    values = _daily(8, np.random.default_rng(7))
    values[-30:, 2] = 111.0
    _, state, _ = _run(values)
    assert state.fields[Field.RUN, 2] == 29
    assert state.fields[Field.RUN, 0] == 0
