"""HDFS (loghub): sessions of block ids from 2 % of the raw lines, in order of time.

Enters: the data set `hdfs_2pct_raw`. Leaves: one split by time, the first half of the sessions to learn from: once
without its anomalous sessions (`hdfs`), once with them and without labels (`hdfs_unlabelled`). Templates are mined by
the product's miner from the raw lines.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, cached
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.miner import TemplateMiner

SOURCE = "hdfs_2pct_raw"


def tables(folder: Path) -> dict[str, pa.Table]:
    """Mine the raw lines into the normal form."""
    content = {Path(name).name: data for name, data in read_members(SOURCE, folder, lambda name: ".parquet" in name)}
    events = parquet.read_table(io.BytesIO(content["hdfs_events_2percent.parquet"]))
    labels = parquet.read_table(io.BytesIO(content["hdfs_seqs_2percent.parquet"]))
    bodies = events.column("m_message").combine_chunks()
    template = TemplateMiner().match(bodies, pa.nulls(len(bodies), pa.int64())).to_numpy()
    encoded = events.column("seq_id").combine_chunks().dictionary_encode()
    time_s = events.column("m_timestamp").to_numpy().astype("datetime64[s]").astype(np.float64)
    anomalous = dict(zip(labels.column("seq_id").to_pylist(), labels.column("anomaly").to_pylist(), strict=True))
    names = encoded.dictionary.to_pylist()
    lines = [encoded.indices.cast(pa.int64()), pa.array(template, pa.int64()), pa.array(time_s)]
    told = [
        pa.array(range(len(names)), pa.int64()),
        pa.array(names),
        pa.array([bool(anomalous[each]) for each in names]),
    ]
    return {
        "lines": pa.table(lines, schema=SESSION_LINES),
        "labels": pa.table(told, schema=SESSION_LABELS),
    }


def table(place: Place) -> SessionTable:
    """Give the sessions, mined once and then read from the cache."""
    read = cached("hdfs", (SOURCE,), place, tables)
    return SessionTable(read["lines"], read["labels"])


def normal_only(place: Place) -> Iterator[Split]:
    """Learn from the normal sessions of the first half."""
    return halves(table(place), clean=True)


def unlabelled(place: Place) -> Iterator[Split]:
    """Learn from the first half as it is."""
    return halves(table(place), clean=False)


_TASK, _ABOUT = "anomaly-detection", "11,501 sessions of raw HDFS lines by time, half to learn from"
DATA = (
    DataSpec("hdfs", 1, _TASK, "sessions", f"{_ABOUT}, normal ones only", (SOURCE,), normal_only, "normal"),
    DataSpec("hdfs_unlabelled", 1, _TASK, "sessions", f"{_ABOUT}, unlabelled", (SOURCE,), unlabelled),
)
