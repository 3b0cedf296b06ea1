"""Forecasts with bands of capacity metrics: how a series goes on, and when it reaches its limit.

Enters: times and values of one series, its limit. Leaves: a Forecast. Pure functions; keeps nothing. Any stored series
can be asked about; whether a forecast is told as a finding is capacity.py's to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

BLOCKS_MAX = 64
BLOCKS_MIN = 12
STEPS = 48
BAND_NORMAL = 1.645
TREND_Z_MIN = 4.0
DROP_SHARE = 0.25
LAGS = 12
RECENT = 3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Forecast:
    """How a series is expected to go on.

    times_unix_ns (H,), low, mid, high (H,): the expected course and its 90 % band. slope_per_s: of the trend, 0 when it
    is not significant. z: how many standard errors the trend is away from none. is_trend: whether it is significant and
    not the rise of a sawtooth. time_to_limit_s: expected, None when the limit is not reached within the horizon;
    earliest_s, latest_s: the same by the ends of the band.
    """

    times_unix_ns: Ints
    low: Floats
    mid: Floats
    high: Floats
    slope_per_s: float
    z: float
    is_trend: bool
    time_to_limit_s: float | None
    earliest_s: float | None
    latest_s: float | None
    history_s: float


def forecast(times_unix_ns: Ints, values: Floats, *, limit: float | None, horizon_s: float) -> Forecast:
    """Forecast a series from its newest time on.

    times_unix_ns (T,) ascending, values (T,), NaN where nothing was said. limit: what it must not reach from below,
    None for none. The trend is Theil's and Sen's slope over medians of up to BLOCKS_MAX blocks of time, tested as Mann
    and Kendall do, the variance widened for autocorrelation; without a significant trend the level goes on. The band
    has three parts: noise within a block, wandering (how far blocks moved over as much time before), and the error of
    the slope. Cost: one to two milliseconds. Raises ValueError for fewer than two values.
    """
    said = np.isfinite(values)
    times, values = times_unix_ns[said], values[said].astype(np.float64)
    if len(values) < 2:
        raise ValueError("a forecast needs at least two values")
    seconds = (times - times[-1]) / 1e9
    at, level = blocks(seconds, values)
    slope, z, error = _trend(at, level)
    is_trend = len(at) >= BLOCKS_MIN and abs(z) >= TREND_Z_MIN and _is_new_ground(level, slope)
    used = slope if is_trend else 0.0
    rest = level - used * at
    recent = rest[-RECENT:]
    now = float(np.median(recent))
    ahead = np.linspace(0.0, horizon_s, STEPS + 1)[1:]
    spread = _spread(values, seconds, rest, at, used, ahead, error if is_trend else 0.0)
    mid = now + used * ahead
    low, high = mid - BAND_NORMAL * spread, mid + BAND_NORMAL * spread
    expected = earliest = latest = None
    if limit is not None and (used > 0 or now >= limit):
        expected, earliest, latest = (_reaches(ahead, line, limit, now) for line in (mid, high, low))
    return Forecast(
        times[-1] + (ahead * 1e9).astype(np.int64),
        low,
        mid,
        high,
        used,
        float(z),
        is_trend,
        expected,
        earliest,
        latest,
        float(-seconds[0]),
    )


def blocks(seconds: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Give middle and median of up to BLOCKS_MAX blocks of equal time; empty ones are left out."""
    count = min(BLOCKS_MAX, max(2, len(values) // 2)) if len(values) > BLOCKS_MAX else len(values)
    span = max(float(seconds[-1] - seconds[0]), 1e-9)
    number = np.minimum(((seconds - seconds[0]) / span * count).astype(np.int64), count - 1)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    ends = np.append(starts[1:], len(values))
    level = np.array([float(np.median(values[a:b])) for a, b in zip(starts, ends, strict=True)])
    at = np.array([float(seconds[a:b].mean()) for a, b in zip(starts, ends, strict=True)])
    return at, level


def _trend(at: Floats, level: Floats) -> tuple[float, float, float]:
    """Give the slope a second, its z, its standard error."""
    count = len(at)
    one, other = np.triu_indices(count, 1)
    apart = at[other] - at[one]
    slopes = (level[other] - level[one]) / np.maximum(apart, 1e-9)
    slope = float(np.median(slopes))
    signs = float(np.sign(level[other] - level[one]).sum())
    rest = level - slope * at
    rest = rest - np.median(rest)
    power = float((rest * rest).sum())
    alike = float((rest[1:] * rest[:-1]).sum() / power) if power > 0 else 0.0
    alike = min(max(alike, 0.0), 0.95)
    variance = count * (count - 1) * (2 * count + 5) / 18.0 * (1 + alike) / (1 - alike)
    z = signs / math.sqrt(max(variance, 1e-12))
    return slope, z, abs(slope) / max(abs(z), 1e-9)


def _is_new_ground(level: Floats, slope: float) -> bool:
    """Tell whether the newest values go beyond all before, without having fallen back on the way.

    A sawtooth (garbage collection, log rotation) rises too, but has been there before and dropped.
    """
    course = level if slope > 0 else -level
    third = max(1, len(course) // 3)
    newest = float(np.median(course[-max(2, len(course) // 12) :]))
    span = float(course.max() - course.min())
    if span <= 0:
        return False
    falls = np.maximum.accumulate(course) - course
    halves = [np.median(part) for part in np.array_split(course, 4)]
    rises = all(late > early for early, late in pairwise(halves))
    return newest >= float(course[:-third].max()) and float(falls.max()) < DROP_SHARE * span and rises


def _spread(
    values: Floats, seconds: Floats, rest: Floats, at: Floats, slope: float, ahead: Floats, slope_error: float
) -> Floats:
    """Give the standard deviation of what is to come (H,)."""
    off = values - slope * seconds
    noise = float(np.std(off - np.interp(seconds, at, rest))) if len(at) > 1 else 0.0
    block_s = max(float(at[-1] - at[0]) / max(len(at) - 1, 1), 1e-9)
    lags = np.unique(np.linspace(1, max(1, len(rest) // 2), LAGS).astype(np.int64))
    moved = np.maximum.accumulate([float(np.mean((rest[lag:] - rest[:-lag]) ** 2)) for lag in lags.tolist()])
    wandering = np.interp(ahead, lags * block_s, moved)
    spread: Floats = np.sqrt(noise**2 + wandering + (slope_error * ahead) ** 2)
    return spread


def _reaches(ahead: Floats, line: Floats, limit: float, now: float) -> float | None:
    """Give when a line reaches the limit, None when it does not within the horizon."""
    if now >= limit:
        return 0.0
    there = np.flatnonzero(line >= limit)
    if not len(there):
        return None
    place = int(there[0])
    before_s, before = (float(ahead[place - 1]), float(line[place - 1])) if place else (0.0, now)
    gained = float(line[place]) - before
    share = min(max((limit - before) / gained, 0.0), 1.0) if gained > 0 else 1.0
    return before_s + share * (float(ahead[place]) - before_s)
