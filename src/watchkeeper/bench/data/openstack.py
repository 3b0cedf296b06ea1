"""OpenStack: raw nova-compute lines by instance, labelled by the lists of Landauer et al. (AIT).

Enters: `openstack_mixed` (the lines of three recordings; they have no times, so the number of a line stands for it) and
`ait_sequences` (which instances are anomalous). Leaves: one split: the normal instances of the first half of the mixed
recording to learn from, its second half and the two recordings of faults to be asked about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from watchkeeper.bench.base import DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES, cached
from watchkeeper.bench.data.hdfs import texts_of
from watchkeeper.bench.data.sessions import SessionTable
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.miner import TemplateMiner

SOURCES = ("openstack_mixed", "ait_sequences")
MIXED = "nova-sample.log"
_INSTANCE = re.compile(r"\[instance: (?P<id>[0-9a-f-]{36})\]\s*(?P<message>.*)")


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give the lines that name an instance, in the order of the recordings, the mixed one first."""
    recordings = dict(read_members(SOURCES[0], folder, lambda name: name.endswith(".log")))
    lists = dict(read_members(SOURCES[1], folder, lambda name: "openstack_parisakalaki/" in name))
    anomalous = {
        row.partition(",")[0]: name.endswith("abnormal")
        for name, data in lists.items()
        for row in data.decode().splitlines()
    }
    ordered = sorted(recordings, key=lambda name: (not name.endswith(MIXED), name))
    text = "\n".join(recordings[name].decode("utf-8", "replace") for name in ordered)
    found = [line for line in _INSTANCE.finditer(text) if line["id"] in anomalous]
    codes = {name: at for at, name in enumerate(dict.fromkeys(line["id"] for line in found))}
    mixed = {line["id"] for line in _INSTANCE.finditer(recordings[ordered[0]].decode("utf-8", "replace"))}
    miner = TemplateMiner()
    template = miner.match(pa.array([line["message"] for line in found]), pa.nulls(len(found), pa.int64()))
    session = pa.array([codes[line["id"]] for line in found], pa.int64())
    clock = pa.array(np.arange(len(found), dtype=np.float64))
    names = list(codes)
    return {
        "lines": pa.table([session, template, clock], schema=SESSION_LINES),
        "labels": pa.table([range(len(names)), names, [anomalous[name] for name in names]], schema=SESSION_LABELS),
        "texts": texts_of(miner),
        "mixed": pa.table({"sessions": [len(mixed)]}),
    }


def splits(place: Place) -> Iterator[Split]:
    """Give the one split."""
    read = cached("openstack", SOURCES, place, tables)
    table = SessionTable(read["lines"], read["labels"], read["texts"])
    half = read["mixed"].column("sessions")[0].as_py() // 2
    numbers = np.arange(len(table))
    yield table.split("earlier and later", numbers[:half], numbers[half:], clean=True)


DATA = (
    DataSpec(
        "openstack",
        1,
        "anomaly-detection",
        "sessions",
        "1,558 instances of raw nova lines, normal ones of the first 581 to learn from",
        SOURCES,
        splits,
        "normal",
        quick=False,
        system="openstack",
    ),
)
