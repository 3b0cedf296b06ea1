"""Labelled traces of Train Ticket as times by call path: half of the normal ones to learn from, five seeded draws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.data.cached import as_table, cached, matrix
from watchkeeper.datasets.read import read_members

SOURCE = "traceanomaly_trainticket"
SEEDS = range(100, 105)
BLOCK = 2_000
VALIDATION_SHARE = 0.2


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give normal and anomalous traces in the normal form of rows: one column a call path, 0 where there is none."""
    found = read_members(SOURCE, folder, lambda name: Path(name).name.startswith("test_"))
    return {Path(name).name: as_table(_vectors(data)) for name, data in found}


def splits(place: Place) -> Iterator[Split]:
    """Give one split a seed; the other half of the normal traces and all anomalous ones are asked about."""
    read = cached("traces", (SOURCE,), place, tables)
    normal, anomalous = (matrix(read[name]) for name in ("test_normal", "test_abnormal"))
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(normal))
        half = len(normal) // 2
        held = round(half * (1 - VALIDATION_SHARE))
        test = np.concatenate([normal[order[half:]], anomalous])
        truth = np.arange(len(test)) >= len(normal) - half
        mixed = np.random.default_rng(seed).permutation(len(test))
        yield Split(
            f"draw {seed}",
            _items(normal[order[:held]]),
            _items(test[mixed], truth[mixed]),
            _items(normal[order[held:half]]),
            facts={"clean": True, "budget": 0.005, "redrawn": True},
        )


def _items(vectors: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_] | None = None) -> tuple[Item, ...]:
    told = np.zeros(len(vectors), bool) if truth is None else truth
    return tuple(
        Item(f"traces {at}", vectors[at : at + BLOCK], told[at : at + BLOCK]) for at in range(0, len(vectors), BLOCK)
    )


def _vectors(data: bytes) -> npt.NDArray[np.float64]:
    rows = [line.partition(":")[2] for line in data.decode("ascii").splitlines() if ":" in line]
    return np.array([np.fromstring(row, sep=",") for row in rows])


DATA = (
    DataSpec(
        "traces",
        1,
        "anomaly-detection",
        "vectors",
        "Train Ticket traces by call path, half of the normal to learn from",
        (SOURCE,),
        splits,
        "normal",
    ),
)
