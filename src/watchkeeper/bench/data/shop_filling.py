"""Memories of the example shop that fill up, as recorded here: leaks until a limit, and growth that stops below it.

Enters: `shop_filling` in the folder of data sets, made by `watchkeeper bench record --capacity`. Leaves: one split
without a part to learn from: each course asked about again and again on its way, until its limit is reached. When that
was is read from the same metric that models see. A memory that was to fill up and did not get there in its round is
left out: nobody knows when it would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import BenchError, DataSpec, Item, Place, Split
from watchkeeper.bench.cases.base import NS_PER_S
from watchkeeper.bench.cases.filling import FILLS, MemoryCourse, read_courses
from watchkeeper.bench.cases.recording import FILLING, HOME
from watchkeeper.bench.data.wear import Left
from watchkeeper.bench.forms import Filling
from watchkeeper.bench.own.home import at_rest, opened_copy
from watchkeeper.store.reads.base import TimeRange, rows
from watchkeeper.store.store import Store

METRIC = "process.memory.usage"
HORIZON_S = 300.0
ASKED = tuple(round(0.15 + 0.1 * at, 2) for at in range(9))
"""When it is asked, as shares of a round."""
POINTS_MIN = 5


def _splits(place: Place) -> Iterator[Split]:
    folder = place.data / FILLING
    told = read_courses(folder)
    items: list[Item] = []
    with at_rest(folder / HOME) as home, opened_copy(home) as store:
        for course in told.courses:
            items += _askings(course, *_memory(store, course), told.above_bytes)
    yield Split("recorded courses", (), tuple(items), facts={"horizon_s": HORIZON_S})


def _memory(store: Store, course: MemoryCourse) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Give times and bytes held in the course of a service, as they were stored."""
    within = TimeRange(*course.span)
    found = rows(
        store,
        """SELECT time_unix_ns, coalesce(value_double, value_int::DOUBLE) AS value FROM metrics
           WHERE time_unix_ns >= ? AND time_unix_ns < ? AND service = ? AND name = ? ORDER BY time_unix_ns""",
        [*within, course.service, METRIC],
        within=within,
    )
    if len(found) < POINTS_MIN:
        raise BenchError(f"the recording holds {len(found)} points of {METRIC} of {course.id}; record it anew")
    times = np.array([row["time_unix_ns"] for row in found], np.int64)
    return times, np.array([row["value"] for row in found], np.float64)


def _askings(
    course: MemoryCourse, times: npt.NDArray[np.int64], values: npt.NDArray[np.float64], above_bytes: float
) -> Iterator[Item]:
    limit = float(values[0]) + above_bytes
    reached = np.flatnonzero(values >= limit)
    if course.shape == FILLS and not len(reached):
        return
    end = int(times[reached[0]]) if len(reached) else course.end_unix_ns
    for share in ASKED:
        now = course.begin_unix_ns + round(share * (course.end_unix_ns - course.begin_unix_ns))
        known = times <= now
        if now >= end or known.sum() < POINTS_MIN:
            continue
        left_s = (end - int(times[known][-1])) / NS_PER_S if len(reached) else math.inf
        ahead = 1.0 - (now - course.begin_unix_ns) / (end - course.begin_unix_ns)
        yield Item(
            f"{course.id} {course.shape} at {share:.0%}",
            Filling(times[known], values[known], limit, HORIZON_S),
            Left(course.id, left_s, ahead),
        )


DATA = (
    DataSpec(
        "shop",
        1,
        "failure-prediction",
        "filling",
        "memories of the example shop as recorded here, some of which fill up",
        (),
        _splits,
        quick=False,
        headline="balanced",
        system="example_shop",
        recorded=FILLING,
    ),
)
