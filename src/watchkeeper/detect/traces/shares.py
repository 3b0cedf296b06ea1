"""How unlikely so many failures are: the tail of the beta-binomial distribution, and of counts that are too low.

A share that was learned from few trials, or that varies from window to window, excuses more than one that is known
well: both are in the size of the beta distribution. Pure functions of numbers.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

SCORE_MAX = 300.0
SIZE_MAX = 400.0
WORST_WINDOWS = 0.05
_ENOUGH = 1e-12

Floats = npt.NDArray[np.float64]


def share_score(failures: int, trials: int, share: float, size: float) -> float:
    """Give -log10 of the chance of so many failures or more; 0..SCORE_MAX, higher = less likely.

    share: learned, 0 < share < 1. size: > 0, trials that the knowledge of the share is worth.
    Cost: some microseconds.

    >>> round(share_score(7, 15, 0.01, 200.0), 1), share_score(0, 15, 0.01, 200.0)
    (7.9, 0.0)
    """
    if failures <= 0 or failures <= trials * share:
        return 0.0
    a, b = share * size, (1.0 - share) * size
    rest = trials - failures
    log_first = (
        math.lgamma(trials + 1)
        - math.lgamma(failures + 1)
        - math.lgamma(rest + 1)
        + _log_beta(failures + a, rest + b)
        - _log_beta(a, b)
    )
    total, term = 1.0, 1.0
    for k in range(failures, trials):
        term *= (trials - k) / (k + 1.0) * (k + a) / (trials - k - 1.0 + b)
        total += term
        if term < _ENOUGH * total:
            break
    return min(SCORE_MAX, max(0.0, -(log_first + math.log(total)) / math.log(10)))


def learned_share(failures: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Give the share and the size for `share_score` of rows of windows; both (k,).

    failures, trials: (k, w), NaN where there was no window. The share has a Jeffreys prior. The size is what all trials
    together are worth, or less when the windows scatter more than one share explains (method of moments). The worst
    twentieth of the windows is left out of the scatter: the first moments of a fault that was short must not excuse
    the next one.
    """
    total, failed = np.nansum(trials, axis=1), np.nansum(failures, axis=1)
    share = (failed + 0.5) / (total + 1.0)
    away = np.nan_to_num((failures - trials * share[:, None]) ** 2)
    left_out = math.ceil(WORST_WINDOWS * away.shape[1])
    spread = np.sort(away, axis=1)[:, : max(0, away.shape[1] - left_out)].sum(axis=1)
    by_chance = total * share * (1 - share)
    more = np.nansum(trials * (trials - 1), axis=1) * share * (1 - share)
    scatter = np.clip((spread - by_chance) / np.maximum(more, 1e-9), 0.0, 0.5)
    size = 1.0 / (scatter + 1.0 / (total + 1.0))
    return np.asarray(share, np.float64), np.asarray(np.clip(size, 1.0, SIZE_MAX), np.float64)


def lower_score(count: int, mean: float, dispersion: float) -> float:
    """Give -log10 of the chance of `count` or fewer events where `mean` are due; 0..SCORE_MAX, higher = less likely.

    The count is negative binomial with variance mean + dispersion mean^2. A count above the mean scores 0.

    >>> round(lower_score(0, 20.0, 0.1), 2), lower_score(30, 20.0, 0.1)
    (4.77, 0.0)
    """
    if count >= mean or mean <= 0:
        return 0.0
    size = 1.0 / dispersion
    ratio = mean / (mean + size)
    log_term = size * math.log(size / (size + mean))
    terms = []
    for k in range(count + 1):
        terms.append(log_term)
        log_term += math.log((size + k) / (k + 1.0) * ratio)
    highest = max(terms)
    log_total = highest + math.log(sum(math.exp(one - highest) for one in terms))
    return min(SCORE_MAX, max(0.0, -log_total / math.log(10)))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
