"""Histogram, exponential histogram and summary points to rate, mean, median and 99th percentile of their interval.

Enters: the points of a batch and the bucket counts of each series' point before. Leaves: values (k, 4). Quantiles and
means of few observations are left out: two requests say nothing of a 99th percentile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.detect.metrics import buckets

if TYPE_CHECKING:
    from watchkeeper.detect.metrics.readings import Points

OBSERVATIONS_MIN = 10
SHARES = (0.5, 0.99)
HISTOGRAM, EXPONENTIAL, SUMMARY = 2, 3, 4

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Histograms:
    """Reads one batch. before: bucket counts of each slot's newest point, which `values` keeps up to date."""

    def __init__(self, batch: pa.RecordBatch, before: dict[int, Floats]) -> None:
        self._batch = batch
        self._before = before

    def values(
        self,
        points: Points,
        kinds: Ints,
        delta: Flags,
        usable: Flags,
        counted: Floats,
        summed: Floats,
        interval: Floats,
    ) -> Floats:
        """Give rate, mean, p50 and p99 (k, 4). counted, summed: gained in the interval."""
        values = np.full((len(kinds), 4), np.nan)
        enough = usable & (counted >= OBSERVATIONS_MIN)
        values[usable, 0] = counted[usable] / interval[usable]
        values[enough, 1] = summed[enough] / counted[enough]
        explicit = np.flatnonzero(kinds == HISTOGRAM)
        if len(explicit):
            self._explicit(points, explicit, delta, enough, values)
        for place in np.flatnonzero(kinds == EXPONENTIAL).tolist():
            self._exponential(points, place, values, delta=bool(delta[place]), enough=bool(enough[place]))
        for place in np.flatnonzero((kinds == SUMMARY) & enough).tolist():
            self._summary(int(points.rows[place]), values[place])
        return values

    def _explicit(self, points: Points, places: Ints, delta: Flags, enough: Flags, values: Floats) -> None:
        counts, count_ends = _lists(self._batch.column("bucket_counts"))
        bounds, bound_ends = _lists(self._batch.column("explicit_bounds"))
        rows = points.rows[places]
        sizes = count_ends[rows + 1] - count_ends[rows]
        fits = (bound_ends[rows + 1] - bound_ends[rows] == sizes - 1) & (sizes > 1)
        for size in np.unique(sizes[fits]).tolist():
            own = places[fits & (sizes == size)]
            at = points.rows[own]
            now = counts[count_ends[at][:, None] + np.arange(size)]
            edges = bounds[bound_ends[at][:, None] + np.arange(size - 1)]
            gained = now.copy()
            slots = points.slots[own]
            follows = np.append(False, slots[1:] == slots[:-1])
            for place in np.flatnonzero(~delta[own]).tolist():
                before = now[place - 1] if follows[place] else self._before.get(int(slots[place]))
                gained[place] = now[place] - before if before is not None and len(before) == size else np.nan
            last = np.append(slots[1:] != slots[:-1], True)
            for place in np.flatnonzero(last & ~delta[own]).tolist():
                self._before[int(slots[place])] = now[place]
            sound = enough[own] & (gained >= 0).all(axis=1)
            values[own[sound], 2:] = buckets.quantiles(gained[sound], edges[sound], SHARES)

    def _exponential(self, points: Points, place: int, values: Floats, *, delta: bool, enough: bool) -> None:
        row, slot = int(points.rows[place]), int(points.slots[place])
        said = {
            name: self._batch.column(name)[row].as_py()
            for name in (
                "scale",
                "zero_count",
                "positive_offset",
                "positive_bucket_counts",
                "negative_offset",
                "negative_bucket_counts",
            )
        }
        now = _Exponential(
            int(said["scale"] or 0),
            float(said["zero_count"] or 0),
            int(said["positive_offset"] or 0),
            np.array(said["positive_bucket_counts"] or [], np.float64),
            int(said["negative_offset"] or 0),
            np.array(said["negative_bucket_counts"] or [], np.float64),
        )
        gained: _Exponential | None = now
        if not delta:
            before = self._before.get(slot)
            gained = now.minus(_Exponential.unpacked(before)) if before is not None else None
            self._before[slot] = now.packed()
        if not enough or gained is None:
            return
        counts, bounds = buckets.exponential(
            gained.scale, gained.zero, gained.up_offset, gained.up, gained.down_offset, gained.down
        )
        values[place, 2:] = buckets.quantiles(counts[None], bounds[None], SHARES)[0]

    def _summary(self, row: int, values: Floats) -> None:
        shares = self._batch.column("quantiles")[row].as_py() or []
        said = self._batch.column("quantile_values")[row].as_py() or []
        for place, wanted in enumerate(SHARES, 2):
            near = [value for share, value in zip(shares, said, strict=False) if abs(share - wanted) < 0.011]
            if near:
                values[place] = near[0]


class _Exponential:
    """The counts of an exponential histogram."""

    def __init__(self, scale: int, zero: float, up_offset: int, up: Floats, down_offset: int, down: Floats) -> None:
        self.scale, self.zero = scale, zero
        self.up_offset, self.up, self.down_offset, self.down = up_offset, up, down_offset, down

    def packed(self) -> Floats:
        head = [self.scale, self.zero, self.up_offset, len(self.up), self.down_offset]
        return np.concatenate((np.array(head, np.float64), self.up, self.down))

    @classmethod
    def unpacked(cls, data: Floats) -> _Exponential:
        ups = int(data[3])
        return cls(int(data[0]), float(data[1]), int(data[2]), data[5 : 5 + ups], int(data[4]), data[5 + ups :])

    def minus(self, before: _Exponential) -> _Exponential | None:
        """Give what was gained since; None when it cannot be told or something fell."""
        finer = before.scale - self.scale
        if finer < 0:
            return None
        up = _gained(self.up_offset, self.up, *_coarser(before.up_offset, before.up, finer))
        down = _gained(self.down_offset, self.down, *_coarser(before.down_offset, before.down, finer))
        if up is None or down is None or self.zero < before.zero:
            return None
        return _Exponential(self.scale, self.zero - before.zero, self.up_offset, up, self.down_offset, down)


def _coarser(offset: int, counts: Floats, steps: int) -> tuple[int, Floats]:
    """Merge buckets until the scale is `steps` lower."""
    if not len(counts) or steps == 0:
        return offset, counts
    places = (np.arange(offset, offset + len(counts)) >> steps) - (offset >> steps)
    return offset >> steps, np.bincount(places, counts).astype(np.float64)


def _gained(offset: int, now: Floats, before_offset: int, before: Floats) -> Floats | None:
    held = np.flatnonzero(before)
    places = held + before_offset - offset
    if len(places) and (places.min() < 0 or places.max() >= len(now)):
        return None
    gained = now.copy()
    gained[places] -= before[held]
    return gained if (gained >= 0).all() else None


def _lists(column: pa.Array) -> tuple[Floats, Ints]:
    """Give the values of a list column one after another, and where each row's begin (n + 1,)."""
    values = np.asarray(column.values.to_numpy(zero_copy_only=False), np.float64)
    return values, np.asarray(column.offsets.to_numpy(zero_copy_only=False), np.int64)
