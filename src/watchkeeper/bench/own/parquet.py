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
    names = labels.column("session").cast(pa.string()).combine_chunks()
    place_of = pc.index_in(lines.column("session").cast(pa.string()), value_set=names).combine_chunks()
    if place_of.null_count:
        raise BenchError(f"{folder / LABELS} lacks {place_of.null_count} sessions that {LINES} has lines of")
    bodies = lines.column("body").cast(pa.string()).combine_chunks()
    template = TemplateMiner().match(bodies, pa.nulls(len(bodies), pa.int64()))
    normal_lines = pa.table(
        [place_of.cast(pa.int64()), template.cast(pa.int64()), pa.array(_seconds(lines))], schema=SESSION_LINES
    )
    flags = labels.column("anomalous").cast(pa.bool_()).combine_chunks()
    numbers = pa.array(range(len(names)), pa.int64())
    kept = pc.is_in(numbers, value_set=place_of.unique().cast(pa.int64()))
    told = pa.table([numbers, names, flags], schema=SESSION_LABELS).filter(kept)
    return halves(SessionTable(normal_lines, told), clean=True)


def series(folder: Path, place: Place) -> Iterator[Split]:
    """Give one split a machine of `series.parquet` (machine, time, anomalous, and a column a metric)."""
    path = folder / SERIES
    table = _read(path)
    _hold(path, table, ("machine", "time", "anomalous"))
    metrics = [name for name in table.column_names if name not in {"machine", "time", "anomalous"}]
    if not metrics:
        raise BenchError(f"{path} has no column of a metric beside machine, time and anomalous")
    machine = np.array(table.column("machine").cast(pa.string()).to_pylist(), dtype=object)
    time_s = _seconds(table)
    values = np.column_stack([table.column(name).cast(pa.float64()).to_numpy() for name in metrics])
    truth = table.column("anomalous").cast(pa.bool_()).to_numpy(zero_copy_only=False)
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


def _seconds(table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give the column `time` in seconds: a timestamp, integers in Unix nanoseconds, or numbers in seconds."""
    column = table.column("time")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), np.float64) / NANOSECONDS
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
