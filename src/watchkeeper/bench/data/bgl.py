"""BGL: windows of 50 event ids in time order (the last 20 % of the log), half or four fifths to learn from.

Enters: `bgl_windows_distillog`, and the templates of `ait_sequences`: event n is line n of them, from 1. Leaves: splits
by time. The windows have no times.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, SESSION_TEXTS, cached
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.datasets.read import read_members

SOURCE = "bgl_windows_distillog"
TEXTS = "ait_sequences"


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give the windows in the normal form; they have no times, so their number stands for it."""
    [(_, data)] = read_members(SOURCE, folder, lambda name: name.endswith("chronological_test.csv"))
    rows = list(csv.reader(io.StringIO(data.decode())))
    events = [np.array(row[0].split(), np.int64) for row in rows]
    window = np.repeat(np.arange(len(events)), [len(one) for one in events])
    lines = [pa.array(window), pa.array(np.concatenate(events)), pa.array(window.astype(np.float64))]
    numbers = pa.array(range(len(rows)), pa.int64())
    labels = [numbers, numbers.cast(pa.string()), pa.array([int(row[1]) == 1 for row in rows])]
    [(_, told)] = read_members(TEXTS, folder, lambda name: name.endswith("templates/BGL_templates.csv"))
    texts = told.decode().splitlines()
    return {
        "lines": pa.table(lines, schema=SESSION_LINES),
        "labels": pa.table(labels, schema=SESSION_LABELS),
        "texts": pa.table([range(1, len(texts) + 1), texts], schema=SESSION_TEXTS),
    }


def splits(place: Place, *, share: float, clean: bool, labelled: bool = False) -> Iterator[Split]:
    """Give the split by time."""
    read = cached("bgl_windows", (SOURCE, TEXTS), place, tables)
    table = SessionTable(read["lines"], read["labels"], read["texts"])
    return halves(table, share, clean=clean, labelled=labelled)


_TASK, _ABOUT = "anomaly-detection", "18,987 windows of 50 BGL events by time"
DATA = tuple(
    DataSpec(name, 1, _TASK, "sessions", f"{_ABOUT}, {about}", (SOURCE, TEXTS), made, labels, quick=quick, system="bgl")
    for name, about, made, labels, quick in (
        (
            "bgl",
            "normal ones of the first half to learn from",
            partial(splits, share=0.5, clean=True),
            "normal",
            True,
        ),
        (
            "bgl_unlabelled",
            "the first half to learn from, unlabelled",
            partial(splits, share=0.5, clean=False),
            "none",
            False,
        ),
        (
            "bgl_labelled",
            "the first half to learn from, labelled",
            partial(splits, share=0.5, clean=False, labelled=True),
            "full",
            False,
        ),
        (
            "bgl_four_fifths",
            "normal ones of the first 80 % to learn from",
            partial(splits, share=0.8, clean=True),
            "normal",
            False,
        ),
    )
)
