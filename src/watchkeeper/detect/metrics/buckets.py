"""Quantiles of histograms and exponential histograms from bucket counts of an interval.

Enters: counts of buckets and their bounds. Leaves: quantiles in the metric's unit. Pure functions; keeps nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BUCKETS_MAX = 320


def quantiles(counts: Floats, bounds: Floats, shares: tuple[float, ...]) -> Floats:
    """Give quantiles (m, len(shares)) of m histograms: counts (m, L + 1), bounds (m, L) ascending.

    Linear within a bucket; the first bucket begins at 0 when its bound is above 0, and what lies beyond the last bound
    is told as that bound. NaN for an empty histogram. Source: how Prometheus defines `histogram_quantile`.

    >>> quantiles(np.array([[0.0, 10.0, 0.0]]), np.array([[1.0, 2.0]]), (0.5, 1.0)).tolist()
    [[1.5, 2.0]]
    """
    totals = counts.sum(axis=1)
    above = np.cumsum(counts, axis=1)
    first = np.minimum(bounds[:, :1], 0.0)
    lows = np.concatenate((first, bounds), axis=1)
    highs = np.concatenate((bounds, bounds[:, -1:]), axis=1)
    rows = np.arange(len(counts))
    result = np.full((len(counts), len(shares)), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        for place, share in enumerate(shares):
            rank = share * totals
            bucket = np.minimum((above < rank[:, None] * (1 - 1e-12)).sum(axis=1), counts.shape[1] - 1)
            inside = counts[rows, bucket]
            part = np.where(inside > 0, (rank - (above[rows, bucket] - inside)) / inside, 1.0)
            low, high = lows[rows, bucket], highs[rows, bucket]
            result[:, place] = np.where(totals > 0, low + (high - low) * np.clip(part, 0.0, 1.0), np.nan)
    return result


def exponential(
    scale: int, zero: float, positive_offset: int, positive: Floats, negative_offset: int, negative: Floats
) -> tuple[Floats, Floats]:
    """Give an exponential histogram as (counts (L + 1,), bounds (L,)) of explicit buckets, zero bucket included.

    Bounds are powers of 2^(2^-scale). At most BUCKETS_MAX buckets of each sign; the outer ones beyond it are merged.
    Source: OpenTelemetry metrics data model, exponential histogram.
    """
    base = 2.0 ** (2.0**-scale)
    up, up_offset = _trimmed(positive, positive_offset)
    down, down_offset = _trimmed(negative, negative_offset)
    with np.errstate(over="ignore", under="ignore"):
        rising = base ** np.arange(up_offset, up_offset + len(up) + 1, dtype=np.float64) if len(up) else np.empty(0)
        falling = -(base ** np.arange(down_offset, down_offset + len(down) + 1, dtype=np.float64))[::-1]
    falling = falling if len(down) else np.empty(0)
    limit = np.finfo(np.float64).max
    bounds = np.clip(np.concatenate((falling, rising)), -limit, limit)
    if not len(bounds):
        return np.array([zero, 0.0]), np.array([0.0])
    lead = [0.0] if len(down) else []
    return np.concatenate((lead, down[::-1], [zero], up, [0.0] if len(up) else [])), bounds


def _trimmed(counts: Floats, offset: int) -> tuple[Floats, int]:
    """Give the counts without empty ends."""
    held = np.flatnonzero(counts)
    if not len(held):
        return np.empty(0), 0
    begin, end = int(held[0]), int(held[-1]) + 1
    begin = max(begin, end - BUCKETS_MAX)
    kept = counts[begin:end].astype(np.float64)
    kept[0] += counts[:begin].sum()
    return kept, offset + begin
