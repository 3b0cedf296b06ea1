"""The tails of the negative binomial, against sums of its probabilities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from watchkeeper.detect.tails import SCORE_MAX, silence_score, upper_score


def exact(count: int, mean: float, dispersion: float) -> float:
    size = 1 / dispersion
    p = size / (size + mean)
    below = sum(
        math.exp(
            math.lgamma(k + size) - math.lgamma(size) - math.lgamma(k + 1) + size * math.log(p) + k * math.log(1 - p)
        )
        for k in range(count)
    )
    return -math.log10(max(1 - below, 1e-300))


@pytest.mark.parametrize("mean", [0.1, 1.0, 12.5, 200.0])
@pytest.mark.parametrize("dispersion", [0.02, 0.3, 2.0])
@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0])
def test_upper_tail_is_the_sum_of_the_probabilities(mean: float, dispersion: float, factor: float) -> None:
    count = int(mean * factor) + 1
    # One less the sum of what is below tells no more than double precision holds.
    expected = min(exact(count, mean, dispersion), 9.0)
    assert min(upper_score(count, mean, dispersion), 9.0) == pytest.approx(expected, rel=1e-5)


def test_upper_score_rises_with_the_count() -> None:
    scores = [upper_score(count, 10.0, 0.1) for count in range(11, 500, 7)]
    assert all(later > earlier for earlier, later in itertools.pairwise(scores))
    assert upper_score(10**7, 1.0, 0.02) == SCORE_MAX
    assert upper_score(3, 0.0, 0.1) == SCORE_MAX


def test_silence_is_the_chance_of_zero() -> None:
    mean, dispersion = 7.0, 0.3
    assert silence_score(np.array([mean]), np.array([dispersion]))[0] == pytest.approx(
        math.log10(1 + dispersion * mean) / dispersion
    )
