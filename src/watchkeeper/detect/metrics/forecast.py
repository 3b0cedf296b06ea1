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
BEND = 2
GOES_ON = 0.5
SMOOTH = 0.01
LAGS = 12
BINS_MAX = 576
WIDTHS = (1, 3, 12)
SHARES = (0.0, 0.5, 1.0)
BETTER = 0.98
COVERED = 0.9
DAY_S = 86_400.0
DAYS_MIN = 1.75

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
    None for none. The trend is Theil's and Sen's slope over the newer half of medians of up to BLOCKS_MAX blocks of
    time, tested over all as Mann and Kendall do; without a significant trend the level goes on, with the season of the
    day where that did better. The band is of the forecast's own past errors, and of the error of the slope. Cost: some
    milliseconds. Raises ValueError for fewer than two values.
    """
    said = np.isfinite(values)
    times, values = times_unix_ns[said], values[said].astype(np.float64)
    if len(values) < 2:
        raise ValueError("a forecast needs at least two values")
    seconds = (times - times[-1]) / 1e9
    at, level = blocks(seconds, values)
    slope, z, error = _trend(at, level)
    is_sure = len(at) >= BLOCKS_MIN and abs(z) >= TREND_Z_MIN and slope * z > 0
    is_trend = is_sure and _is_new_ground(level, slope) and _goes_on(at, level, slope)
    used = slope if is_trend else 0.0
    ahead = np.linspace(0.0, horizon_s, STEPS + 1)[1:]
    now, course, half, noise = _backtested(seconds, values - used * seconds, ahead)
    mid = course + used * ahead
    trend_off = error * ahead if is_trend else 0.0
    half = np.sqrt(half**2 + (BAND_NORMAL * noise) ** 2 + (BAND_NORMAL * trend_off) ** 2)
    low, high = mid - half, mid + half
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
    """Give the slope a second of the newest half, the z of a trend over all, the slope's standard error.

    The newest half tells how it goes on where growth gathers speed or levels off. z is Mann's and Kendall's, its
    variance widened for autocorrelation of the ranks around a parabola, so that a bend is not taken for wandering; a
    course that keeps to the parabola within SMOOTH of its range does not wander (Hamed and Rao, "A modified
    Mann-Kendall trend test for autocorrelated data", J. Hydrology 204, 1998; summed up to the first lag without any, as
    Geyer does in "Practical Markov chain Monte Carlo", Statistical Science 7, 1992).
    """
    count, half = len(at), len(at) // 2
    signs = float(np.sign(level[None, :] - level[:, None])[np.triu_indices(count, 1)].sum())
    place = at - at.mean()
    bent = level - np.polynomial.Polynomial.fit(place, level, BEND)(place) if count > BEND + 1 else np.zeros(count)
    wanders = float(np.ptp(bent)) > SMOOTH * float(np.ptp(level))
    variance = count * (count - 1) * (2 * count + 5) / 18.0 * (_widened(np.argsort(np.argsort(bent))) if wanders else 1)
    z = signs / math.sqrt(max(variance, 1e-12))
    slope, whole = _median_slope(at[half:], level[half:]), _median_slope(at, level)
    return slope, z, abs(whole) / max(abs(z), 1e-9) * (count / max(count - half, 1)) ** 1.5


def _median_slope(at: Floats, level: Floats) -> float:
    """Give Theil's and Sen's slope a second, 0 of less than two points."""
    one, other = np.triu_indices(len(at), 1)
    if not len(one):
        return 0.0
    return float(np.median((level[other] - level[one]) / np.maximum(at[other] - at[one], 1e-9)))


def _widened(ranks: Ints) -> float:
    """Give how many times larger autocorrelation makes the variance of the sum of signs; 1 and more."""
    count = len(ranks)
    rest = ranks - ranks.mean()
    power = float((rest * rest).sum())
    if count < 4 or power <= 0:
        return 1.0
    alike = np.correlate(rest, rest, "full")[count:] / power
    none = np.flatnonzero(alike <= 0)
    lags = np.arange(1, (int(none[0]) if len(none) else len(alike)) + 1)
    weight = (count - lags) * (count - lags - 1.0) * (count - lags - 2.0)
    return 1.0 + 2.0 / (count * (count - 1.0) * (count - 2.0)) * float((weight * alike[: len(lags)]).sum())


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


def _goes_on(at: Floats, level: Floats, slope: float) -> bool:
    """Tell whether the newest quarter still goes the way of the newer half, at GOES_ON of its speed at least."""
    newest = slice(len(at) - max(2, len(at) // 4), None)
    return _median_slope(at[newest], level[newest]) / slope >= GOES_ON


def _backtested(seconds: Floats, values: Floats, ahead: Floats) -> tuple[float, Floats, Floats, float]:
    """Give the level now, the course to come (H,), half the width of its band (H,) and the noise around both.

    From each moment of the past with enough before and after it, the rest is forecast by the mean of some
    newest values, with all, half or none of how the same time yesterday went on. The one with the least mean error
    goes on; the band holds the quantile of its own errors at each distance, corrected for how few of them are
    independent (split conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World").
    """
    count = min(BINS_MAX, len(values))
    span = max(float(seconds[-1] - seconds[0]), 1e-9)
    number = np.minimum(((seconds - seconds[0]) / span * count).astype(np.int64), count - 1)
    held = np.bincount(number, minlength=count)
    filled = np.flatnonzero(held)
    course = np.interp(np.arange(count), filled, (np.bincount(number, values, minlength=count)[filled] / held[filled]))
    bin_s = span / count
    reach = max(1, min(math.ceil(float(ahead[-1]) / bin_s), count // 3))
    leads = np.unique(np.linspace(1, reach, LAGS).astype(np.int64))
    day = round(DAY_S / bin_s) if span >= DAYS_MIN * DAY_S else 0
    widths = [one for one in WIDTHS if one <= max(1, count // 8)]
    first = day + widths[-1]
    origins = np.arange(first, count - reach)
    if not len(origins):
        wide = np.full(len(ahead), BAND_NORMAL * float(course.std()))
        return float(course[-1]), np.full(len(ahead), course[-1]), wide, 0.0
    sums = np.concatenate(([0.0], np.cumsum(course)))
    best, chosen, off = np.inf, (1, 0.0), np.empty((0, 0))
    for width in widths:
        level = np.full(count, course[0])
        level[width - 1 :] = (sums[width:] - sums[:-width]) / width
        rest = course[origins[:, None] + leads] - level[origins, None]
        yesterday = course[origins[:, None] + leads - day] - level[origins - day, None] if day else None
        for share in SHARES if day else (0.0,):
            errors = rest if yesterday is None or share == 0.0 else rest - share * yesterday
            mean = float(np.abs(errors).mean())
            if mean < BETTER * best:
                best, chosen, off = mean, (width, share), errors
    alone = _independent(off[:, -1], reach)
    level_of_band = min(1.0, COVERED * (alone + 1) / alone)
    half = np.maximum.accumulate(np.quantile(np.abs(off), level_of_band, axis=0))
    bins = ahead / bin_s
    grown = np.sqrt(np.maximum(bins / leads[-1], 1.0))  # beyond what was tried the band widens like wandering does
    width, share = chosen
    now = float(course[-width:].mean())
    coming = np.full(len(ahead), now)
    if share:
        ago = np.minimum(count - 1 + bins - day * np.ceil(np.maximum(bins, 1e-9) / day), count - 1)
        coming += share * (np.interp(ago, np.arange(count), course) - course[count - day - width : count - day].mean())
    return now, coming, np.interp(bins, leads, half) * grown, float(np.std(values - course[number]))


def _independent(errors: Floats, reach: int) -> float:
    """Give how many independent errors (T,) of overlapping forecasts are worth, by their first autocorrelation."""
    apart = errors - errors.mean()
    power = float((apart * apart).sum())
    alike = float((apart[1:] * apart[:-1]).sum()) / power if power > 0 else 0.0
    alike = min(max(alike, 0.0), 0.999)
    return max(len(errors) * (1 - alike) / (1 + alike), len(errors) / reach, 1.0)


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
