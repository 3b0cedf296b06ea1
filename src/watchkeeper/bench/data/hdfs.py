"""HDFS (loghub): sessions of block ids from 2 % of the raw lines, in order of time.

Enters: the data set `hdfs_2pct_raw`. Leaves: one split by time, the first half of the sessions to learn from: without
its anomalous sessions (`hdfs`), with them and without labels (`hdfs_unlabelled`), with all labels (`hdfs_labelled`), or
only the first 200 of the normal ones (`hdfs_little`). Templates are mined by the product's miner from the raw lines.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, SESSION_TEXTS, cached
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.miner import TemplateMiner

SOURCE = "hdfs_2pct_raw"
LITTLE = 200


def tables(folder: Path) -> dict[str, pa.Table]:
    """Mine the raw lines into the normal form."""
    content = {Path(name).name: data for name, data in read_members(SOURCE, folder, lambda name: ".parquet" in name)}
    events = parquet.read_table(io.BytesIO(content["hdfs_events_2percent.parquet"]))
    labels = parquet.read_table(io.BytesIO(content["hdfs_seqs_2percent.parquet"]))
    bodies = events.column("m_message").combine_chunks()
    miner = TemplateMiner()
    template = miner.match(bodies, pa.nulls(len(bodies), pa.int64())).to_numpy()
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
        "texts": texts_of(miner),
    }


def texts_of(miner: TemplateMiner) -> pa.Table:
    """Give what the templates of a miner say."""
    known = [(template.id, template.text) for template in miner.templates()]
    return pa.table([[each for each, _ in known], [text for _, text in known]], schema=SESSION_TEXTS)


def table(place: Place) -> SessionTable:
    """Give the sessions, mined once and then read from the cache."""
    read = cached("hdfs", (SOURCE,), place, tables)
    return SessionTable(read["lines"], read["labels"], read["texts"])


def normal_only(place: Place) -> Iterator[Split]:
    """Learn from the normal sessions of the first half."""
    return halves(table(place), clean=True)


def unlabelled(place: Place) -> Iterator[Split]:
    """Learn from the first half as it is."""
    return halves(table(place), clean=False)


def labelled(place: Place) -> Iterator[Split]:
    """Learn from the first half with its labels."""
    return halves(table(place), clean=False, labelled=True)


def little(place: Place) -> Iterator[Split]:
    """Learn from the first LITTLE normal sessions only; asked is what `normal_only` asks."""
    sessions = table(place)
    numbers = np.arange(len(sessions))
    half = len(numbers) // 2
    first = numbers[:half][~sessions.anomalous[:half]][:LITTLE]
    yield sessions.split("little and later", first, numbers[half:], clean=True)


_TASK, _ABOUT = "anomaly-detection", "11,501 sessions of raw HDFS lines by time"
DATA = tuple(
    DataSpec(name, 1, _TASK, "sessions", f"{_ABOUT}, {about}", (SOURCE,), splits, labels, quick=quick, system="hdfs")
    for name, about, splits, labels, quick in (
        ("hdfs", "half to learn from, normal ones only", normal_only, "normal", True),
        ("hdfs_unlabelled", "half to learn from, unlabelled", unlabelled, "none", False),
        ("hdfs_labelled", "half to learn from, labelled", labelled, "full", False),
        ("hdfs_little", f"{LITTLE} normal ones to learn from", little, "normal", False),
    )
)
