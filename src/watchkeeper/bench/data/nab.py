"""NAB: 58 univariate series with labelled windows, the first 15 % to learn from, as the benchmark's probation.

Enters: the data set `nab`. Leaves: one split a series with a window after the probation. Scored by volume and events,
not by NAB's own score, which `python -m benchmarks nab` gives.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import Steps, cached, series_steps, series_table
from watchkeeper.bench.data.machines import EVENTS, STEPS, TEST, TRAIN, blocks
from watchkeeper.bench.scores.nab import probation
from watchkeeper.bench.scores.vus import buffer_length
from watchkeeper.datasets.read import read_members

STEP_S = 300.0
"""Most of the series have a point every five minutes; of the others delays are told as if they had."""


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give the series in the order of their names; what is under probation is the part to learn from."""
    content = dict(read_members("nab", folder, lambda name: name.endswith((".csv", "combined_windows.json"))))
    [labels] = [json.loads(data) for name, data in content.items() if name.endswith("combined_windows.json")]
    parts = []
    for name in sorted(labels):
        [data] = [data for path, data in content.items() if path.endswith(f"data/{name}")]
        rows = list(csv.reader(io.StringIO(data.decode())))[1:]
        values = np.array([[float(row[1])] for row in rows])
        times = [row[0][:19] for row in rows]
        true = np.zeros(len(rows), bool)
        for begin, end in labels[name]:
            true[times.index(begin[:19]) : times.index(end[:19]) + 1] = True
        told_s = np.array(times, "datetime64[s]").astype(np.float64)
        first = probation(len(rows))
        for part, those in ((TRAIN, slice(first)), (TEST, slice(first, None))):
            parts.append(Steps(name, part, told_s[those], values[those], true[those]))
    return {STEPS: series_table(parts)}


def splits(place: Place) -> Iterator[Split]:
    """Give one split a series that has a window after the probation."""
    for name, parts in series_steps(cached("nab", ("nab",), place, tables)[STEPS]).items():
        train, test = parts[TRAIN], parts[TEST]
        if not test.anomalous.any():
            continue
        half = len(train.values) // 2
        whole = np.concatenate([train.values, test.values])[:, 0]
        facts = {"step_s": STEP_S, "metrics": 1, "buffer_steps": buffer_length(whole), **EVENTS}
        yield Split(
            name,
            blocks("train", train.values[:half], train.anomalous[:half]),
            blocks("test", test.values, test.anomalous),
            blocks("validation", train.values[half:], train.anomalous[half:]),
            facts=facts,
        )


DATA = (
    DataSpec(
        "nab",
        1,
        "anomaly-detection",
        "series",
        "univariate series, 15 % to learn from",
        ("nab",),
        splits,
        quick=False,
        headline="vus_pr",
    ),
)
