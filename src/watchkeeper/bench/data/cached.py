"""The normal form of data sets on disk: Parquet tables in the user's cache, made once.

Enters: a name, the catalogue's sets that it is made of, and a function that makes the tables. Leaves: the tables. The
checksums of the sets and the schema version are part of the folder's name, so what is stale is never read. Sessions
are SESSION_LINES, SESSION_LABELS and SESSION_TEXTS; rows, such as traces by call path, are one column each; series are
SERIES_STEPS and one column a metric.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from watchkeeper.bench.base import Place
from watchkeeper.datasets.catalogue import DATA_SETS

SCHEMA_VERSION = 2

SESSION_LINES = pa.schema([("session", pa.int64()), ("template", pa.int64()), ("time_s", pa.float64())])
"""Log lines in order: which session, which template, when."""
SESSION_LABELS = pa.schema([("session", pa.int64()), ("name", pa.string()), ("anomalous", pa.bool_())])
SESSION_TEXTS = pa.schema([("template", pa.int64()), ("text", pa.string())])
"""What the templates say, where the set tells it."""
SERIES_STEPS = pa.schema(
    [("machine", pa.string()), ("part", pa.string()), ("time_s", pa.float64()), ("anomalous", pa.bool_())]
)
"""A row a step, machine after machine, in order of time; the metrics are the columns after these, by number."""


class Steps(NamedTuple):
    """Some steps of one machine. part: as the set itself cuts. values: (T, metrics). anomalous: (T,)."""

    machine: str
    part: str
    times_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    anomalous: npt.NDArray[np.bool_]


def series_table(parts: Sequence[Steps]) -> pa.Table:
    """Give series as a table; all machines have the same metrics."""
    steps = [
        pa.array(np.repeat([each.machine for each in parts], [len(each.values) for each in parts])),
        pa.array(np.repeat([each.part for each in parts], [len(each.values) for each in parts])),
        pa.array(np.concatenate([each.times_s for each in parts])),
        pa.array(np.concatenate([each.anomalous for each in parts])),
    ]
    metrics = as_table(np.concatenate([each.values for each in parts]))
    return pa.table([*steps, *metrics.columns], names=[*SERIES_STEPS.names, *metrics.column_names])


def series_steps(table: pa.Table) -> dict[str, dict[str, Steps]]:
    """Give the steps by machine and part, machines in the order of the table."""
    values = matrix(table.drop_columns(SERIES_STEPS.names))
    times_s, anomalous = (table.column(name).to_numpy() for name in ("time_s", "anomalous"))
    named = [table.column(name).combine_chunks() for name in ("machine", "part")]
    ends = sorted({end for each in named for end in pc.run_end_encode(each).run_ends.to_pylist()})
    found: dict[str, dict[str, Steps]] = {}
    for begin, end in pairwise([0, *ends]):
        machine, part = (each[begin].as_py() for each in named)
        rows = slice(begin, end)
        found.setdefault(machine, {})[part] = Steps(machine, part, times_s[rows], values[rows], anomalous[rows])
    return found


def as_table(rows: npt.NDArray[np.float64]) -> pa.Table:
    """Give rows (n, d) as a table with one column each."""
    return pa.table({str(at): column for at, column in enumerate(np.ascontiguousarray(rows.T))})


def matrix(table: pa.Table) -> npt.NDArray[np.float64]:
    """Give a table of numbers as rows (n, d)."""
    return np.ascontiguousarray(np.array([column.to_numpy() for column in table.columns], np.float64).T)


def cached(
    name: str, sources: Sequence[str], place: Place, make: Callable[[Path], Mapping[str, pa.Table]]
) -> dict[str, pa.Table]:
    """Give the tables by name, from the cache or made and kept there; `make` is given the folder of data sets."""
    sums = "".join(DATA_SETS.get(each).sha256 for each in sources)
    folder = place.cache / f"{name}-{hashlib.sha256(f'{SCHEMA_VERSION}{sums}'.encode()).hexdigest()[:12]}"
    done = folder / "tables"
    if done.is_file():
        return {each: parquet.read_table(folder / f"{each}.parquet") for each in done.read_text().split()}
    tables = dict(make(place.data))
    folder.mkdir(parents=True, exist_ok=True)
    for each, table in tables.items():
        _write(folder / f"{each}.parquet", partial(parquet.write_table, table))
    _write(done, lambda part: part.write_text("\n".join(tables)))
    return tables


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then move: cells that make the same table at once do not disturb each other."""
    part = path.with_suffix(f".{os.getpid()}.part")
    write(part)
    part.replace(path)
