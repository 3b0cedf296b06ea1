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
    0..1, never below what so few values can tell. floor: the least of them. values: how many there were.
    """

    middle: Floats
    start: Floats
    excess: Floats
    share: Floats
    values: Floats


def bands_of(logs: Floats) -> Bands:
    """Learn the bands of columns. logs: (n, k), n >= 1, natural logarithms. Cost: a partial sort of each column.

    >>> learned = bands_of(np.log(np.linspace(90.0, 110.0, 201))[:, None])
    >>> [round(float(np.exp(one[0])), 1) for one in learned[:2]]
    [100.0, 109.0]
    """
    count = len(logs)
    middle, start = np.quantile(logs, [0.5, 1 - TAIL_SHARE], axis=0)
    above = np.maximum(logs - start, 0.0)
    beyond = np.count_nonzero(above > 0, axis=0)
    excess = (above.sum(axis=0) + EXCESS_PRIOR_WEIGHT * EXCESS_PRIOR) / (beyond + EXCESS_PRIOR_WEIGHT)
    share = (beyond + 0.5) / (count + 1.0)
    return Bands(middle, start, np.maximum(excess, EXCESS_MIN), share, np.full(len(middle), float(count)))


def upper_scores(logs: Floats, bands: Bands) -> Floats:
    """Give -log10 of the chance of values as high. logs: (n, k). Result (n, k): 0..SCORE_MAX, higher = less likely.

    At the median and below it the score is 0; up to the tail's start it rises evenly to that of the tail's share.

    >>> learned = bands_of(np.log(np.linspace(90.0, 110.0, 201))[:, None])
    >>> upper_scores(np.log(np.array([[80.0], [100.0], [1000.0]])), learned).round(1).ravel().tolist()
    [0.0, 0.0, 22.9]
    """
    at_start = -np.log10(bands.share)
    rise = np.clip((logs - bands.middle) / np.maximum(bands.start - bands.middle, 1e-9), 0.0, 1.0)
    beyond = np.maximum(logs - bands.start, 0.0) / bands.excess / math.log(10)
    return np.minimum(SCORE_MAX, rise * at_start + beyond)
