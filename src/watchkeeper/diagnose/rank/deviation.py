"""How far each metric left its usual course in an incident, without units: what all rankers over metrics start from.

Enters: an IncidentWindow. Leaves: one Deviation a series that can be judged. Every figure is a ratio of values of one
series, so that a metric multiplied by any factor gives the same. Knows no graph and names no cause.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series, Times, Values

BEFORE_POINTS_MIN = 5
"""Fewer points before the onset tell no usual course."""
UPPER = 0.75
"""Quantile of the incident's values, on their worse side, that stands for its level: much of it may be over already.
The level right before is the same quantile of the better side: the onset may be told late."""
NULL_WINDOWS_MIN, NULL_WINDOWS_MAX = 20, 256
"""Windows before the onset from which the usual change from one to the next is read."""
NULL_QUANTILE, NULL_SIGMAS = 0.99, 2.326
"""The quantile of usual changes taken for a scale, and how many sigmas of a normal distribution it is."""
MATERIAL_GROWTH = 0.01
"""A change of less than this part of the level is no change: scale never falls below it."""
MATERIAL_FAILURES = 0.001
"""The same for the part of requests that fail."""
Z_UNSCALED = 1_000.0
"""What a change counts for in a metric that never moved before."""
Z_MAX = 1_000_000.0
"""Deviations beyond are as good as this one."""
_LOWER_IS_WORSE = re.compile(
    r"availab|success|healthy|ready|uptime|alive|apdex|hit_?ratio|hit_?rate|remaining|free|idle", re.IGNORECASE
)


@dataclass(frozen=True)
class Deviation:
    """How one series changed.

    z: sigmas of its usual changes, 0..Z_MAX, higher = further to the worse side; less where values as bad came before
    too, or where not all of the incident's are. growth: the change as a part of the usual level (failures: the
    additional part of requests), >= 0. sign: +1 when it rose, -1 when it fell. usual, recent, during: levels before,
    right before and in the incident, in the series' unit. profile (T,): z of each point from `recent` on, >= 0, at
    `profile_times_unix_ns`. began_unix_ns: the first time of the incident's final excess, 0 when there is none.
    """

    series: Series
    z: float
    growth: float
    sign: int
    usual: float
    recent: float
    during: float
    profile: Values
    profile_times_unix_ns: Times
    began_unix_ns: int

    @property
    def node(self) -> str:
        """Give the topology id whose metric this is."""
        return self.series.node


def lower_is_worse(series: Series) -> bool:
    """Tell whether a fall of this metric is the bad side, by the field's usual words in its name."""
    return _LOWER_IS_WORSE.search(series.name) is not None


def deviations(window: IncidentWindow) -> list[Deviation]:
    """Give the deviation of every series of a candidate node that has enough points; cost O(points log points)."""
    known = set(window.nodes)
    found = (deviation(one, window) for one in window.series if one.node in known)
    return [one for one in found if one is not None]


def before_and_during(series: Series, window: IncidentWindow) -> tuple[Values, Values]:
    """Give the finite values of `[baseline_from, onset)` and `[onset, until)`."""
    finite = np.isfinite(series.values)
    times, values = series.times_unix_ns[finite], series.values[finite]
    edges = (window.baseline_from_unix_ns, window.onset_unix_ns, window.until_unix_ns)
    first, split, last = np.searchsorted(times, edges)
    return values[first:split], values[split:last]


def deviation(series: Series, window: IncidentWindow) -> Deviation | None:
    """Give how a series changed at the onset, None when it has too few points before or none in the incident.

    The level of the incident is held against the usual level and the one right before, whichever is the nearer: what
    was there already did not begin with the incident. The scale is what such a change usually is for this series.
    """
    finite = np.isfinite(series.values)
    times, values = series.times_unix_ns[finite], series.values[finite]
    first = np.searchsorted(times, window.baseline_from_unix_ns)
    split = int(np.searchsorted(times, window.onset_unix_ns))
    last = int(np.searchsorted(times, window.until_unix_ns))
    before, during = values[first:split], values[split:last]
    if len(before) < BEFORE_POINTS_MIN or not len(during):
        return None
    worse = _worse_sides(series)
    failing = series.aspect is Aspect.ERRORS and lower_is_worse(series)
    best = float(np.max(np.abs(before))) if failing else 0.0
    if failing and best > 0.0:
        before, during = before / best, during / best
    length = window.until_unix_ns - window.onset_unix_ns
    since = int(np.searchsorted(times, window.onset_unix_ns - length)) - int(first)
    span = min(max(2, len(before) - since), len(before))
    sided = [_one_sided(before, during, span, side, failing=failing) for side in worse]
    place = int(np.argmax([one.z for one in sided]))
    chosen, side = sided[place], worse[place]
    tail = np.concatenate([before[len(before) - span :], during])
    profile = (
        np.clip(side * (tail - chosen.reference) / chosen.scale, 0.0, Z_MAX) if chosen.scale else np.zeros(len(tail))
    )
    at = times[split - span : last]
    unit = best if failing and best > 0.0 else 1.0
    return Deviation(
        series,
        chosen.z,
        chosen.growth,
        side,
        chosen.usual * unit,
        chosen.recent * unit,
        chosen.during * unit,
        profile,
        at,
        _began(profile, at),
    )


def strongest(found: Sequence[Deviation]) -> dict[str, Deviation]:
    """Give the deviation with the highest z of each node; equal ones by growth, then name."""
    best: dict[str, Deviation] = {}
    for one in sorted(found, key=lambda each: (-each.z, -each.growth, each.series.name)):
        best.setdefault(one.node, one)
    return best


