"""Metric points to readings: what each series says of its last interval, as one to four plain numbers.

Enters: an Arrow batch of metric points. Leaves: Readings, in order of arrival. Counters become rates a second,
histograms the rate, mean, median and 99th percentile of the interval; gauges stay as they are. Points that are late,
repeated, flagged as empty or not finite are left out and counted; a counter's first point after a restart says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.detect.metrics.histograms import Histograms
from watchkeeper.detect.metrics.sources import About, Sources

CHANNELS_MAX = 4
FUTURE_MAX_NS = 300_000_000_000
INTERVAL_S_MIN = 1e-3
FLAG_NO_VALUE = 1
TEMPORALITY_DELTA = 1
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Number = TypeVar("Number", np.int64, np.float64)


class Readings(NamedTuple):
    """k readings in order of arrival: slots (k,), times in Unix ns (k,), values (k, CHANNELS_MAX), NaN for nothing."""

    slots: Ints
    times: Ints
    values: Floats


class Points(NamedTuple):
    """Points of known series, sorted by slot and then by arrival; `first` marks the first of each slot."""

    slots: Ints
    rows: Ints
    times: Ints
    first: Flags

    def only(self, places: Ints) -> Points:
        """Give some of them."""
        return Points(self.slots[places], self.rows[places], self.times[places], self.first[places])


@dataclass
class Told:
    """How many points were left out, by reason."""

    late: int = 0
    empty: int = 0
    restarts: int = 0


def channels_of(kind: str, unit: str, *, monotonic: bool, delta: bool) -> tuple[tuple[str, str], ...]:
    """Give what a series of this kind says, as (aspect of it, unit); "" for the value itself.

    >>> channels_of("histogram", "s", monotonic=False, delta=True)
    (('rate', '1/s'), ('mean', 's'), ('p50', 's'), ('p99', 's'))
    """
    per_second = "1/s" if unit in {"", "1"} else f"{unit}/s"
    if kind in {"histogram", "exponential_histogram", "summary"}:
        return (("rate", "1/s"), ("mean", unit), ("p50", unit), ("p99", unit))
    if kind == "sum" and (monotonic or delta):
        return (("rate", per_second),)
    return (("", unit),)


def numbers(batch: pa.RecordBatch, name: str, missing: int = 0) -> Ints:
    """Give a column of whole numbers, `missing` where null."""
    column = batch.column(name)
    if column.null_count:
        column = pc.fill_null(column, missing)
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def floats(batch: pa.RecordBatch, name: str) -> Floats:
    """Give a column of numbers, NaN where null."""
    return np.asarray(batch.column(name).to_numpy(zero_copy_only=False), np.float64)


def words(batch: pa.RecordBatch, name: str) -> tuple[list[str], Ints]:
    """Give the distinct texts of a column and each row's place among them; null counts as ""."""
    column = batch.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    texts = [text or "" for text in column.dictionary.to_pylist()] + [""]
    codes = pc.fill_null(column.indices, len(texts) - 1).to_numpy(zero_copy_only=False)
    return texts, np.asarray(codes, np.int64)


def event_times(batch: pa.RecordBatch) -> Ints:
    """Give event times, those more than FUTURE_MAX_NS after receipt taken as received."""
    times, received = numbers(batch, "time_unix_ns"), numbers(batch, "received_unix_ns")
    return np.where((times > received + FUTURE_MAX_NS) & (received > 0), received, times)


def about(batch: pa.RecordBatch, row: int) -> About:
    """Give what is said of the series of a row."""
    said = {name: batch.column(name)[row].as_py() or "" for name in (*About._fields, "is_monotonic", "temporality")}
    kind = said["kind"]
    if kind == "sum":
        kind += ".monotonic" if said["is_monotonic"] else ""
        kind += ".delta" if said["temporality"] == TEMPORALITY_DELTA else ""
    return About(*(str(said[name]) if name != "kind" else kind for name in About._fields))


def read(batch: pa.RecordBatch, slots: Ints, sources: Sources, told: Told) -> tuple[Readings, Ints]:
    """Take a batch in; sources remember the newest point of each series. slots: (n,) of its rows, -1 to leave out.

    Gives the readings and the row (k,) of each.
    """
    points = _in_time(batch, slots, sources, told)
    values = np.full((len(points.slots), CHANNELS_MAX), np.nan)
    names, codes = words(batch, "kind")
    kinds = np.array([KINDS.index(name) if name in KINDS else -1 for name in names])[codes][points.rows]
    delta = numbers(batch, "temporality")[points.rows] == TEMPORALITY_DELTA
    starts = numbers(batch, "start_time_unix_ns")[points.rows]
    before = _before(points, points.times, sources.last_ns)
    known = ~points.first | (sources.last_ns[points.slots] > 0)
    begun = _before(points, starts, sources.start_ns)
    restarted = known & ~delta & (starts > 0) & (begun > 0) & (starts != begun) & (starts > before)
    since = np.where(delta & (starts > 0) & (starts < points.times), starts, before)
    interval = np.maximum((points.times - since) / 1e9, INTERVAL_S_MIN)
    usable = np.where(delta, known | (starts > 0), known & ~restarted)

    _numbers_of(batch, points, sources, kinds, delta, usable, interval, values, told)
    grouped = kinds >= KINDS.index("histogram")
    if grouped.any():
        histograms = Histograms(batch, sources.buckets)
        own = np.flatnonzero(grouped)
        chosen = points.only(own)
        count, total = floats(batch, "count")[chosen.rows], floats(batch, "sum")[chosen.rows]
        counted = np.where(delta[own], count, count - _before(chosen, count, sources.count))
        summed = np.where(delta[own], total, total - _before(chosen, total, sources.total))
        fell = ~delta[own] & (counted < 0)
        told.restarts += int((fell | restarted[own]).sum())
        good = usable[own] & ~fell
        values[own] = histograms.values(chosen, kinds[own], delta[own], good, counted, summed, interval[own])
        _remember(sources.count, chosen, count)
        _remember(sources.total, chosen, total)
    _remember(sources.start_ns, points, starts)
    _remember(sources.last_ns, points, points.times)
    values[~np.isfinite(values)] = np.nan
    order = np.argsort(points.rows, kind="stable")
    return Readings(points.slots[order], points.times[order], values[order]), points.rows[order]


