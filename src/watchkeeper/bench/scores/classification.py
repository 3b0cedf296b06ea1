"""Scores of classes told against classes true: accuracy, macro-F1, confusion, calibration error, Brier score.

Enters: labels as text, probabilities as arrays. Leaves: figures, each with its direction. Sources: Guo et al., "On
calibration of modern neural networks", ICML 2017 (expected calibration error); Brier, Monthly Weather Review 78, 1950.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 2_000
Floats = npt.NDArray[np.float64]


class Scored(NamedTuple):
    """Accuracy and macro-F1 (0..1, higher is better) with the ends of their 95 % bootstrap intervals."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    macro_f1_low: float
    macro_f1_high: float


def accuracy(truth: Sequence[str], told: Sequence[str]) -> float:
    """Give the share that is right, 0..1."""
    return float(np.mean([one == other for one, other in zip(truth, told, strict=True)]))


def confusion(truth: Sequence[str], told: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Give (C, C) counts, rows are true, columns are told."""
    place = {name: at for at, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for one, other in zip(truth, told, strict=True):
        counts[place[one], place[other]] += 1
    return counts


def macro_f1(truth: Sequence[str], told: Sequence[str]) -> float:
    """Give the mean F1 over the classes that occur in truth or answers, 0..1.

    >>> macro_f1(["a", "a", "b"], ["a", "b", "b"])
    0.6666666666666666
    """
    classes = sorted({*truth, *told})
    return _macro_f1(confusion(truth, told, classes))


def scored(truth: Sequence[str], told: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> Scored:
    """Give accuracy and macro-F1 with percentile bootstrap intervals over cases; cost: draws x N."""
    classes = sorted({*truth, *told})
    place = {name: at for at, name in enumerate(classes)}
    pairs = np.array([place[one] * len(classes) + place[other] for one, other in zip(truth, told, strict=True)])
    random = np.random.default_rng(seed)
    shape = (len(classes), len(classes))
    rows = []
    for _ in range(draws):
        drawn = np.bincount(random.choice(pairs, len(pairs)), minlength=len(classes) ** 2).reshape(shape)
        rows.append((float(np.trace(drawn)) / len(pairs), _macro_f1(drawn)))
    low, high = np.quantile(np.array(rows), [0.025, 0.975], axis=0)
    return Scored(
        accuracy(truth, told), float(low[0]), float(high[0]), macro_f1(truth, told), float(low[1]), float(high[1])
    )


def calibration_error(probabilities: Floats, right: npt.NDArray[np.bool_], *, bins: int = 10) -> float:
    """Give the expected calibration error of the likeliest class, 0..1, lower is better.

    probabilities (N,): of the class told. right (N,): whether it was true. Bins are of equal width.
    """
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    total = 0.0
    for number in np.unique(place):
        here = place == number
        total += here.mean() * abs(float(probabilities[here].mean()) - float(right[here].mean()))
    return float(total)


def brier(probabilities: Floats, truth: npt.NDArray[np.int64]) -> float:
    """Give the mean squared distance of probabilities (N, C) from the truth, 0..2, lower is better."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1).mean())


def _macro_f1(counts: npt.NDArray[np.int64]) -> float:
    right = np.diag(counts)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2.0 * right[both > 0] / both[both > 0]))
