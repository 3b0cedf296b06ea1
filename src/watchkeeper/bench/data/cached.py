"""The normal form of data sets on disk: Parquet tables in the user's cache, made once.

Enters: a name, the catalogue's sets that it is made of, and a function that makes the tables. Leaves: the tables. The
checksums of the sets and the schema version are part of the folder's name, so what is stale is never read. Sessions
are SESSION_LINES, SESSION_LABELS and SESSION_TEXTS; rows are one column each.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from watchkeeper.bench.base import Place
from watchkeeper.datasets.catalogue import DATA_SETS

SCHEMA_VERSION = 2

SESSION_LINES = pa.schema([("session", pa.int64()), ("template", pa.int64()), ("time_s", pa.float64())])
"""Log lines in order: which session, which template, when."""
SESSION_LABELS = pa.schema([("session", pa.int64()), ("name", pa.string()), ("anomalous", pa.bool_())])
SESSION_TEXTS = pa.schema([("template", pa.int64()), ("text", pa.string())])
"""What the templates say, where the set tells it."""


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
