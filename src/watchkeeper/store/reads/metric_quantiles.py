"""A percentile of what histograms counted, whatever their buckets.

Enters: intervals with counts, explicit and exponential buckets alike, overlapping or not. Leaves: one number. Within an
interval values are taken as evenly spread, as Prometheus does.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def interval_quantile(lows: Array, highs: Array, counts: Array, quantile: float) -> float | None:
    """Give the quantile (0..1) of intervals low..high (n,) that hold counts (n,); None when they hold nothing.

    An interval with low = high is a point. A count may be negative where an earlier total is taken off; what remains
    below zero is taken as nothing. Cost: O(n log n).

    >>> interval_quantile(np.array([0.0, 10.0]), np.array([10.0, 20.0]), np.array([50.0, 50.0]), 0.75)
    15.0
    """
    usable = np.isfinite(lows) & np.isfinite(highs) & np.isfinite(counts)
    lows, highs, counts = lows[usable], highs[usable], counts[usable]
    edges = np.unique(np.concatenate([lows, highs]))  # (e,)
    if edges.size == 0:
        return None
    points = highs <= lows
    jumps = np.zeros(edges.size)
    np.add.at(jumps, np.searchsorted(edges, lows[points]), counts[points])
    begin, end = np.searchsorted(edges, lows[~points]), np.searchsorted(edges, highs[~points])
    density = counts[~points] / (highs[~points] - lows[~points])
    slopes = np.zeros(edges.size)
    np.add.at(slopes, begin, density)
    np.add.at(slopes, end, -density)
    between = np.maximum(np.cumsum(slopes)[:-1] * np.diff(edges), 0.0)  # (e-1,) what lies from each edge to the next
    between[between < 1e-9 * max(1.0, float(np.abs(counts).sum()))] = 0.0
    jumps = np.maximum(jumps, 0.0)
    after = np.cumsum(jumps) + np.concatenate([[0.0], np.cumsum(between)])  # (e,) up to and with each edge
    total = float(after[-1])
    if total <= 0:
        return None
    target = quantile * total
    index = int(np.searchsorted(after, target * (1 - 1e-12)))
    before = float(after[index] - jumps[index])
    if index == 0 or before < target or between[index - 1] == 0:
        return float(edges[index])
    share = 1 - (before - target) / float(between[index - 1])
    return float(edges[index - 1] + share * (edges[index] - edges[index - 1]))
