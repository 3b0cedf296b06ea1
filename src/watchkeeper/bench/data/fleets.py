"""Fleets: what was known of each part on the first of each month, and whether it failed soon after.

Enters: the data sets `titan_gpu` and `backblaze_sample`. Leaves: for Titan one split a quarter from 2017 on, each with
all months before whose failures were known when it began (2014 to 2016 were there to choose models by); for the drives,
which are a hand-picked and biased sample, folds of whole drives, to prove the adapter and never as a headline.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute, parquet

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import titan
from watchkeeper.bench.data.cached import cached
from watchkeeper.datasets.read import open_member
from watchkeeper.diagnose.category.folds import stratified_folds
from watchkeeper.diagnose.risk.fleet import DAY_S, Fleet, known_at

HORIZON_DAYS = 30
FIRST, SCORED_FROM, END = (2014, 4), (2017, 1), (2019, 8)
"""The first month of rows, the first month that is scored, and the month in which the history ends."""
TITAN_RULES = {"age": "days_since_first_installed", "past": ("own_failures_dbe", "own_failures_otb")}
"""The columns that the trivial rules of thumb look at."""
DRIVE_RULES = {"age": "smart_9_raw", "past": ("smart_5_raw", "smart_197_raw")}
TITAN_CELL_S = 1_800.0
"""Eleven quarters, each learned anew with each seed, take longer than a suite gives a cell."""
DRIVE_DAYS = 7
FOLDS = 5


class Fate(NamedTuple):
    """What came of each row (n,): whether it failed in time, the number of its part, and days until it failed (NaN)."""

    failed: npt.NDArray[np.bool_]
    part: npt.NDArray[np.int64]
    days_left: npt.NDArray[np.float64]

    def of(self, rows: slice) -> Fate:
        """Give the fate of some rows."""
        return Fate(self.failed[rows], self.part[rows], self.days_left[rows])


def month_s(year: int, month: int) -> float:
    """Give unix seconds of the first of a month; months may go beyond 12."""
    return datetime.datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1, tzinfo=datetime.UTC).timestamp()


def rows_of(fleet: Fleet, moment_s: float) -> pa.Table:
    """Give what is known at a moment and what came of it within HORIZON_DAYS, as columns."""
    known = known_at(fleet, moment_s)
    coming = np.full(len(fleet.made_s), np.inf)
    later = fleet.failed_s > moment_s
    np.minimum.at(coming, fleet.failed_part[later], fleet.failed_s[later])
    days = (coming[known.part] - moment_s) / DAY_S
    told = {
        "moment_s": np.full(len(known.part), moment_s),
        "part": known.part,
        "failed": days <= HORIZON_DAYS,
        "days_left": np.where(days <= HORIZON_DAYS, days, np.nan),
    }
    return pa.table({**told, **dict(zip(known.columns, known.rows.T, strict=True))})


def _titan_tables(folder: Path) -> Mapping[str, pa.Table]:
    fleet = titan.fleet(folder)
    months = (END[0] - FIRST[0]) * 12 + END[1] - FIRST[1]
    return {"rows": pa.concat_tables([rows_of(fleet, month_s(FIRST[0], FIRST[1] + at)) for at in range(months)])}


def _titan(place: Place) -> Iterator[Split]:
    table = cached("titan_months", ("titan_gpu",), place, _titan_tables)["rows"]
    moment = table.column("moment_s").to_numpy()
    fate = Fate(*(table.column(name).to_numpy() for name in ("failed", "part", "days_left")))
    names = table.column_names[4:]
    rows = np.empty((len(table), len(names)), np.float32)
    for at, name in enumerate(names):
        rows[:, at] = table.column(name).to_numpy()
    begins = np.flatnonzero(np.diff(moment, prepend=-np.inf))
    blocks = [slice(a, b) for a, b in zip(begins, np.append(begins[1:], len(moment)), strict=True)]
    facts = {"columns": tuple(names), "horizon_days": HORIZON_DAYS, **TITAN_RULES}
    months = (END[0] - SCORED_FROM[0]) * 12 + END[1] - SCORED_FROM[1]
    for at in range(0, months, 3):
        begin_s = month_s(SCORED_FROM[0], SCORED_FROM[1] + at)
        end_s = month_s(SCORED_FROM[0], SCORED_FROM[1] + min(at + 3, months))
        train = [each for each in blocks if moment[each.start] + HORIZON_DAYS * DAY_S <= begin_s]
        test = [each for each in blocks if begin_s <= moment[each.start] < end_s]
        yield Split(
            _day(begin_s),
            tuple(Item(_day(moment[each.start]), rows[each], fate.failed[each]) for each in train),
            tuple(Item(_day(moment[each.start]), rows[each], fate.of(each)) for each in test),
            labelled=True,
            facts=facts,
        )


def _day(moment_s: float) -> str:
    return datetime.datetime.fromtimestamp(float(moment_s), datetime.UTC).date().isoformat()


def _drives(place: Place) -> Iterator[Split]:
    with open_member("backblaze_sample", "backblaze_sample.parquet", place.data) as stream:
        table = parquet.read_table(pa.BufferReader(stream.read())).sort_by([("date", "ascending")])
    names = [name for name in table.column_names if name.startswith(("smart_", "has_"))]
    rows = np.stack([_filled(table.column(name)) for name in names], axis=1)
    failed = _filled(table.column("failure_next_7d")) > 0
    serials = table.column("serial_number").to_numpy(zero_copy_only=False).astype(str)
    part = np.unique(serials, return_inverse=True)[1].reshape(-1).astype(np.int64)
    days_left = np.where(failed, _filled(table.column("days_to_failure")), np.nan)
    facts = {"columns": tuple(names), "horizon_days": DRIVE_DAYS, **DRIVE_RULES}
    ever = np.bincount(part, failed) > 0
    folds = stratified_folds([str(each) for each in ever], FOLDS, seed=0)
    for fold in np.unique(folds):
        test, learned = np.flatnonzero(folds[part] == fold), np.flatnonzero(folds[part] != fold)
        yield Split(
            f"drives {fold}",
            (Item("other drives", rows[learned], failed[learned]),),
            (Item(f"drives {fold}", rows[test], Fate(failed[test], part[test], days_left[test])),),
            labelled=True,
            facts=facts,
        )


def _filled(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Give numbers, -1 where there is none."""
    return np.asarray(compute.fill_null(column.cast(pa.float64()), -1.0).to_numpy(), np.float64)


_TITAN = "18,000 GPUs month by month, failures within 30 days, learnt anew each quarter"
_DRIVES = "hand-picked drive-days, failures within 7 days: proves the adapter, no headline"
DATA = (
    DataSpec(
        "titan_gpu",
        1,
        "failure-prediction",
        "rows",
        _TITAN,
        ("titan_gpu",),
        _titan,
        "full",
        quick=False,
        cell_s=TITAN_CELL_S,
    ),
    DataSpec("backblaze", 1, "failure-prediction", "rows", _DRIVES, ("backblaze_sample",), _drives, "full"),
    DataSpec(
        "titan_gpu",
        1,
        "failure-prevention",
        "rows",
        "which GPUs to drain each month under a budget",
        ("titan_gpu",),
        _titan,
        "full",
        headline="averted_1pct",
        quick=False,
        cell_s=TITAN_CELL_S,
    ),
)
