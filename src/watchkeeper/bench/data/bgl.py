"""BGL: windows of 50 event ids in time order (the last 20 % of the log), half or four fifths to learn from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, cached
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.datasets.read import read_members

SOURCE = "bgl_windows_distillog"


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give the windows in the normal form; they have no times, so their number stands for it."""
    [(_, data)] = read_members(SOURCE, folder, lambda name: name.endswith("chronological_test.csv"))
    rows = list(csv.reader(io.StringIO(data.decode())))
    events = [np.array(row[0].split(), np.int64) for row in rows]
    window = np.repeat(np.arange(len(events)), [len(one) for one in events])
    lines = [pa.array(window), pa.array(np.concatenate(events)), pa.array(window.astype(np.float64))]
    numbers = pa.array(range(len(rows)), pa.int64())
    labels = [numbers, numbers.cast(pa.string()), pa.array([int(row[1]) == 1 for row in rows])]
    return {"lines": pa.table(lines, schema=SESSION_LINES), "labels": pa.table(labels, schema=SESSION_LABELS)}


def splits(place: Place, *, share: float, clean: bool) -> Iterator[Split]:
    """Give the split by time."""
    read = cached("bgl_windows", (SOURCE,), place, tables)
    return halves(SessionTable(read["lines"], read["labels"]), share, clean=clean)


_TASK, _ABOUT = "anomaly-detection", "18,987 windows of 50 BGL events by time"
DATA = (
    DataSpec(
        "bgl",
        1,
        _TASK,
        "sessions",
        f"{_ABOUT}, normal ones of the first half to learn from",
        (SOURCE,),
        partial(splits, share=0.5, clean=True),
        "normal",
    ),
    DataSpec(
        "bgl_unlabelled",
        1,
        _TASK,
        "sessions",
        f"{_ABOUT}, the first half to learn from, unlabelled",
        (SOURCE,),
        partial(splits, share=0.5, clean=False),
        quick=False,
    ),
    DataSpec(
        "bgl_four_fifths",
        1,
        _TASK,
        "sessions",
        f"{_ABOUT}, normal ones of the first 80 % to learn from",
        (SOURCE,),
        partial(splits, share=0.8, clean=True),
        "normal",
        quick=False,
    ),
)
