"""Whole machines: SMD and ASD, learnt from the official train part, then asked step after step in blocks.

Enters: the data sets `smd` and `asd`. Leaves: one split a machine; the later half of the train part is the validation
part. The two parts of smd were brought to 0..1 apart from each other, which models cannot know beforehand.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.data.cached import Steps, cached, series_steps, series_table
from watchkeeper.bench.scores.vus import buffer_length
from watchkeeper.datasets.read import read_members

STEP_S = {"asd": 300.0, "smd": 60.0}
BLOCK = 500
TRAIN, TEST, STEPS = "train", "test", "steps"
EVENTS = {"per_day": 0.5, "close_share": 0.25, "gap_s": 3600.0}
"""How incidents are opened and closed, and the budget of incidents a day on the validation part; chosen on asd."""
Floats = npt.NDArray[np.float64]


def blocks(name: str, values: Floats, truth: npt.NDArray[np.bool_]) -> tuple[Item, ...]:
    """Give the steps (T, metrics) as items of at most BLOCK steps."""
    return tuple(
        Item(f"{name} {at}", values[at : at + BLOCK], truth[at : at + BLOCK]) for at in range(0, len(values), BLOCK)
    )


def tables(name: str, folder: Path) -> dict[str, pa.Table]:
    """Give the machines in the order of their names; the steps of each part are counted from 0."""
    parts = []
    for member, data in sorted(read_members(name, folder, lambda each: each.endswith(".npz"))):
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            train, test = (np.asarray(archive[part], np.float64).T for part in (TRAIN, TEST))
            label = np.asarray(archive["test_label"]) > 0
        for part, values, true in ((TRAIN, train, np.zeros(len(train), bool)), (TEST, test, label)):
            parts.append(
                Steps(Path(member).stem, part, np.arange(len(values), dtype=np.float64) * STEP_S[name], values, true)
            )
    return {STEPS: series_table(parts)}


def machines(name: str, place: Place) -> Iterator[Split]:
    """Give one split a machine."""
    read = cached(name, (name,), place, partial(tables, name))[STEPS]
    for machine, parts in series_steps(read).items():
        train, test = parts[TRAIN], parts[TEST]
        half, metrics = len(train.values) // 2, train.values.shape[1]
        buffer_steps = buffer_length(test.values[:, 0])
        facts = {"step_s": STEP_S[name], "metrics": metrics, "buffer_steps": buffer_steps, **EVENTS}
        yield Split(
            machine,
            blocks("train", train.values[:half], train.anomalous[:half]),
            blocks("test", test.values, test.anomalous),
            blocks("validation", train.values[half:], train.anomalous[half:]),
            facts={**facts, "segment_before_test": True},
        )


_TASK = "anomaly-detection"
DATA = tuple(
    DataSpec(
        name, 1, _TASK, "series", about, (name,), partial(machines, name), "normal", headline="vus_pr", quick=quick
    )
    for name, about, quick in (
        ("smd", "5 server machines, 38 metrics a minute", False),
        ("asd", "8 application servers, 19 metrics at 5 minutes; variants of the product were chosen here", True),
    )
)
