"""How unlikely a count is: tails of the negative binomial distribution, as -log10 of the probability.

A count of log lines scatters more than a Poisson count; the excess is `dispersion` d, with variance = mean + d mean^2.
Pure functions of numbers; know nothing of logs.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

SCORE_MAX = 300.0

_TERMS_MAX = 20_000
_ENOUGH = 1e-12


def upper_score(count: int, mean: float, dispersion: float) -> float:
    """Give -log10 of the chance of `count` or more when `mean` is expected; 0..SCORE_MAX, higher = less likely.

    A count below the mean is not asked about and scores 0.

    mean >= 0, dispersion > 0. Cost: up to some microseconds a call.

    >>> round(upper_score(5, 0.1, 0.02), 1), round(upper_score(10, 10.0, 0.02), 1), upper_score(0, 3.0, 0.1)
    (7.0, 0.3, 0.0)
    """
    if count <= 0 or count < mean:
        return 0.0
    if mean <= 0:
        return SCORE_MAX
    size = 1.0 / dispersion
    ratio = mean / (mean + size)
    log_first = (
        math.lgamma(count + size)
        - math.lgamma(size)
        - math.lgamma(count + 1)
        + size * math.log(size / (size + mean))
        + count * math.log(ratio)
    )
    total, term, k = 1.0, 1.0, float(count)
    for _ in range(_TERMS_MAX):
        term *= (size + k) / (k + 1.0) * ratio
        total += term
        k += 1.0
        if term < _ENOUGH * total:
            break
    return min(SCORE_MAX, max(0.0, -(log_first + math.log(total)) / math.log(10)))


def silence_score(expected: npt.NDArray[np.float64], dispersion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give -log10 of the chance of nothing at all where `expected` lines (k,) were due.

    >>> silence_score(np.array([0.0, 20.0]), np.array([0.1, 0.1])).round(2).tolist()
    [0.0, 4.77]
    """
    return np.minimum(SCORE_MAX, np.log1p(dispersion * expected) / dispersion / math.log(10))
