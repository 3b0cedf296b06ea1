"""The streaming univariate score: causal, without units, tolerant of gaps; finds what it should; keeps its state."""

from pathlib import Path

import numpy as np
import pytest

from watchkeeper.detect.univariate import (
    STATE_VERSION,
    Refractory,
    UnivariateScorer,
    UnivariateSettings,
)
from watchkeeper.errors import NewerFormat, StoreError

LEVEL = 2.25
POINTS = 800


def noise(series: int = 1, points: int = POINTS, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(50.0, 2.0, (series, points))


def scored(values: np.ndarray, settings: UnivariateSettings | None = None) -> np.ndarray:
    return UnivariateScorer(len(values), settings).take_block(values)


def test_scores_do_not_depend_on_what_comes_later() -> None:
    values = noise(3)
    changed = values.copy()
    changed[:, 500:] = 1e6
    expected = scored(values)[:, :500]
    assert np.array_equal(expected, scored(changed)[:, :500])
    assert np.array_equal(expected, scored(values[:, :500]))


def test_series_do_not_influence_each_other() -> None:
    values = noise(5)
    together = scored(values)
    assert np.array_equal(together[[3, 0]], scored(values[[3, 0]]))
    assert np.array_equal(together[4:], scored(values[4:]))


@pytest.mark.parametrize("factor", [2.0**20, 2.0**-30])
def test_power_of_two_changes_nothing(factor: float) -> None:
    values = noise(2)
    assert np.array_equal(scored(values), scored(values * factor))


@pytest.mark.parametrize(("factor", "offset"), [(3.7, 0.0), (1.0, -1e4), (1e-9, 12.5e-9), (1e9, 7e10)])
def test_units_and_offset_change_nothing(factor: float, offset: float) -> None:
    values = noise(4)
    values[:, 600] += 40
    expected, given = scored(values), scored(values * factor + offset)
    # Rounding may move a value on the edge of a bin into the next one.
    assert np.mean(np.abs(expected - given) < 1e-9) > 0.99
    assert given[:, 600] == pytest.approx(expected[:, 600], abs=0.05)


def test_scores_are_finite_and_not_negative_whatever_comes() -> None:
    values = np.concatenate(
        [noise(6, 200), np.zeros((6, 50)), noise(6, 50) * 1e12, np.full((6, 3), 1e300), noise(6, 200) * -1e-12], axis=1
    )
    values[1, ::7] = np.nan
    values[2, ::5] = np.inf
    values[3] = 4.0
    given = scored(values)
    assert np.isfinite(given).all()
    assert (given >= 0).all()
    assert (given[3] == 0).all(), "a series that never varies is never unusual"


def test_change_after_a_long_flat_time_is_told() -> None:
    values = np.concatenate([np.zeros((2, 1)), noise(2, 200) - 50, np.zeros((2, 1_500)), noise(2, 1)], axis=1)
    values[1, 201:-1] = 1e-7
    given = scored(values)
    assert np.isfinite(given).all()
    assert (given[:, -1] > 1.5).all()
    assert given[:, 1_000:-1].max() < 0.5


def test_gaps_leave_no_trace() -> None:
    values = noise(1, 600)
    gaps = np.insert(values, [50, 50, 300], np.nan, axis=1)
    gaps = np.insert(gaps, 400, -np.inf, axis=1)
    given = scored(gaps)[0]
    missing = ~np.isfinite(gaps[0])
    assert np.array_equal(given[~missing], scored(values)[0])
    assert (given[missing] == 0).all()


def test_score_of_a_young_series_is_bounded_by_what_is_known() -> None:
    values = noise(20, 300)
    values[:, 250] = 1e6
    given = scored(values)
    assert (given <= np.log10(2 * (np.arange(300) + 1)) + 1e-9).all()
    assert (given[:, 250] > 2.2).all()


def _spike(values: np.ndarray) -> None:
    values[:, 700] = 90.0


def _level_shift(values: np.ndarray) -> None:
    values[:, 700:] += 15.0


def _value_in_a_gap(values: np.ndarray) -> None:
    values[:, ::2] += 100.0
    values[:, 700:712] = 100.0


def _drift_of_the_mean(values: np.ndarray) -> None:
    values[:, 700:] += 6.0


@pytest.mark.parametrize("change", [_spike, _level_shift, _value_in_a_gap, _drift_of_the_mean])
def test_change_is_told_within_a_dozen_points_in_most_series(change: object) -> None:
    values = noise(40, 720)
    change(values)  # type: ignore[operator]
    given = scored(values)
    assert np.mean(given[:, 700:712].max(axis=1) >= LEVEL) > 0.85


def test_few_alarms_on_noise_alone() -> None:
    given = scored(noise(100))
    refractory = Refractory(100, LEVEL, 100)
    told = np.stack([refractory.take(column) for column in given.T], axis=1)
    assert (told[:, 400:] >= LEVEL).sum() / told[:, 400:].size < 0.004


def test_new_level_becomes_normal() -> None:
    values = noise(20, 2_000)
    values[:, 700:] += 30.0
    given = scored(values)
    assert given[:, 700:712].max(axis=1).min() > LEVEL
    assert given[:, 1_500:].mean() < 0.6


def test_lone_huge_value_does_not_blind_for_ever() -> None:
    values = noise(10, 2_000)
    values[:, 300] = 1e12
    values[:, 1_800] = 90.0
    given = scored(values)
    assert given[:, 300].min() > 2.0
    assert np.median(given[:, 1_800:1_812].max(axis=1)) > LEVEL


def test_window_scores_tell_which_length_is_unusual() -> None:
    values = noise(1)
    values[:, 700:] += 3.0
    scorer = UnivariateScorer(1)
    parts = np.stack([scorer.take_windows(column)[0] for column in values.T])
    assert parts.shape == (POINTS, 3)
    assert np.allclose(parts.mean(axis=1), scored(values)[0])
    assert parts[711, 2] > parts[700:712, 0].mean()


def test_state_is_bounded_and_survives_saving(tmp_path: Path) -> None:
    values = noise(3)
    whole = scored(values)
    scorer = UnivariateScorer(3, UnivariateSettings())
    scorer.take_block(values[:, :500])
    scorer.save(tmp_path / "state.npz")
    size = (tmp_path / "state.npz").stat().st_size
    again = UnivariateScorer.load(tmp_path / "state.npz")
    assert again.settings == UnivariateSettings()
    assert np.array_equal(again.take_block(values[:, 500:]), whole[:, 500:])
    again.save(tmp_path / "state.npz")
    assert (tmp_path / "state.npz").stat().st_size == size


def test_damaged_and_newer_states_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    with pytest.raises(StoreError, match="cannot be read"):
        UnivariateScorer.load(path)
    UnivariateScorer(2).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        UnivariateScorer.load(path)
    path.write_bytes(content)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **{**arrays, "mass": arrays["mass"][:-1]})
    with pytest.raises(StoreError, match="mass has shape"):
        UnivariateScorer.load(path)
    np.savez(path, **{**arrays, "schema_version": np.array([STATE_VERSION + 1])})
    with pytest.raises(NewerFormat, match="newer Watchkeeper"):
        UnivariateScorer.load(path)


def test_refractory_lets_one_score_an_event_through() -> None:
    refractory = Refractory(2, 2.0, 3)
    columns = [[1.0, 2.5], [2.0, 3.0], [9.0, np.nan], [9.0, 3.0], [9.0, 3.0], [9.0, 3.0]]
    told = [refractory.take(np.array(column)).tolist() for column in columns]
    assert told == [[1.0, 2.5], [2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [9.0, 3.0]]
