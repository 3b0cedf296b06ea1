"""A streaming score of how unusual the last points of a series are, for many series at once.

Enters: one value of each series (n,), or a block (n, T), in the order of time. Leaves: scores (n,), the mean over a few
window lengths of -log10 of how often so rare a value comes. What is compared is only the series' own past, so units,
scale and offset do not matter, and no value is seen ahead of time. Does no I/O but its state; makes no findings.
Two steps: a histogram of the window's mean tells how rare it is (HBOS, Goldstein and Dengel 2012, here with forgetting
and a range that follows the data); a second one of past rarities turns that into a frequency, as anomaly likelihood
does (Lavin and Ahmad 2015).
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.errors import NewerFormat, StoreError

STATE_VERSION = 1
RARITY_BINS = 100
RARITY_BINS_PER_E = 10.0
RARITY_LOG_MIN = -1.0
"""Past rarities are counted in bins of a tenth in the natural logarithm, from exp(-1) to exp(9)."""
YOUNG_POINTS = 100.0
"""A younger series widens its range for every value; an older one only for more than a lone value leaves behind."""
EXCESS_MAX = 1e9
"""Farther beyond its range than so many widths, a value is no rarer; a bound for the arithmetic."""
ZOOM_EVERY = 64
ZOOM_SHARE = 0.05
TRIMMED_SHARE = 0.003
"""When all that is remembered but so much at either end lies in ZOOM_SHARE of the range, the range narrows on it.

So a lone huge value, also as it stays in the mean of twelve, does not make all others look the same for long.
"""
TRIMMED_MIN = 0.5
"""At either end at least half the weight of a new value may be left out."""
VALUE_MAX = 1e150
"""Larger values count as missing: differences and sums of them might overflow."""
WEIGHT_MAX = 1e6
"""Counts are scaled back when the weight of a new value, which grows so that old ones need no decay, exceeds this."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BEYOND: Floats = np.triu(np.ones((RARITY_BINS, RARITY_BINS)), 1)
"""Row b selects the bins above b."""

_ARRAYS = (
    "origin",
    "points",
    "ring",
    "low",
    "high",
    "counts",
    "mass",
    "outside",
    "weight",
    "rarities",
    "learned",
    "rarity_weight",
)


class UnivariateSettings(NamedTuple):
    """What may be chosen; all lengths are in points of the series.

    windows: lengths of the means that are looked at. bins: of the value's histogram. memory: over which values are
    forgotten (the weight falls to 1/e). calibration_half_life: after which a past rarity counts half.
    """

    windows: tuple[int, ...] = (1, 4, 12)
    bins: int = 80
    memory: float = 5_000.0
    calibration_half_life: float = 2_000.0


