"""Scores of risks told for parts again and again: AUROC, lift, precision, calibration, what draining saves.

Enters: a risk a row, whether it happened, and the part that a row is of. Leaves: figures with 95 % intervals of the
percentile bootstrap over parts, drawn whole, for the rows of one part hang together. Equal risks are taken together.

Sources: Brier, Monthly Weather Review 78, 1950; Naeini et al., "Obtaining well calibrated probabilities using Bayesian
binning", AAAI 2015 (expected calibration error, here with bins of equally many rows).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.scores.flags import Bounds

DRAWS = 100
BINS = 20
TOP = 0.01
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def risk_figures(risks: Floats, happened: Flags, part: Ints, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Bounds]:
    """Give `auroc`, `pr_auc` and `lift_1pct`, and where risks are in 0..1 `brier` and `ece` (lower is better).

    All arrays (n,). Raises ValueError when only one kind happened. Cost: a sort, then draws x n.
    """
    if happened.all() or not happened.any():
        raise ValueError("risks are scored on rows of both kinds")
    order = np.argsort(-risks, kind="stable")
    last = np.flatnonzero(np.diff(risks[order], append=-np.inf))
    true, of = happened[order].astype(np.float64), np.unique(part, return_inverse=True)[1].reshape(-1)[order]
    sorted_risks = risks[order]
    shares = bool((risks >= 0).all() and (risks <= 1).all())
    parts = int(of.max()) + 1
    bins = np.minimum(np.arange(len(risks)) * BINS // len(risks), BINS - 1)
    told = []
    for weights in _weights(of, parts, draws, seed):
        figures = _ranked(true, weights, last)
        if shares:
            figures |= _calibrated(sorted_risks, true, weights, bins)
        told.append(figures)
    return {name: _bounds(np.array([each[name] for each in told])) for name in told[0]}


def saved(drained: Flags, happened: Flags, part: Ints, *, draws: int = DRAWS, seed: int = 0) -> Bounds:
    """Give the share of what happened that was drained before, 0..1, with its interval."""
    rows = np.flatnonzero(happened)
    of = np.unique(part[rows], return_inverse=True)[1].reshape(-1)
    shares = [
        float((weights * drained[rows]).sum() / max(weights.sum(), 1e-12))
        for weights in _weights(of, int(of.max(initial=0)) + 1, draws, seed)
    ]
    return _bounds(np.array(shares))


def reliability(risks: Floats, happened: Flags, bins: int = BINS) -> list[tuple[float, float]]:
    """Give (mean risk told, share that happened) of equally many rows each, lowest risks first."""
    places = np.array_split(np.argsort(risks, kind="stable"), bins)
    return [(float(risks[each].mean()), float(happened[each].mean())) for each in places if len(each)]


def chosen(risks: Floats, count: int, random: np.random.Generator) -> Flags:
    """Tell which `count` rows have the highest risks; among equal ones it is drawn."""
    order = np.lexsort((random.random(len(risks)), -risks))
    told = np.zeros(len(risks), bool)
    told[order[:count]] = True
    return told


def _weights(of: Ints, parts: int, draws: int, seed: int) -> list[Floats]:
    random = np.random.default_rng(seed)
    drawn = [
        np.bincount(random.integers(0, parts, parts), minlength=parts)[of].astype(np.float64) for _ in range(draws)
    ]
    return [np.ones(len(of)), *drawn]


def _ranked(true: Floats, weights: Floats, last: Ints) -> dict[str, float]:
    hits, taken = np.cumsum(weights * true)[last], np.cumsum(weights)[last]
    false = taken - hits
    before = np.concatenate([[0.0], hits[:-1]])
    top = TOP * taken[-1]
    found = float(np.interp(top, np.concatenate([[0.0], taken]), np.concatenate([[0.0], hits])))
    return {
        "auroc": float(np.sum(np.diff(false, prepend=0.0) * (hits + before) / 2) / (hits[-1] * false[-1])),
        "pr_auc": float(np.sum(np.diff(hits, prepend=0.0) * hits / np.maximum(taken, 1e-12)) / hits[-1]),
        "lift_1pct": found / top / (hits[-1] / taken[-1]),
    }


def _calibrated(risks: Floats, true: Floats, weights: Floats, bins: Ints) -> dict[str, float]:
    heavy = np.bincount(bins, weights, BINS)
    off = np.abs(np.bincount(bins, weights * risks, BINS) - np.bincount(bins, weights * true, BINS))
    return {
        "brier": float((weights * (risks - true) ** 2).sum() / weights.sum()),
        "ece": float(off.sum() / heavy.sum()),
    }


def _bounds(values: Floats) -> Bounds:
    low, high = np.quantile(values[1:], [0.025, 0.975]) if len(values) > 1 else (values[0], values[0])
    return Bounds(float(values[0]), float(low), float(high))
