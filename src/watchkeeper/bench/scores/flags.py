"""Scores of what is flagged among many cases: F1, precision, recall, areas under PR and ROC, with intervals.

Enters: a score a case, whether it is true, and what is flagged. Leaves: figures in 0..1, higher is better but for false
alarms. Intervals are of the percentile bootstrap over cases. Equal scores are taken together. Lift and calibration of
risks are in risk.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 1_000
_WORK_MAX = 20_000_000
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Bounds(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


def precision_recall(scores: Floats, true: Flags) -> list[tuple[float, float]]:
    """Give (recall, precision) at each distinct score as threshold, highest first.

    >>> precision_recall(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
    [(0.5, 1.0), (0.5, 0.5), (1.0, 0.6666666666666666)]
    """
    order, last = _sorted(scores)
    hits, taken = np.cumsum(true[order])[last], last + 1
    recall, precision = hits / max(int(true.sum()), 1), hits / taken
    return list(zip(recall.tolist(), precision.tolist(), strict=True))


def flagged_figures(found: Flags, true: Flags, *, seed: int = 0) -> dict[str, Bounds]:
    """Give F1, precision, recall and the share of false alarms of what is flagged, each (n,)."""
    counts = np.array([(found & true).sum(), (found & ~true).sum(), (~found & true).sum(), (~found & ~true).sum()])
    drawn = np.random.default_rng(seed).multinomial(len(true), counts / max(counts.sum(), 1), DRAWS)
    every = np.vstack([counts, drawn]).astype(np.float64)
    hits, false, missed, quiet = every.T
    told = {
        "f1": 2 * hits / np.maximum(2 * hits + false + missed, 1),
        "precision": hits / np.maximum(hits + false, 1),
        "recall": hits / np.maximum(hits + missed, 1),
        "false_alarms": false / np.maximum(false + quiet, 1),
    }
    return {name: _bounds(values) for name, values in told.items()}


def areas(scores: Floats, true: Flags, *, seed: int = 0) -> dict[str, Bounds]:
    """Give the average precision (`pr_auc`) and the area under the ROC curve (`roc_auc`).

    Raises ValueError when only one kind is true. Cost: a sort, then draws x n.
    """
    if true.all() or not true.any():
        raise ValueError("areas need true and false cases")
    order, last = _sorted(scores)
    ordered = true[order].astype(np.float64)
    draws = int(np.clip(_WORK_MAX // len(true), 20, DRAWS))
    random = np.random.default_rng(seed)
    rows = [_areas(ordered, np.ones(len(true)), last)]
    for _ in range(draws):
        weights = np.bincount(random.integers(0, len(true), len(true)), minlength=len(true)).astype(np.float64)
        if 0 < (weights * ordered).sum() < weights.sum():
            rows.append(_areas(ordered, weights, last))
    pr, roc = np.array(rows).T
    return {"pr_auc": _bounds(pr), "roc_auc": _bounds(roc)}


def _sorted(scores: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the order from the highest on, and the last place of each group of equal scores."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.diff(scores[order], append=-np.inf))


def _areas(ordered: Floats, weights: Floats, last: npt.NDArray[np.int64]) -> tuple[float, float]:
    hits = np.cumsum(weights * ordered)[last]
    taken = np.cumsum(weights)[last]
    false = taken - hits
    steps = np.diff(hits, prepend=0.0)
    pr = float(np.sum(steps * hits / np.maximum(taken, 1e-12)) / hits[-1])
    before = np.concatenate([[0.0], hits[:-1]])
    roc = float(np.sum(np.diff(false, prepend=0.0) * (hits + before) / 2) / (hits[-1] * false[-1]))
    return pr, roc


def _bounds(values: Floats) -> Bounds:
    """Give the first value with the interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (values[0], values[0])
    return Bounds(float(values[0]), float(low), float(high))
