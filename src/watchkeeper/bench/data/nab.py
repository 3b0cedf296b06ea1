"""NAB: 58 univariate series with labelled windows, the first 15 % to learn from, as the benchmark's probation.

Enters: the data set `nab`. Leaves: one split a series with a window after the probation. Scored by volume and events,
not by NAB's own score, which `python -m benchmarks nab` gives.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import numpy as np

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.machines import EVENTS, blocks
from watchkeeper.bench.scores.nab import probation
from watchkeeper.bench.scores.vus import buffer_length
from watchkeeper.datasets.read import read_members

STEP_S = 300.0
"""Most of the series have a point every five minutes; of the others delays are told as if they had."""


def splits(place: Place) -> Iterator[Split]:
    """Give the series in the order of their names."""
    content = dict(read_members("nab", place.data, lambda name: name.endswith((".csv", "combined_windows.json"))))
    [labels] = [json.loads(data) for name, data in content.items() if name.endswith("combined_windows.json")]
    for name in sorted(labels):
        [data] = [data for path, data in content.items() if path.endswith(f"data/{name}")]
        rows = list(csv.reader(io.StringIO(data.decode())))[1:]
        values = np.array([[float(row[1])] for row in rows])
        times = [row[0][:19] for row in rows]
        true = np.zeros(len(rows), bool)
        for begin, end in labels[name]:
            true[times.index(begin[:19]) : times.index(end[:19]) + 1] = True
        first = probation(len(rows))
        if not true[first:].any():
            continue
        half = first // 2
        facts = {"step_s": STEP_S, "metrics": 1, "buffer_steps": buffer_length(values[:, 0]), **EVENTS}
        yield Split(
            name,
            blocks("train", values[:half], true[:half]),
            blocks("test", values[first:], true[first:]),
            blocks("validation", values[half:first], true[half:first]),
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
