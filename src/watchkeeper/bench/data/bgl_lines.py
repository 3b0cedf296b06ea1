"""BGL, the first two days as raw lines: windows of 50 lines in order of time, anomalous when one is an alert.

Enters: the data set `bgl_100k_raw`. Leaves: one split by time, normal windows of the first half to learn from. The
product's miner mines templates from what follows the fixed fields; the alert label at the head of a line is truth only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, cached
from watchkeeper.bench.data.hdfs import texts_of
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.miner import TemplateMiner

SOURCE = "bgl_100k_raw"
WINDOW_LINES = 50
_LABEL, _CLOCK, _MESSAGE = 0, 1, 9


def tables(folder: Path) -> dict[str, pa.Table]:
    """Mine the lines into windows."""
    [(_, data)] = read_members(SOURCE, folder, lambda name: name.endswith("bgl2_100k.log"))
    fields = [line.split(" ", _MESSAGE) for line in data.decode("utf-8", "replace").splitlines()]
    alert = np.array([one[_LABEL] != "-" for one in fields])
    messages = pa.array([one[_MESSAGE] if len(one) > _MESSAGE else "" for one in fields])
    miner = TemplateMiner()
    template = miner.match(messages, pa.nulls(len(messages), pa.int64()))
    window = np.arange(len(fields)) // WINDOW_LINES
    count = int(window[-1]) + 1
    anomalous = np.bincount(window, weights=alert, minlength=count) > 0
    clock = pa.array([float(one[_CLOCK]) for one in fields])
    return {
        "lines": pa.table([window, template, clock], schema=SESSION_LINES),
        "labels": pa.table([range(count), [str(each) for each in range(count)], anomalous], schema=SESSION_LABELS),
        "texts": texts_of(miner),
    }


def splits(place: Place) -> Iterator[Split]:
    """Give the split by time."""
    read = cached("bgl_lines", (SOURCE,), place, tables)
    return halves(SessionTable(read["lines"], read["labels"], read["texts"]), clean=True)


DATA = (
    DataSpec(
        "bgl_lines",
        1,
        "anomaly-detection",
        "sessions",
        "2,000 windows of 50 raw BGL lines by time, normal ones of the first half to learn from",
        (SOURCE,),
        splits,
        "normal",
        system="bgl",
    ),
)
