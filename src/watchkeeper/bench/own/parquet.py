"""A data set from a folder of Parquet: a user's labelled log sessions or labelled series, for anomaly detection.

Enters: a folder with `lines.parquet` and `labels.parquet` (sessions), or `series.parquet` (series); docs/bench.md tells
the columns. Leaves: splits in order of time, the earlier half to learn from, its anomalous sessions left out. A column
that is missing or of another type is told by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from watchkeeper.bench.base import BenchError, DataSpec, Place, Split
from watchkeeper.bench.data.cached import SESSION_LABELS, SESSION_LINES
from watchkeeper.bench.data.machines import EVENTS, blocks
from watchkeeper.bench.data.sessions import SessionTable, halves
from watchkeeper.bench.scores.vus import buffer_length
from watchkeeper.patterns.miner import TemplateMiner

TASK = "anomaly-detection"
LINES, LABELS, SERIES = "lines.parquet", "labels.parquet", "series.parquet"
NANOSECONDS = 1e9
STEPS_MIN = 8
SESSIONS_MIN = 10


def folder_data(name: str, folder: Path, *, version: int = 1, about: str = "") -> DataSpec:
    """Give the data set of a folder; raises BenchError when it holds neither lines nor series."""
    if (folder / LINES).is_file():
        form, splits = "sessions", partial(sessions, folder)
    elif (folder / SERIES).is_file():
        form, splits = "series", partial(series, folder)
    else:
        raise BenchError(f"{folder} holds neither {LINES} nor {SERIES}; docs/bench.md tells the columns")
    told = about or f"your own, from {folder.name}"
    headline = "vus_pr" if form == "series" else ""
    return DataSpec(name, version, TASK, form, told, (), splits, "normal", headline=headline, system=name)


def sessions(folder: Path, place: Place) -> Iterator[Split]:
    """Give the one split of `lines.parquet` (session, time, body) and `labels.parquet` (session, anomalous)."""
    lines, labels = (_read(folder / each) for each in (LINES, LABELS))
    _hold(folder / LINES, lines, ("session", "time", "body"))
    _hold(folder / LABELS, labels, ("session", "anomalous"))
    names = _column(folder / LABELS, labels, "session", pa.string()).combine_chunks()
    if len(names) != len(names.unique()):
        raise BenchError(f"{folder / LABELS} has sessions twice; each is to have one row")
    place_of = pc.index_in(_column(folder / LINES, lines, "session", pa.string()), value_set=names).combine_chunks()
    if place_of.null_count:
        raise BenchError(f"{folder / LABELS} lacks {place_of.null_count} sessions that {LINES} has lines of")
    bodies = _column(folder / LINES, lines, "body", pa.string()).combine_chunks()
    template = TemplateMiner().match(bodies, pa.nulls(len(bodies), pa.int64()))
    normal_lines = pa.table(
        [place_of.cast(pa.int64()), template.cast(pa.int64()), pa.array(_seconds(folder / LINES, lines))],
        schema=SESSION_LINES,
    )
    flags = _column(folder / LABELS, labels, "anomalous", pa.bool_()).combine_chunks()
    numbers = pa.array(range(len(names)), pa.int64())
    kept = pc.is_in(numbers, value_set=place_of.unique().cast(pa.int64()))
    told = pa.table([numbers, names, flags], schema=SESSION_LABELS).filter(kept)
    if len(told) < SESSIONS_MIN:
        raise BenchError(f"{folder} has {len(told)} labelled sessions with lines; at least {SESSIONS_MIN} are needed")
    return halves(SessionTable(normal_lines, told), clean=True)


def series(folder: Path, place: Place) -> Iterator[Split]:
    """Give one split a machine of `series.parquet` (machine, time, anomalous, and a column a metric)."""
    path = folder / SERIES
    table = _read(path)
    _hold(path, table, ("machine", "time", "anomalous"))
    metrics = [name for name in table.column_names if name not in {"machine", "time", "anomalous"}]
    if not metrics:
        raise BenchError(f"{path} has no column of a metric beside machine, time and anomalous")
    machine = np.array(_column(path, table, "machine", pa.string()).to_pylist(), dtype=object)
    time_s = _seconds(path, table)
    values = np.column_stack([_column(path, table, name, pa.float64(), holes=True).to_numpy() for name in metrics])
    truth = _column(path, table, "anomalous", pa.bool_()).to_numpy(zero_copy_only=False)
    for name in sorted(set(machine)):
        mine = np.flatnonzero(machine == name)
        mine = mine[np.argsort(time_s[mine], kind="stable")]
        if len(mine) < STEPS_MIN:
            raise BenchError(f"{path} has {len(mine)} steps of {name}; at least {STEPS_MIN} are needed")
        quarter, half = len(mine) // 4, len(mine) // 2
        facts = {
            "step_s": float(np.median(np.diff(time_s[mine]))),
            "metrics": len(metrics),
            "buffer_steps": buffer_length(values[mine[half:], 0]),
            **EVENTS,
        }
        parts = [(word, mine[a:b]) for word, a, b in (("train", 0, quarter), ("held", quarter, half))]
        train, held = (blocks(word, values[rows], truth[rows]) for word, rows in parts)
        yield Split(name, train, blocks("test", values[mine[half:]], truth[mine[half:]]), held, facts=facts)


def _read(path: Path) -> pa.Table:
    try:
        return parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BenchError(f"{path} cannot be read: {error}") from error


def _hold(path: Path, table: pa.Table, wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise BenchError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}")


def _column(path: Path, table: pa.Table, name: str, kind: pa.DataType, *, holes: bool = False) -> pa.ChunkedArray:
    """Give a column as a type; raises BenchError when it is of another one, or a value is missing and must not be."""
    column = table.column(name)
    if column.null_count and not holes:
        raise BenchError(f"{path}: the column {name} lacks {column.null_count} of {len(column)} values")
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise BenchError(
            f"{path}: the column {name} is {column.type}, which cannot be read as {kind}: {error}"
        ) from error


def _seconds(path: Path, table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give the column `time` in seconds: a timestamp, integers in Unix nanoseconds, or numbers in seconds."""
    kind = table.column("time").type
    if pa.types.is_timestamp(kind):
        whole = _column(path, table, "time", pa.timestamp("ns", kind.tz)).cast(pa.int64())
    elif pa.types.is_integer(kind):
        whole = _column(path, table, "time", pa.int64())
    else:
        return np.asarray(_column(path, table, "time", pa.float64()).to_numpy(), np.float64)
    return np.asarray(whole.to_numpy(), np.float64) / NANOSECONDS
