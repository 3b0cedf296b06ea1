"""Volumes under the surface of ranges: VUS-PR and VUS-ROC of a score against labelled ranges, and AUC-PR by point.

Enters: a score and a label for each step. Leaves: one figure each, exact over every distinct score as threshold (the
published tool samples 250). Knows no data set and no detector.

Definition: Paparrizos et al., "Volume Under the Surface", VLDB 2022, in the form that TSB-AD (NeurIPS 2024) reports: a
buffer of w // 2 steps on both sides of each range, for every w from 0 to the buffer's length, is averaged over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUFFER_STEPS = 125
"""TSB-AD's length when the series shows no period between 3 and 300 steps."""
_LAGS_MAX = 400
_LAG_MIN = 3
_PERIOD_MAX = 300
_STEPS_MAX = 20_000


class Vus(NamedTuple):
    """Volumes under the precision-recall and the ROC surface, each 0 to about 1, higher is better."""

    pr: float
    roc: float


def vus(score: npt.ArrayLike, label: npt.ArrayLike, buffer_steps: int = BUFFER_STEPS) -> Vus:
    """Give VUS-PR and VUS-ROC, exact.

    `score` (T,), finite, higher = more anomalous; `label` (T,), anomalous where > 0; `buffer_steps` is the largest w.
    Raises ValueError when the lengths differ, a score is not finite, or a label is missing of either kind. Cost: a sort
    of T, and (steps in or near a range) x buffer_steps; 24,000 steps and w up to 125 take 20 to 30 ms.
    """
    scores, flags = _checked(score, label)
    begins, ends = ranges(flags)
    widest = buffer_steps // 2
    near = np.zeros(len(flags) + 1)
    np.add.at(near, np.maximum(begins - widest, 0), 1)
    np.add.at(near, np.minimum(ends + widest + 1, len(flags)), -1)
    zone = np.flatnonzero(np.cumsum(near[:-1]) > 0)
    zone = zone[np.argsort(-scores[zone], kind="stable")]
    last = np.flatnonzero(np.diff(scores[zone], append=-np.inf))  # the end of each group of equal scores
    thresholds = scores[zone[last]]
    ascending = np.sort(scores)
    taken = len(scores) - np.searchsorted(ascending, thresholds, side="left").astype(np.float64)
    taken_before = len(scores) - np.searchsorted(ascending, thresholds, side="right").astype(np.float64)
    inside = np.cumsum(flags[zone])[last].astype(np.float64)  # (K,)
    weights = _buffer_weights(flags, begins, ends, zone, buffer_steps)  # (W, zone)
    existing = _existing(scores, begins, ends, thresholds, buffer_steps)  # (radii, K)
    pr, roc = 0.0, 0.0
    for width in range(buffer_steps + 1):  # one at a time: rows of K stay in the processor's cache
        beside = np.cumsum(weights[width])[last]
        hits = inside + beside
        positives = beside * 0.5 + float(flags.sum())
        recall = np.minimum(hits / positives, 1.0) * existing[width // 2]
        pr += float(np.dot(np.diff(recall, prepend=0.0), hits / taken))
        roc += _roc(recall, hits, positives, taken, taken_before, len(flags), int(flags.sum()))
    return Vus(pr / (buffer_steps + 1), roc / (buffer_steps + 1))


def auc_pr(score: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Give the average precision by step over all distinct scores as thresholds: 0 to 1, higher is better."""
    scores, flags = _checked(score, label)
    distinct, place = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(place, weights=flags, minlength=len(distinct)))
    taken = np.cumsum(np.bincount(place, minlength=len(distinct)))
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / taken) / hits[-1])


def ranges(label: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Give first and last step (inclusive) of each run of anomalous steps, in order.

    >>> [each.tolist() for each in ranges([0, 1, 1, 0, 1])]
    [[1, 4], [2, 4]]
    """
    edges = np.diff((np.asarray(label) > 0).astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


def buffer_length(values: npt.ArrayLike) -> int:
    """Give the buffer's length of one series (T,) as TSB-AD takes it, from the data alone.

    It is the lag of the highest local maximum of the autocorrelation over lags 3 to 400 of the first 20,000 steps; 125
    when there is none or it is beyond 300.
    """
    series = np.asarray(values, np.float64)[:_STEPS_MAX]
    series = series - series.mean()
    power = np.abs(np.fft.rfft(series, 2 * len(series))) ** 2
    lagged = np.fft.irfft(power)[_LAG_MIN : min(_LAGS_MAX + 1, len(series))]
    peaks = np.flatnonzero((lagged[1:-1] > lagged[:-2]) & (lagged[1:-1] > lagged[2:])) + 1
    if not len(peaks) or not power.any():
        return BUFFER_STEPS
    peak = int(peaks[np.argmax(lagged[peaks])])
    return BUFFER_STEPS if peak < _LAG_MIN or peak > _PERIOD_MAX else peak + _LAG_MIN


def _checked(score: npt.ArrayLike, label: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
    scores, flags = np.asarray(score, np.float64), np.asarray(label) > 0
    if scores.shape != flags.shape or scores.ndim != 1:
        raise ValueError(f"score {scores.shape} and label {flags.shape} must be one series of the same length")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if flags.all() or not flags.any():
        raise ValueError("the labels must hold anomalous and normal steps")
    return scores, flags


def _buffer_weights(flags: npt.NDArray[np.bool_], begins: Ints, ends: Ints, zone: Ints, buffer_steps: int) -> Floats:
    """Give the soft label (W, len(zone)) of each step beside a range for each w; 0 for steps of a range itself."""
    widths = np.arange(buffer_steps + 1)
    distances = np.arange(1, buffer_steps // 2 + 1)
    reached = distances[:, None] <= widths // 2
    soft = np.sqrt(np.where(reached, 1 - distances[:, None] / np.maximum(widths, 1), 0.0))  # (D, W)
    row_of = np.full(len(flags), -1)
    outside = np.flatnonzero(~flags[zone])
    row_of[zone[outside]] = outside
    weights = np.zeros((len(zone), len(widths)))
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        before = row_of[max(begin - len(distances), 0) : begin][::-1]
        after = row_of[end + 1 : end + 1 + len(distances)]
        for rows in (before, after):
            kept = rows >= 0
            weights[rows[kept]] += soft[: len(rows)][kept]
    return np.ascontiguousarray(np.minimum(weights, 1.0, out=weights).T)


def _existing(scores: Floats, begins: Ints, ends: Ints, thresholds: Floats, buffer_steps: int) -> Floats:
    """Give the share of buffered ranges that hold a score at or over each threshold, (radii, K)."""
    shares = np.empty((buffer_steps // 2 + 1, len(thresholds)))
    for radius in range(buffer_steps // 2 + 1):
        apart = np.flatnonzero(ends[:-1] + radius < begins[1:] - radius)
        firsts = np.maximum(begins[np.r_[0, apart + 1]] - radius, 0)
        lasts = np.minimum(ends[np.r_[apart, len(ends) - 1]] + radius, len(scores) - 1)
        peaks = np.sort(np.array([scores[a : b + 1].max() for a, b in zip(firsts, lasts, strict=True)]))
        first = np.searchsorted(-thresholds, -peaks, side="left")  # the first threshold that each range reaches
        shares[radius] = np.cumsum(np.bincount(first, minlength=len(thresholds))) / len(peaks)
    return shares


def _roc(
    recall: Floats, hits: Floats, positives: Floats, taken: Floats, taken_before: Floats, steps: int, range_steps: int
) -> float:
    """Give the area under (false alarm rate, recall), each (K,); between rows recall stays and only alarms grow."""
    negatives = steps - positives
    rate = (taken - hits) / negatives
    rate_before = np.empty_like(rate)  # just over the row's threshold, where hits and positives are the last row's
    rate_before[0] = taken_before[0] / (steps - range_steps)
    rate_before[1:] = (taken_before[1:] - hits[:-1]) / negatives[:-1]
    recall_before = np.concatenate([[0.0], recall[:-1]])
    level = float(np.dot(rate_before[1:] - rate[:-1], recall[:-1]))
    slope = float(np.dot(rate - rate_before, recall + recall_before)) / 2
    tail = float((steps - hits[-1]) / negatives[-1])
    return level + slope + (tail - float(rate[-1])) * float(recall[-1]) + (1.0 - tail) * (float(recall[-1]) + 1.0) / 2
