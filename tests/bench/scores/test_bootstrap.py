"""Intervals of a mean."""

import numpy as np
import pytest

from watchkeeper.bench.scores.bootstrap import difference_interval, mean_interval


def test_the_interval_is_about_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    mean, low, high = mean_interval(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert mean == pytest.approx(values.mean())
    assert (mean - low, high - mean) == (pytest.approx(half, rel=0.1), pytest.approx(half, rel=0.1))


def test_equal_input_gives_the_same_interval_and_one_case_none_around_it():
    assert mean_interval([0.2, 0.4, 0.9]) == mean_interval([0.2, 0.4, 0.9])
    assert mean_interval([0.4]) == (0.4, 0.4, 0.4)


def test_paired_differences_forget_what_cases_share():
    base = np.random.default_rng(2).random(30) * 100
    found = difference_interval(base + 1, base)
    assert found == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize("values", [[], [np.nan], [[1.0]]])
def test_no_figures_no_interval(values):
    with pytest.raises(ValueError, match="finite figures"):
        mean_interval(values)


def test_different_cases_are_no_pairs():
    with pytest.raises(ValueError, match="same cases"):
        difference_interval([1.0], [1.0, 2.0])
