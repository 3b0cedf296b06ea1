"""From the strength of a ranking to a probability that its first cause is right: a logistic curve, fitted beforehand.

Enters: the scores of a ranking. Leaves: confidence 0..1. The coefficients are what `python -m benchmarks.root_causes
--fit` prints; they were fitted on recorded faults and on windows without a fault, never on what is scored.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FLOOR = 0.5
"""Below this confidence a ranking abstains: its first cause is more likely wrong than right."""
RIDGE = 0.01
"""Weight of the penalty that keeps the curve from being a step where the training cases are all told apart."""


class Curve(NamedTuple):
    """Coefficients of the logistic curve over log(1 + score) and the margin to the second."""

    intercept: float
    strength: float
    margin: float


FITTED = Curve(-3.684, 3.434, 0.0)
"""Fitted on PetShop's 20 recorded train issues, Sock Shop's 50 faults, and fault-free windows of both."""


def features(first: float, second: float) -> tuple[float, float]:
    """Give log(1 + score) of the first cause, and by what part of it the second is lower, 0..1."""
    return math.log1p(max(0.0, first)), (first - second) / first if first > 0.0 else 0.0


def confidence(first: float, second: float, curve: Curve = FITTED) -> float:
    """Give the probability 0..1 that the first cause is right."""
    strength, margin = features(first, second)
    return 1.0 / (1.0 + math.exp(-(curve.intercept + curve.strength * strength + curve.margin * margin)))


def fit_curve(given: npt.ArrayLike, right: npt.ArrayLike, *, rounds: int = 100) -> Curve:
    """Fit a curve to features (n, 2) and whether the first cause was right (n,), each class weighing the same.

    Newton's method on the ridge-penalised logistic loss; cost O(rounds x n). A clearer lead never lowers confidence:
    where the cases say so, for strength tells it all, the margin is left out.
    """
    x = np.column_stack([np.ones(len(np.asarray(right))), np.asarray(given, np.float64)])
    y = np.asarray(right, np.float64)
    beta = _newton(x, y, rounds)
    if beta[2] < 0.0:
        beta = _newton(x * np.array([1.0, 1.0, 0.0]), y, rounds)
    return Curve(*(round(float(one), 3) for one in beta))


def _newton(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], rounds: int) -> npt.NDArray[np.float64]:
    share = max(1.0, float(y.sum())), max(1.0, float((1.0 - y).sum()))
    weight = np.where(y > 0.5, 0.5 / share[0], 0.5 / share[1])
    penalty = np.diag([0.0, RIDGE, RIDGE])
    beta = np.zeros(3)
    for _ in range(rounds):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30.0, 30.0)))
        slope = x.T @ (weight * (chance - y)) + penalty @ beta
        curved = (x * (weight * chance * (1.0 - chance))[:, None]).T @ x + penalty + np.eye(3) * 1e-9
        step = np.linalg.solve(curved, slope)
        beta = beta - step
        if float(np.abs(step).max()) < 1e-10:
            break
    return beta
