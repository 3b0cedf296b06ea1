"""The fused core: equal to its twin, indifferent to units and to how values are cut, unmoved by what says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.detect.metrics.core import Field, SeriesState
from watchkeeper.native.library import native_library

needs_library = pytest.mark.skipif(native_library() is None, reason="the compiled library is not built here")


def _values(seed: int = 3, steps: int = 300, series: int = 37) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_t(2, (steps, series)) * 10.0 ** random.integers(-3, 6, series)
    values += random.normal(0, 100, series)
    values[random.random(values.shape) < 0.05] = np.nan
    values[:, 0], values[:, 1] = 5.0, 0.0
    values[steps // 2 :, 1], values[-50, 2], values[:20, 3] = 1.0, 1e300, np.nan
    values[:, 4] = np.nan
    return values


def _state(series: int = 37, *, twin: bool = False) -> tuple[SeriesState, np.ndarray]:
    rows = np.random.default_rng(1).permutation(64)[:series].astype(np.int64)
    state = SeriesState(64)
    state.begin(rows, rate=1 / 60, warm=30.0)
    if twin:
        state.use_twin()
    return state, rows


@needs_library
def test_the_core_and_its_twin_give_the_same_numbers_to_the_last_bit() -> None:
    values = _values()
    core, rows = _state()
    twin, _ = _state(twin=True)
    ours, theirs = core.update(rows, values), twin.update(rows, values)
    assert np.array_equal(ours.surprise, theirs.surprise)
    assert np.array_equal(ours.standard, theirs.standard, equal_nan=True)
    assert np.array_equal(core.fields, twin.fields)
    assert ours.surprise.max() > 3


@needs_library
def test_vectors_of_two_and_of_four_give_the_same_numbers() -> None:
    values = np.ascontiguousarray(_values())
    library = native_library()
    assert library is not None
    results = []
    for narrow in (0, 1):
        state, rows = _state()
        surprise, standard = np.empty_like(values), np.empty_like(values)
        library.wk_metric_update(
            state.fields.ctypes.data,
            state.capacity,
            rows.ctypes.data,
            len(rows),
            values.ctypes.data,
            len(values),
            surprise.ctypes.data,
            standard.ctypes.data,
            narrow,
        )
        results.append((surprise, standard, state.fields))
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("twin", [False, True])
def test_a_block_is_the_same_as_its_rows_one_by_one(twin: bool) -> None:
    values = _values(steps=80)
    whole, rows = _state(twin=twin)
    parts, _ = _state(twin=twin)
    at_once = whole.update(rows, values)
    one_by_one = np.concatenate([parts.update(rows, row[None]).surprise for row in values])
    assert np.array_equal(at_once.surprise, one_by_one)
    assert np.array_equal(whole.fields, parts.fields)


def test_another_unit_changes_no_score() -> None:
    values = _values()
    plain, rows = _state()
    scaled, _ = _state()
    ours, theirs = plain.update(rows, values), scaled.update(rows, values * 2.0**20)
    assert np.array_equal(ours.surprise, theirs.surprise)
    assert np.array_equal(ours.standard, theirs.standard, equal_nan=True)


def test_the_order_of_series_changes_no_score() -> None:
    values = _values()
    order = np.random.default_rng(5).permutation(values.shape[1])
    one, rows = _state()
    other, _ = _state()
    assert np.array_equal(
        one.update(rows, values).surprise[:, order], other.update(rows[order], values[:, order]).surprise
    )
    assert np.array_equal(one.fields, other.fields)


def test_silence_changes_nothing_but_makes_no_noise_either() -> None:
    state, rows = _state()
    state.update(rows, np.nan_to_num(_values()))
    before = state.fields.copy()
    scores = state.update(rows, np.full((5, len(rows)), np.nan))
    assert np.array_equal(state.fields, before)
    assert (scores.surprise == 0).all()
    assert np.isnan(scores.standard).all()


def test_a_shift_of_level_stands_out_and_is_learned_slowly() -> None:
    random = np.random.default_rng(2)
    state = SeriesState(8)
    rows = np.arange(8)
    state.begin(rows, rate=1 / 360, warm=60.0)
    calm = state.update(rows, random.normal(100, 5, (1000, 8)))
    shifted = state.update(rows, random.normal(160, 5, (30, 8)))
    assert (calm.surprise[100:] >= 4).mean() < 2e-3
    assert (shifted.surprise >= 4).mean() > 0.9
    assert (state.fields[Field.LEVEL] < 110).all()
    assert (state.fields[Field.HEAT] > 4).all()


def test_rows_and_shapes_that_do_not_fit_are_refused() -> None:
    state = SeriesState(4)
    with pytest.raises(IndexError, match=r"0\.\.3"):
        state.update(np.array([4]), np.zeros((1, 1)))
    with pytest.raises(ValueError, match="do not fit"):
        state.update(np.array([0]), np.zeros((1, 2)))
