"""How long a unit still lasts, by units that wore out before: whose end looked like its present.

Enters: sensors of units until their end, and of one that still runs. Leaves: the cycles left and the units that say so.
A health index is fitted from sensors (1 when new, 0 at the end); the course of it is laid along the courses of the
units before. Knows no machine and no sensor by name.

Source: Wang, Yu, Siegel, Lee, "A similarity-based prognostics approach for remaining useful life estimation of
engineered systems", PHM 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
NEW_CYCLES = 30
"""A unit counts as new for so many of its first cycles."""
WORN_CYCLES = 10
"""A unit counts as worn out for so many of its last cycles."""
SMOOTH_CYCLES = 9
"""Cycles whose mean is the health at one."""
COMPARED_CYCLES = 80
"""How much of the newest course is laid along others."""
COMPARED_MIN = 10
PENALTY = 1.0
NEAREST = 10
"""How many of the units that fit best are asked."""


class Remaining(NamedTuple):
    """Cycles left (0 upwards), and the units that say so with what each says, nearest first."""

    cycles: float
    like: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Library:
    """Units that wore out: weights (d + 1,) of the health index, mean and scale (d,), the course of each, lives."""

    weights: Floats
    mean: Floats
    scale: Floats
    courses: tuple[Floats, ...]
    mean_life: float

    def remaining(self, sensors: Floats) -> Remaining:
        """Give the cycles left of a unit by its sensors (T, d) until now; cost: units x cycles x COMPARED_CYCLES."""
        course = _health(sensors, self.weights, self.mean, self.scale)
        newest = course[-COMPARED_CYCLES:]
        told = []
        for number, other in enumerate(self.courses):
            size = min(len(newest), len(other))
            if size < COMPARED_MIN:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(other, size)
            off = ((windows - newest[-size:]) ** 2).mean(axis=1)
            # The part that is left out costs nothing, so short courses would win by chance: they count by their length.
            at = int(np.argmin(off))
            told.append((float(off[at]) * len(newest) / size, number, float(len(other) - at - size)))
        if not told:
            return Remaining(max(self.mean_life - len(sensors), 0.0), ())
        told.sort()
        nearest = told[:NEAREST]
        width = max(nearest[len(nearest) // 2][0], 1e-12)
        shares = np.exp(-np.array([off for off, _, _ in nearest]) / width)
        left = np.array([cycles for _, _, cycles in nearest])
        return Remaining(
            float((shares * left).sum() / shares.sum()), tuple((number, one) for _, number, one in nearest)
        )


def learn_wear(units: Sequence[Floats]) -> Library:
    """Learn from units run until their end, each (T, d), T > 1; raises ValueError when there are none."""
    if not units:
        raise ValueError("wear is learned from units that ran until their end, and there are none")
    rows = np.concatenate(units)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(deviation > 1e-9, deviation, np.inf)  # a sensor that never moves tells nothing
    ends = [(_standard(unit[:NEW_CYCLES], mean, scale), 1.0) for unit in units]
    ends += [(_standard(unit[-WORN_CYCLES:], mean, scale), 0.0) for unit in units]
    design = np.concatenate([np.column_stack([part, np.ones(len(part))]) for part, _ in ends])
    target = np.concatenate([np.full(len(part), health) for part, health in ends])
    penalty = PENALTY * np.eye(design.shape[1])
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ target)
    courses = tuple(_health(unit, weights, mean, scale) for unit in units)
    return Library(weights, mean, scale, courses, float(np.mean([len(unit) for unit in units])))


def _health(sensors: Floats, weights: Floats, mean: Floats, scale: Floats) -> Floats:
    """Give the smoothed health (T,) of a unit; the mean is of the cycles before only."""
    raw = _standard(sensors, mean, scale) @ weights[:-1] + weights[-1]
    sums = np.concatenate([[0.0], np.cumsum(raw)])
    until = np.arange(1, len(raw) + 1)
    begin = np.maximum(until - SMOOTH_CYCLES, 0)
    return np.asarray((sums[until] - sums[begin]) / (until - begin))


def _standard(sensors: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.asarray((sensors - mean) / scale)