def _in_time(batch: pa.RecordBatch, slots: Ints, sources: Sources, told: Told) -> Points:
    """Give the rows that are later than all before them of their series, and not marked as empty."""
    empty = (numbers(batch, "flags") & FLAG_NO_VALUE) > 0
    told.empty += int((empty & (slots >= 0)).sum())
    rows = np.flatnonzero((slots >= 0) & ~empty)
    rows = rows[np.argsort(slots[rows], kind="stable")]
    own, times = slots[rows], event_times(batch)[rows]
    if not len(rows):
        return Points(own, rows, times, np.empty(0, np.bool_))
    first = np.diff(own, prepend=-1) != 0
    group = np.cumsum(first) - 1
    base = int(times.min())
    span = int(times.max()) - base + 2
    newest = np.where(sources.last_ns[own[first]] > 0, sources.last_ns[own[first]], -1)
    if len(newest) <= (2**62) // span:
        ranked = group * span + (times - base + 1)
        floor = np.clip(newest - base + 1, 0, span - 1)[group] + group * span
        highest = np.maximum.accumulate(np.concatenate(([-1], ranked[:-1])))
        timely = ranked > np.maximum(np.where(first, -1, highest), floor)
        above = newest[group] >= int(times.max())
        timely &= ~above
    else:
        timely = _in_time_slowly(own, times, first, newest)
    told.late += int((~timely).sum())
    own, rows, times = own[timely], rows[timely], times[timely]
    return Points(own, rows, times, np.diff(own, prepend=-1) != 0)


def _in_time_slowly(own: Ints, times: Ints, first: Flags, newest: Ints) -> Flags:
    """Do the same where times lie too far apart for one running maximum."""
    timely = np.zeros(len(own), np.bool_)
    starts = np.flatnonzero(first).tolist()
    for begin, end, last in zip(starts, [*starts[1:], len(own)], newest.tolist(), strict=True):
        highest = np.maximum.accumulate(np.concatenate(([last], times[begin:end])))
        timely[begin:end] = times[begin:end] > highest[:-1]
    return timely


def _numbers_of(
    batch: pa.RecordBatch,
    points: Points,
    sources: Sources,
    kinds: Ints,
    delta: Flags,
    usable: Flags,
    interval: Floats,
    values: Floats,
    told: Told,
) -> None:
    """Fill in the values of gauges and sums."""
    plain = np.flatnonzero((kinds >= 0) & (kinds <= KINDS.index("sum")))
    if not len(plain):
        return
    doubles, ints = batch.column("value_double"), batch.column("value_int")
    numbers_in = (
        pc.coalesce(doubles, pc.cast(ints, pa.float64(), safe=False)) if ints.null_count < len(ints) else doubles
    )
    value = np.asarray(numbers_in.to_numpy(zero_copy_only=False), np.float64)[points.rows]
    told.empty += int((~np.isfinite(value[plain])).sum())
    monotonic = np.asarray(pc.fill_null(batch.column("is_monotonic"), False).to_numpy(zero_copy_only=False))
    rises = monotonic[points.rows] & (kinds == KINDS.index("sum"))
    rated = rises | (delta & (kinds == KINDS.index("sum")))
    gained = np.where(delta, value, value - _before(points, value, sources.value))
    fell = rises & ~delta & (gained < 0)
    told.restarts += int(fell.sum())
    with np.errstate(over="ignore", invalid="ignore"):
        rate = np.where(usable & ~fell, gained / interval, np.nan)
    values[plain, 0] = np.where(rated, rate, value)[plain]
    _remember(sources.value, points.only(plain), value[plain])


def _before(points: Points, now: npt.NDArray[Number], stored: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Give what the point before said: of this batch, or what is stored."""
    before = np.empty_like(now)
    before[1:] = now[:-1]
    first = points.first.copy()
    first[:1] = True
    first[1:] |= points.slots[1:] != points.slots[:-1]
    before[first] = stored[points.slots[first]]
    return before


def _remember(stored: npt.NDArray[Number], points: Points, now: npt.NDArray[Number]) -> None:
    """Store what the last point of each slot said; points are sorted by slot."""
    last = np.append(points.slots[1:] != points.slots[:-1], True)[: len(points.slots)]
    stored[points.slots[last]] = now[last]
