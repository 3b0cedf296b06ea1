"""Percentile bootstrap: how far a mean could lie elsewhere had other cases been drawn.

Enters: one figure for each case. Leaves: the mean and its interval. Cases are drawn whole (a machine, an incident), so
that what hangs together stays together. Says nothing of cases of another kind than those given.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 10_000


class Interval(NamedTuple):
    """A mean with the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: npt.ArrayLike, *, coverage: float = 0.95, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Give the mean of `values` (n,), n >= 1, and the percentile interval of that coverage; the same for equal input.

    Raises ValueError when there is no value or one is not finite. Cost: draws x n.
    """
    cases = np.asarray(values, np.float64)
    if cases.ndim != 1 or not len(cases) or not np.isfinite(cases).all():
        raise ValueError(f"the bootstrap needs a list of finite figures, not {values!r}")
    picked = np.random.default_rng(seed).integers(0, len(cases), (draws, len(cases)))
    means = cases[picked].mean(axis=1)
    low, high = np.quantile(means, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(float(cases.mean()), float(low), float(high))


def difference_interval(
    ours: npt.ArrayLike, theirs: npt.ArrayLike, *, coverage: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Give the interval of mean(ours - theirs), case by case (paired); above 0 throughout: ours is higher."""
    first, second = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} are not figures of the same cases")
    return mean_interval(first - second, coverage=coverage, draws=draws, seed=seed)