def agreement(one: Deviation, other: Deviation, bins: int = 64) -> float:
    """Give how far two excesses went up and down together, 0..1: the cosine of their courses on a common time grid.

    0.5, neither for nor against, when they share fewer than three times.
    """
    times, mine, theirs = np.intersect1d(one.profile_times_unix_ns, other.profile_times_unix_ns, return_indices=True)
    if len(times) >= 3:
        left, right = one.profile[mine], other.profile[theirs]
    else:
        start = max(int(one.profile_times_unix_ns[0]), int(other.profile_times_unix_ns[0]))
        end = min(int(one.profile_times_unix_ns[-1]), int(other.profile_times_unix_ns[-1]))
        if end <= start:
            return 0.5
        edges = np.linspace(start, end, min(bins, len(one.profile), len(other.profile)) + 1)
        left, right = _binned(one, edges), _binned(other, edges)
    both = np.isfinite(left) & np.isfinite(right)
    if int(both.sum()) < 3:
        return 0.5
    left, right = np.log1p(left[both]), np.log1p(right[both])
    size = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / size if size > 0.0 else 0.0


@dataclass(frozen=True)
class _Sided:
    z: float
    growth: float
    usual: float
    recent: float
    during: float
    reference: float
    scale: float


def _worse_sides(series: Series) -> tuple[int, ...]:
    if lower_is_worse(series):
        return (-1,)
    return (1,) if series.aspect in (Aspect.LATENCY, Aspect.ERRORS, Aspect.QUEUE) else (1, -1)


def _one_sided(before: Values, during: Values, span: int, side: int, *, failing: bool) -> _Sided:
    usual = float(np.median(before))
    recent = float(np.quantile(before[len(before) - span :], 1.0 - UPPER if side > 0 else UPPER))
    reference = max(usual, recent) if side > 0 else min(usual, recent)
    level = float(np.quantile(during, UPPER if side > 0 else 1.0 - UPPER))
    excess = side * (level - reference)
    spread = 1.4826 * float(np.median(np.abs(before - usual)))
    scale = max(spread, _usual_change(before, len(during), span, side, usual))
    scale = max(scale, MATERIAL_FAILURES if failing else MATERIAL_GROWTH * abs(reference))
    if excess <= 0.0:
        return _Sided(0.0, 0.0, usual, recent, level, reference, scale)
    if scale <= 0.0:
        # It never moved before, so there is no scale to hold this against.
        scale = excess / Z_UNSCALED
    # The onset may be told late: the points right before it speak neither way.
    earlier = before[: -max(1, len(during) // 3)]
    half = side * (reference + side * excess / 2.0)
    over = int((side * earlier > half).sum()), int((side * during > half).sum())
    apart = _separation(*over, len(earlier), len(during))
    z = min(Z_MAX, math.expm1(apart * math.log1p(excess / scale)))
    if failing:
        growth = excess
    else:
        growth = min(Z_MAX, excess / abs(reference)) if reference else Z_MAX
    return _Sided(z, growth, usual, recent, level, reference, scale)


def _separation(outside: int, inside: int, before: int, during: int) -> float:
    """Give how well the incident stands apart, 0..1: 1 when all its points are over the bar and none before was.

    outside, inside: points over the bar of those before and during. In sigmas of the chance that so many of the points
    over the bar fall into the incident, bounded by C(all, k) (m / (n + m))^k, as a part of the most that can be.
    """
    share = math.log(during / (before + during))
    ways = math.lgamma(inside + outside + 1) - math.lgamma(inside + 1) - math.lgamma(outside + 1)
    return math.sqrt(max(0.0, (ways + inside * share) / (during * share)))


def _usual_change(before: Values, points: int, span: int, side: int, usual: float) -> float:
    """Give one sigma of the change from one window to the next, as the series did it before; 0 when it is too short."""
    count = len(before) - span - points + 1
    if count < NULL_WINDOWS_MIN:
        return 0.0
    after = np.lib.stride_tricks.sliding_window_view(before, points)[span:]
    ahead = np.lib.stride_tricks.sliding_window_view(before, span)[:count]
    step = max(1, count // NULL_WINDOWS_MAX)
    levels = np.quantile(after[::step], UPPER if side > 0 else 1.0 - UPPER, axis=1)
    recent = np.quantile(ahead[::step], 1.0 - UPPER if side > 0 else UPPER, axis=1)
    reference = np.maximum(usual, recent) if side > 0 else np.minimum(usual, recent)
    return max(0.0, float(np.quantile(side * (levels - reference), NULL_QUANTILE)) / NULL_SIGMAS)


def _began(profile: Values, times: Times) -> int:
    if not len(profile) or float(profile.max()) < 3.0:
        return 0
    return int(times[np.argmax(profile >= max(3.0, float(profile.max()) / 3.0))])


def _binned(one: Deviation, edges: npt.NDArray[np.float64]) -> Values:
    place = np.clip(np.searchsorted(edges, one.profile_times_unix_ns, side="right") - 1, -1, len(edges) - 1)
    inside = (one.profile_times_unix_ns >= edges[0]) & (one.profile_times_unix_ns <= edges[-1])
    place = np.minimum(place, len(edges) - 2)[inside]
    total = np.bincount(place, weights=one.profile[inside], minlength=len(edges) - 1)
    count = np.bincount(place, minlength=len(edges) - 1)
    result: Values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def by_node(found: Sequence[Deviation]) -> Mapping[str, list[Deviation]]:
    """Give the deviations of each node."""
    groups: dict[str, list[Deviation]] = {}
    for one in found:
        groups.setdefault(one.node, []).append(one)
    return groups
