"""HDFS (loghub), all 575,059 sessions as sequences of event ids, and the distinct ones among them.

Enters: `hdfs_full_sequences`, which has lost the order of time. Leaves, in five seeded draws: `hdfs_full`, 1 % of the
normal sessions to learn from and all others to be asked about; `hdfs_distinct`, one session for each distinct vector
of counts, half of the normal ones to learn from, so that nothing that is asked about was learned from.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, SESSION_TEXTS, cached
from watchkeeper.bench.data.sessions import SessionTable
from watchkeeper.datasets.read import read_members

SOURCE = "hdfs_full_sequences"
PARTS = ("robust_log_test.csv", "robust_log_train.csv")
SEEDS = range(100, 105)
FULL_SHARE, DISTINCT_SHARE = 0.01, 0.5


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give sessions, labels and texts; the number of a session stands for its time. The third part is within these."""
    found = {Path(name).name: data for name, data in read_members(SOURCE, folder, lambda name: name.endswith(".csv"))}
    rows = pa.concat_tables([pacsv.read_csv(io.BytesIO(found[part])) for part in PARTS])
    lists = pc.split_pattern(rows.column(0).combine_chunks(), " ")
    session = pc.list_parent_indices(lists).cast(pa.int64())
    events = pc.list_flatten(lists).cast(pa.int64())
    numbers = pa.array(range(rows.num_rows), pa.int64())
    labels = [numbers, numbers.cast(pa.string()), pc.equal(rows.column(1).combine_chunks(), 1)]
    texts = found["HDFS_templates_ait.csv"].decode().splitlines()
    return {
        "lines": pa.table([session, events, session.cast(pa.float64())], schema=SESSION_LINES),
        "labels": pa.table(labels, schema=SESSION_LABELS),
        "texts": pa.table([range(1, len(texts) + 1), texts], schema=SESSION_TEXTS),
    }


def distinct(folder: Path) -> dict[str, pa.Table]:
    """Give the first session of each distinct vector of counts; it is anomalous when most of its like are."""
    every = tables(folder)
    session, template = (every["lines"].column(at).to_numpy() for at in (0, 1))
    anomalous = every["labels"].column("anomalous").to_numpy(zero_copy_only=False)
    width = int(template.max()) + 1
    counts = np.bincount(session * width + template, minlength=len(anomalous) * width).reshape(-1, width)
    odd = np.random.default_rng(0).integers(1, 2**62, width) | 1  # a sum by odd weights stands for a vector of counts
    _, first, which = np.unique(counts @ odd, return_index=True, return_inverse=True)
    share = np.bincount(which, weights=anomalous) / np.bincount(which)
    kept = np.isin(session, first)
    names = [str(each) for each in first]
    return {
        "lines": every["lines"].filter(pa.array(kept)),
        "labels": pa.table([first, names, share > 0.5], schema=SESSION_LABELS),
        "texts": every["texts"],
    }


def full_splits(place: Place) -> Iterator[Split]:
    """Give five draws of all sessions."""
    return _drawn(cached("hdfs_full", (SOURCE,), place, tables), FULL_SHARE)


def distinct_splits(place: Place) -> Iterator[Split]:
    """Give five draws of the distinct ones."""
    return _drawn(cached("hdfs_distinct", (SOURCE,), place, distinct), DISTINCT_SHARE)


def _drawn(read: dict[str, pa.Table], share: float) -> Iterator[Split]:
    table = SessionTable(read["lines"], read["labels"], read["texts"])
    numbers = np.arange(len(table))
    normal = numbers[~table.anomalous]
    for seed in SEEDS:
        train = np.random.default_rng(seed).choice(normal, round(share * len(normal)), replace=False)
        test = np.setdiff1d(numbers, train)
        yield table.split(f"draw {seed}", train, test, clean=True, in_time=False, redrawn=True)


DATA = tuple(
    DataSpec(name, 1, "anomaly-detection", "sessions", about, (SOURCE,), splits, "normal", quick=quick, system="hdfs")
    for name, about, splits, quick in (
        ("hdfs_full", "all 575,059 sessions, 1 % of the normal to learn from, five draws", full_splits, False),
        ("hdfs_distinct", "594 distinct vectors of counts, half of the normal to learn from", distinct_splits, False),
    )
)
