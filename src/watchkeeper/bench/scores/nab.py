"""The score of the Numenta Anomaly Benchmark: early detection inside labelled windows pays, every false alarm costs.

Enters: for each series the anomaly scores (n,) and its labelled windows. Leaves: points gained, the best threshold over
many series, and the score normalised so that no detection at all is 0 and a perfect detector is 100. Reads no files.
Source: Lavin and Ahmad 2015, "Evaluating real-time anomaly detection algorithms - the Numenta Anomaly Benchmark".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PROBATION_SHARE = 0.15
PROBATION_POINTS_MAX = 750
"""Fifteen percent of 5,000 points: a longer series has no longer probation."""
STEEPNESS = 5.0
FAR = 3.0
"""So many window widths after a window, or with no window before, a false alarm costs its full weight."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Profile(NamedTuple):
    """What a user pays: the weight of a window found, of a false alarm, of a window missed."""

    true_positive: float
    false_positive: float
    false_negative: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP_rate": Profile(1.0, 0.22, 1.0),
    "reward_low_FN_rate": Profile(1.0, 0.11, 2.0),
}


class Series(NamedTuple):
    """One scored series: anomaly scores (n,), higher = more anomalous; windows (w, 2), first and last point of each."""

    scores: Floats
    windows: Ints


class Outcome(NamedTuple):
    """The best threshold (a point alarms when its score >= threshold) and the points gained with it."""

    threshold: float
    points: float


def scaled_sigmoid(position: Floats) -> Floats:
    """Give the value of a detection at a position relative to a window, in window widths, in (-1, 1).

    -1 is the window's left edge (0.98661), 0 its right edge (0); positions above 0 are false alarms after it, and from
    3 on they cost a full -1.
    """
    value = 2.0 / (1.0 + np.exp(STEEPNESS * np.minimum(position, FAR))) - 1.0
    return np.where(position >= FAR, -1.0, value)


def probation(points: int) -> int:
    """Give how many points at the beginning of a series are not scored."""
    return int(min(np.floor(PROBATION_SHARE * points), PROBATION_POINTS_MAX))


def point_values(points: int, windows: Ints, profile: Profile) -> tuple[Floats, Ints]:
    """Give what an alarm at each point is worth (n,), and the number of the window it lies in (n,), -1 for none.

    Inside a window the value is at most `true_positive`, reached at its first point; outside it is negative.
    """
    where = np.full(points, -1, np.int64)
    position = np.full(points, FAR)
    index = np.arange(points)
    for number, (first, last) in enumerate(windows.tolist()):
        inside = slice(first, last + 1)
        where[inside] = number
        width = last - first + 1
        position[inside] = -(last - index[inside] + 1) / width
        after = slice(last + 1, points)
        position[after] = (index[after] - last) / (width - 1) if width > 1 else FAR
    value = scaled_sigmoid(position)
    inside_value = value * profile.true_positive / scaled_sigmoid(np.array([-1.0]))
    return np.where(where >= 0, inside_value, value * profile.false_positive), where


def points_at(series: Sequence[Series], threshold: float, profile: Profile) -> float:
    """Give the points gained over all series when every point with score >= threshold alarms."""
    total = 0.0
    for one in series:
        values, where, scores = _scored(one, profile)
        alarms = scores >= threshold
        total += float(values[alarms & (where < 0)].sum())
        for number in np.unique(where[where >= 0]).tolist():
            found = values[alarms & (where == number)]
            total += float(found.max()) if len(found) else -profile.false_negative
    return total


def best_threshold(series: Sequence[Series], profile: Profile) -> Outcome:
    """Give the threshold that gains most over all series together, the highest of equals; infinity if none pays.

    Every distinct score is tried. Cost: a sort of all points.
    """
    gains, scores, floor = [np.zeros(0)], [np.zeros(0)], 0.0
    for one in series:
        values, where, own = _scored(one, profile)
        order = np.argsort(-own, kind="stable")
        values, where, own = values[order], where[order], own[order]
        gain = np.where(where < 0, values, 0.0)
        for number in np.unique(where[where >= 0]).tolist():
            rows = np.flatnonzero(where == number)
            gain[rows] = np.diff(np.maximum.accumulate(values[rows]), prepend=-profile.false_negative)
            floor -= profile.false_negative
        gains.append(gain)
        scores.append(own)
    every, gained = np.concatenate(scores), np.concatenate(gains)
    order = np.argsort(-every, kind="stable")
    every, total = every[order], floor + np.cumsum(gained[order])
    last_of_equals = np.flatnonzero(np.diff(every, append=-np.inf) != 0)
    if not len(last_of_equals):
        return Outcome(np.inf, floor)
    best = last_of_equals[np.argmax(total[last_of_equals])]
    # A sum in another order can differ in the last digit; only a true gain is worth a threshold.
    if total[best] <= floor + 1e-9:
        return Outcome(np.inf, floor)
    return Outcome(float(every[best]), float(total[best]))


def normalised(points: float, windows: int, profile: Profile) -> float:
    """Give points as the published score: 0 when nothing is ever detected, 100 for a perfect detector; may be below 0.

    `windows` is the number of all labelled windows of the series that were scored.
    """
    null = -profile.false_negative * windows
    return 100.0 * (points - null) / (profile.true_positive * windows - null)


def _scored(one: Series, profile: Profile) -> tuple[Floats, Ints, Floats]:
    start = probation(len(one.scores))
    values, where = point_values(len(one.scores), one.windows, profile)
    return values[start:], where[start:], one.scores[start:]
