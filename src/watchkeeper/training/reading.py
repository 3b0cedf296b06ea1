"""The stored lines that a model learns from: of the watched workloads and the range of time, without what was abnormal.

Enters: a folder of frozen Parquet files (store/frozen.py), read a few thousand rows at a time, so that memory does not
grow with their number. Leaves: batches of lines with their templates and times, and an account of what was left out and
why, which tells "no data" from "all of it was left out". Reads no catalog and takes no lock: its files do not change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.errors import StoreError
from watchkeeper.training.exclusions import Excluded
from watchkeeper.training.workloads import Workload, workload_of

BATCH_ROWS = 16_384
READ_BUFFER_BYTES = 1 << 20
LINE_CHARACTERS_MAX = 2_000
RESOURCES_KEPT = 10_000
_COLUMNS = ("time_unix_ns", "body", "service", "resource_attributes", "template_id")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """Which lines are wanted; times are inclusive, no workloads mean all."""

    workloads: frozenset[Workload] = frozenset()
    from_unix_ns: int = 0
    until_unix_ns: int = 2**63 - 1
    excluded: Excluded = field(default_factory=lambda: Excluded(()))


@dataclass
class Account:
    """What became of each stored row that was looked at; the parts add up to `stored`."""

    stored: int = 0
    other_time: int = 0
    unwatched: int = 0
    empty: int = 0
    anomalous: int = 0
    failing: int = 0
    taken: int = 0

    def as_dict(self) -> dict[str, int]:
        """Give plain data for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def text(self) -> str:
        """Tell it in words."""
        return (
            f"{self.stored:,} stored lines were looked at; {self.other_time:,} outside of the range of time, "
            f"{self.unwatched:,} of workloads that are not watched, {self.empty:,} empty, {self.anomalous:,} judged "
            f"anomalous, {self.failing:,} with failure words; {self.taken:,} to learn from"
        )


class Lines(NamedTuple):
    """Some lines that are wanted, all (n,). templates: -1 where the miner had not seen the line."""

    bodies: pa.Array
    templates: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]


class Reader:
    """Reads a folder once. failing: tells which lines have failure words, (n,). heard: whose lines were taken."""

    def __init__(self, folder: Path, selection: Selection, failing: Callable[[pa.Array], Mask]) -> None:
        self._files = sorted(folder.glob("*.parquet"))
        self._selection = selection
        self._failing = failing
        self._watched: dict[str, Workload | None] = {}
        self.account = Account()
        self.heard: set[Workload] = set()

    def rows(self) -> int:
        """Give how many rows the files hold; raises StoreError for one that cannot be read."""
        import pyarrow.parquet as pq

        return sum(_read(file, lambda each: int(pq.read_metadata(each).num_rows)) for file in self._files)

    def extent(self) -> tuple[int, int]:
        """Give the earliest and latest time in the files that the selection wants; (0, 0) when there is none."""
        import pyarrow.parquet as pq

        begin, end = 2**63 - 1, -1
        for file in self._files:
            metadata = _read(file, pq.read_metadata)
            place = metadata.schema.names.index("time_unix_ns")
            for group in range(metadata.num_row_groups):
                told = metadata.row_group(group).column(place).statistics
                if told is not None and told.has_min_max:
                    begin, end = min(begin, told.min), max(end, told.max)
        begin, end = max(begin, self._selection.from_unix_ns), min(end, self._selection.until_unix_ns)
        return (begin, end) if begin <= end else (0, 0)

    def lines(self, told: Callable[[int], None]) -> Iterator[Lines]:
        """Give the lines that are wanted; told: called with how many rows have been read. Raises StoreError."""
        for file in self._files:
            for batch in _batches(file):
                self.account.stored += batch.num_rows
                lines = self._wanted(batch)
                if len(lines.times):
                    yield lines
                told(self.account.stored)

    def _wanted(self, batch: pa.RecordBatch) -> Lines:
        times = batch.column("time_unix_ns").to_numpy()
        keep = (times >= self._selection.from_unix_ns) & (times <= self._selection.until_unix_ns)
        self.account.other_time += self._lost(keep, np.ones(len(times), bool))
        resources, of_row = _coded(batch.column("resource_attributes"))
        workloads = [self._watched_one(text or "{}") for text in resources]
        keep = self._narrowed(keep, np.array([each is not None for each in workloads], bool)[of_row], "unwatched")
        bodies = pc.utf8_slice_codeunits(batch.column("body"), 0, LINE_CHARACTERS_MAX)
        filled = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(bodies)), 0).fill_null(False)
        keep = self._narrowed(keep, filled.to_numpy(zero_copy_only=False), "empty")
        templates = batch.column("template_id").fill_null(-1).to_numpy()
        services, codes = _coded(batch.column("service"))
        keep = self._narrowed(keep, ~self._selection.excluded.mask(services, codes, templates, times), "anomalous")
        rows = np.flatnonzero(keep)
        bodies = bodies.take(pa.array(rows))
        sound = ~self._failing(bodies)
        self.account.failing += len(rows) - int(sound.sum())
        rows = rows[sound]
        self.account.taken += len(rows)
        self.heard.update(each for at in np.unique(of_row[rows]).tolist() if (each := workloads[at]) is not None)
        return Lines(bodies.filter(pa.array(sound)), templates[rows], times[rows])

    def _narrowed(self, keep: Mask, wanted: Mask, counted_as: str) -> Mask:
        both = keep & wanted
        lost = self._lost(both, keep)
        setattr(self.account, counted_as, getattr(self.account, counted_as) + lost)
        return both

    @staticmethod
    def _lost(now: Mask, before: Mask) -> int:
        return int(before.sum()) - int(now.sum())

    def _watched_one(self, resource: str) -> Workload | None:
        """Give the workload of a resource where it is watched, else None."""
        if resource not in self._watched:
            if len(self._watched) >= RESOURCES_KEPT:
                self._watched.clear()
            workload, wanted = workload_of(_attributes(resource)), self._selection.workloads
            self._watched[resource] = workload if workload in wanted or not wanted else None
        return self._watched[resource]


def _attributes(text: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _coded(column: pa.Array) -> tuple[Sequence[str | None], npt.NDArray[np.int64]]:
    """Give the distinct values, None among them, and each row's place in them."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = [*encoded.dictionary.to_pylist(), None]
    codes = encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    return values, codes


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    try:
        # Pages are read as they are needed: a row group of long lines would not fit into the memory of a job.
        with pq.ParquetFile(file, buffer_size=READ_BUFFER_BYTES, pre_buffer=False) as opened:
            columns = [name for name in _COLUMNS if name in opened.schema_arrow.names]
            for batch in opened.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
                yield _completed(batch)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"the stored lines in {file.name} cannot be read: {error}") from error


def _completed(batch: pa.RecordBatch) -> pa.RecordBatch:
    if "template_id" in batch.schema.names:
        return batch
    return batch.append_column("template_id", pa.nulls(batch.num_rows, pa.int64()))


def _read(file: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(file)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"the stored lines in {file.name} cannot be read: {error}") from error