class UnivariateScorer:
    """Scores n series, one value of each at a time; learns from every value after it was scored.

    A score is >= 0, higher = more anomalous, and grows with what is known: log10(2 (n + 1)) is the most that the n-th
    value of a new series can get. State: about (bins + 110) x 8 bytes for each window of each series, whatever the age.
    Cost of a step: some 80 numpy operations on (n x windows,) and one on (n x windows, 100).
    """

    def __init__(self, series: int, settings: UnivariateSettings | None = None) -> None:
        self.settings = settings or UnivariateSettings()
        self.series = series
        windows, bins = len(self.settings.windows), self.settings.bins
        rows = series * windows
        self.origin: Floats = np.zeros(series)
        self.points: Ints = np.zeros(series, np.int64)
        self.ring: Floats = np.zeros((series, max(self.settings.windows)))
        self.low: Floats = np.zeros(rows)
        self.high: Floats = np.zeros(rows)
        self.counts: Floats = np.zeros((rows, bins))
        self.mass: Floats = np.zeros(rows)
        self.outside: Floats = np.zeros(rows)
        self.weight: Floats = np.ones(rows)
        self.rarities: Floats = np.zeros((rows, RARITY_BINS))
        self.learned: Floats = np.zeros(rows)
        self.rarity_weight: Floats = np.ones(rows)

    def take(self, values: Floats) -> Floats:
        """Give the score (n,) of one value of each series (n,) and learn from it.

        NaN and values beyond VALUE_MAX score 0 and leave the state of their series as it was.
        """
        scores: Floats = self.take_windows(values).mean(axis=1)
        return scores

    def take_block(self, values: Floats) -> Floats:
        """Give the scores (n, T) of a block of values (n, T), oldest first; the same as T calls of `take`."""
        scores = np.zeros(values.shape)
        for step, column in enumerate(np.ascontiguousarray(values.T)):
            scores[:, step] = self.take(column)
        return scores

    def take_windows(self, values: Floats) -> Floats:
        """Do as `take`, but give the score of each window length (n, windows): which of them is unusual."""
        windows = len(self.settings.windows)
        scores = np.zeros((self.series, windows))
        known = np.flatnonzero(np.abs(values) < VALUE_MAX)
        if not len(known):
            return scores
        new = known[self.points[known] == 0]
        self.origin[new] = values[new]
        means = self._window_means(known, values[known] - self.origin[known])
        rows = (known[:, None] * windows + np.arange(windows)).ravel()
        rarity = self._rarity(rows, means.ravel())
        scores[known] = self._frequency(rows, rarity).reshape(-1, windows)
        self.points[known] += 1
        self._zoom(known)
        return scores

    def _window_means(self, known: Ints, values: Floats) -> Floats:
        """Give the means (k, windows) over the last points; a young series has fewer."""
        length = self.ring.shape[1]
        self.ring[known, self.points[known] % length] = values
        ages = (self.points[known, None] - np.arange(length)) % length
        recent = np.take_along_axis(self.ring[known], ages, axis=1)
        sums = np.cumsum(recent, axis=1)
        spans = np.minimum(np.array(self.settings.windows), self.points[known, None] + 1)
        means: Floats = np.take_along_axis(sums, spans - 1, axis=1) / spans
        return means

    def _rarity(self, rows: Ints, values: Floats) -> Floats:
        """Give 1 / (share of past values near each value), 0 for a series that never varied; then count the value.

        Beyond the range no share is known; there rarity grows with the square root of the distance.
        """
        excess = self._widen(rows, values)
        bins = self.settings.bins
        low, high, mass, weight = self.low[rows], self.high[rows], self.mass[rows], self.weight[rows]
        width = high - low
        out = (values < low) | (values > high)
        inside = (width > 0) & ~out
        place = np.where(inside, values - low, 0.0) / np.where(inside, width, 1.0) * bins
        place = np.minimum(place.astype(np.int64), bins - 1)
        before = np.where(place > 0, self.counts[rows, np.maximum(place - 1, 0)], 0.0)
        after = np.where(place < bins - 1, self.counts[rows, np.minimum(place + 1, bins - 1)], 0.0)
        near = self.counts[rows, place] + 0.5 * (before + after) + weight
        rarity = np.where(inside, mass / near, np.where(out, mass / np.maximum(self.outside[rows], weight), 0.0))
        rarity *= np.sqrt(1.0 + excess)
        self.counts[rows[inside], place[inside]] += weight[inside]
        self.mass[rows] = mass + weight
        self.weight[rows] = weight / (1.0 - 1.0 / self.settings.memory)
        heavy = rows[self.weight[rows] > WEIGHT_MAX]
        if len(heavy):
            scale = 1.0 / self.weight[heavy]
            self.counts[heavy] *= scale[:, None]
            self.mass[heavy] *= scale
            self.outside[heavy] *= scale
            self.weight[heavy] = 1.0
        return rarity

    def _widen(self, rows: Ints, values: Floats) -> Floats:
        """Count the values out of range, and widen the range of the rows that have had enough of them.

        Gives how far each value lay beyond the range (k,), in widths of the range; 0 inside.
        """
        new = self.mass[rows] == 0
        self.low[rows[new]] = self.high[rows[new]] = values[new]
        low, high = self.low[rows], self.high[rows]
        out = (values < low) | (values > high)
        excess = np.zeros(len(rows))
        if not out.any():
            return excess
        width = high - low
        distance = np.maximum(values - high, low - values)
        with np.errstate(over="ignore"):
            np.divide(distance, width, out=excess, where=out & (width > 0))
        excess = np.minimum(excess, EXCESS_MAX)
        rows, values = rows[out], values[out]
        weight = self.weight[rows]
        self.outside[rows] += weight
        # A lone value is in as many means as their window is long; what stays outside longer is a new range.
        spans = np.array(self.settings.windows)[rows % len(self.settings.windows)]
        due = (
            (self.low[rows] == self.high[rows])
            | (self.mass[rows] < YOUNG_POINTS * weight)
            | (self.outside[rows] > (spans + 1) * weight)
        )
        for row, value in zip(rows[due].tolist(), values[due].tolist(), strict=True):
            old_low, old_high = float(self.low[row]), float(self.high[row])
            least, most = min(old_low, value), max(old_high, value)
            # Half the width beyond the new extreme spares a slow rise from widening at every step.
            margin = 0.5 * (most - least)
            self._set_range(row, least - margin * (least < old_low), most + margin * (most > old_high))
            self.outside[row] = 0.0
        return excess

    def _set_range(self, row: int, low: float, high: float) -> None:
        """Lay the counts of a row out over a new range, each spread evenly over its old bin."""
        bins = self.settings.bins
        old_low, old_high = float(self.low[row]), float(self.high[row])
        self.low[row], self.high[row] = low, high
        if old_low == old_high:
            place = min(int((old_low - low) / (high - low) * bins), bins - 1)
            self.counts[row, place] = self.mass[row]
            return
        share = np.arange(bins + 1) / bins
        total = np.concatenate([[0.0], np.cumsum(self.counts[row])])
        laid = np.interp(low + (high - low) * share, old_low + (old_high - old_low) * share, total)
        laid[0], laid[-1] = 0.0, total[-1]
        self.counts[row] = np.diff(laid)

    def _zoom(self, known: Ints) -> None:
        """Narrow the ranges of which only a small part is still remembered, such as after a lone huge value."""
        due = known[self.points[known] % ZOOM_EVERY == 0]
        if not len(due):
            return
        windows, bins = len(self.settings.windows), self.settings.bins
        rows = (due[:, None] * windows + np.arange(windows)).ravel()
        trimmed = np.maximum(TRIMMED_MIN * self.weight[rows], TRIMMED_SHARE * self.mass[rows])[:, None]
        first = (np.cumsum(self.counts[rows], axis=1) >= trimmed).argmax(axis=1)
        last = bins - 1 - (np.cumsum(self.counts[rows, ::-1], axis=1) >= trimmed).argmax(axis=1)
        narrow = last - first + 1 < ZOOM_SHARE * bins
        for row, begin, end in zip(rows[narrow].tolist(), first[narrow].tolist(), last[narrow].tolist(), strict=True):
            width = float(self.high[row] - self.low[row])
            middle, half = self.low[row] + (begin + end + 1) / 2 / bins * width, width * (end - begin + 1) / bins
            if middle - half < middle + half:
                self._set_range(row, float(middle - half), float(middle + half))

    def _frequency(self, rows: Ints, rarity: Floats) -> Floats:
        """Give -log10 of the share of past points at least as rare, 0 where nothing varied; then count this one."""
        varied = rarity > 0
        place = (np.log(np.where(varied, rarity, 1.0)) - RARITY_LOG_MIN) * RARITY_BINS_PER_E
        place = np.clip(np.where(varied, place, 0), 0, RARITY_BINS - 1).astype(np.int64)
        learned, weight = self.learned[rows], self.rarity_weight[rows]
        past = self.rarities if len(rows) == len(self.rarities) else self.rarities[rows]
        beyond = np.einsum("rb,rb->r", past, _BEYOND[place]) + 0.5 * self.rarities[rows, place]
        score = np.where(varied, -np.log10((beyond + 0.5 * weight) / (learned + weight)), 0.0)
        self.rarities[rows, place] += weight
        self.learned[rows] = learned + weight
        self.rarity_weight[rows] = weight * 2.0 ** (1.0 / self.settings.calibration_half_life)
        heavy = rows[self.rarity_weight[rows] > WEIGHT_MAX]
        if len(heavy):
            scale = 1.0 / self.rarity_weight[heavy]
            self.rarities[heavy] *= scale[:, None]
            self.learned[heavy] *= scale
            self.rarity_weight[heavy] = 1.0
        return np.maximum(score, 0.0)

    def save(self, path: Path) -> None:
        """Write the state as npz."""
        settings = self.settings
        numbers = [float(settings.bins), settings.memory, settings.calibration_half_life]
        arrays: dict[str, npt.NDArray[np.generic]] = {name: getattr(self, name) for name in _ARRAYS}
        arrays["schema_version"] = np.array([STATE_VERSION])
        arrays["windows"] = np.array(settings.windows, np.int64)
        arrays["numbers"] = np.array(numbers)
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> UnivariateScorer:
        """Take a written state up again; raises StoreError when it is damaged, NewerFormat when it is newer."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            version = int(arrays["schema_version"][0])
            if version > STATE_VERSION:
                raise NewerFormat(
                    f"{path} was written by a newer Watchkeeper (version {version}, this one reads {STATE_VERSION}); "
                    "upgrade, or delete the file to learn anew"
                )
            bins, memory, half_life = arrays["numbers"].tolist()
            settings = UnivariateSettings(tuple(arrays["windows"].tolist()), int(bins), memory, half_life)
            scorer = cls(len(arrays["origin"]), settings)
            for name in _ARRAYS:
                if arrays[name].shape != getattr(scorer, name).shape:
                    raise ValueError(f"{name} has shape {arrays[name].shape}")
                setattr(scorer, name, arrays[name])
        except (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
            raise StoreError(f"the state of the metric score in {path} cannot be read: {error}") from error
        return scorer


class Refractory:
    """Lets one score an event through: after a score of at least `level`, those of the next `points` become 0.

    Works on n series at once; a point that has no value (NaN) does not count as passed.
    """

    def __init__(self, series: int, level: float, points: int) -> None:
        self.level = level
        self.points = points
        self.left: Ints = np.zeros(series, np.int64)

    def take(self, scores: Floats) -> Floats:
        """Give the scores (n,) of one point with those that belong to an event already told set to 0."""
        known = np.isfinite(scores)
        quiet = self.left > 0
        told = np.where(known & ~quiet, scores, 0.0)
        self.left[known & quiet] -= 1
        self.left[told >= self.level] = self.points
        return told
