"""How unlikely a latency is: a band of the logarithm of what was normal, with a tail of its own.

Enters: normal latencies, as values or as a histogram. Leaves: a score, -log10 of the chance of a latency that high.
Below the start of the tail the empirical share counts; above it the log of a latency is taken to fall off
exponentially (a Pareto tail; Hill, Annals of Statistics 3, 1975), its mean excess shrunk to a prior while few values
were seen, so that few samples make for a wide band. Multiplying every latency by one factor changes no score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

TAIL_SHARE = 0.05
EXCESS_PRIOR = 0.25
EXCESS_PRIOR_WEIGHT = 2.0
EXCESS_MIN = 0.02
SCORE_MAX = 300.0

Floats = npt.NDArray[np.float64]


class Bands(NamedTuple):
    """Bands of many things at once, each (k,): natural logarithms of latencies.

    middle: the median. start: where the tail begins. excess: mean of what lies above it. share: of values in the tail,
    0..1, never below what so few values can tell. values: how many there were.
    """

    middle: Floats
    start: Floats
    excess: Floats
    share: Floats
    values: Floats


def bands_of(logs: Floats) -> Bands:
    """Learn the bands of columns. logs: (n, k) natural logarithms, NaN where none. Cost: a sort of each column.

    A column without a value has bands of NaN, by which nothing scores.

    >>> learned = bands_of(np.log(np.linspace(90.0, 110.0, 201))[:, None])
    >>> [round(float(np.exp(one[0])), 1) for one in learned[:2]]
    [100.0, 109.0]
    """
    ordered = np.sort(logs, axis=0)
    count = np.count_nonzero(~np.isnan(ordered), axis=0)
    middle, start = _quantile(ordered, count, 0.5), _quantile(ordered, count, 1 - TAIL_SHARE)
    above = np.nan_to_num(np.maximum(ordered - start, 0.0))
    beyond = np.count_nonzero(above > 0, axis=0)
    excess = (above.sum(axis=0) + EXCESS_PRIOR_WEIGHT * EXCESS_PRIOR) / (beyond + EXCESS_PRIOR_WEIGHT)
    share = (beyond + 0.5) / (count + 1.0)
    return Bands(middle, start, np.maximum(excess, EXCESS_MIN), share, count.astype(np.float64))


def _quantile(ordered: Floats, count: npt.NDArray[np.int64], share: float) -> Floats:
    """Give the quantile of each sorted column by its first `count` values, between two of them where need be."""
    if not len(ordered):
        return np.full(ordered.shape[1], np.nan)
    place = share * np.maximum(count - 1, 0)
    low = place.astype(np.int64)
    columns = np.arange(ordered.shape[1])
    first, second = ordered[low, columns], ordered[np.minimum(low + 1, np.maximum(count - 1, 0)), columns]
    return np.asarray(first + (second - first) * (place - low), np.float64)


def upper_scores(logs: Floats, bands: Bands) -> Floats:
    """Give -log10 of the chance of values as high. logs: (n, k). Result (n, k): 0..SCORE_MAX, higher = less likely.

    At the median and below it the score is 0; up to the tail's start it rises evenly to that of the tail's share.

    >>> learned = bands_of(np.log(np.linspace(90.0, 110.0, 201))[:, None])
    >>> upper_scores(np.log(np.array([[80.0], [100.0], [1000.0]])), learned).round(1).ravel().tolist()
    [0.0, 0.0, 22.3]
    """
    at_start = -np.log10(bands.share)
    rise = np.clip((logs - bands.middle) / np.maximum(bands.start - bands.middle, 1e-9), 0.0, 1.0)
    beyond = np.maximum(logs - bands.start, 0.0) / bands.excess / math.log(10)
    return np.nan_to_num(np.minimum(SCORE_MAX, rise * at_start + beyond))
