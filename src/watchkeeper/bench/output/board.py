"""The scoreboard as data: a table for each data set of each task, with every cell that was planned.

Enters: planned cells and the folder of records. Leaves: tables whose rows are done, failed, skipped or not run yet. A
cell that does no better by its headline than the best trivial baseline of its table is marked with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.bench.base import DataSpec, Metric, Task
from watchkeeper.bench.cells import PLAIN, Cell
from watchkeeper.bench.records import DONE, SKIPPED, Record, find_record

PENDING = "not run"


class Row(NamedTuple):
    """One cell. `loses_to` is the trivial baseline that it does not beat, "" when it beats all or is one itself."""

    cell: Cell
    state: str
    reason: str
    record: Record | None
    loses_to: str = ""

    def value(self, metric: str) -> float | None:
        """Give a figure, None where there is none."""
        told = self.record["figures"].get(metric) if self.record and self.state == DONE else None
        return None if told is None else told[0]


class Table(NamedTuple):
    """All cells of one data set of one task, best first; `metrics` are those that any of its records has."""

    task: Task
    data: DataSpec
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]

    @property
    def headline(self) -> Metric:
        """Give the metric to judge by."""
        return self.task.metric(self.data.headline)


def board(cells: Iterable[Cell], out: Path) -> list[Table]:
    """Give the tables in the order of the cells."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.task.name, cell.data.id), []).append(cell)
    return [_table(group, out) for group in groups.values()]


def _table(cells: Sequence[Cell], out: Path) -> Table:
    task, data = cells[0].task, cells[0].data
    metric = task.metric(data.headline)
    rows = _marked([_row(cell, out) for cell in cells], metric)
    told = {name for row in rows if row.state == DONE and row.record for name in row.record["figures"]}
    metrics = [metric, *(each for each in task.metrics if each.name in told and each != metric)]
    return Table(task, data, tuple(metrics), tuple(sorted(rows, key=lambda row: _order(row, metric))))


def _row(cell: Cell, out: Path) -> Row:
    record = find_record(out, cell.id)
    if record is not None and (record["state"] == DONE or not cell.skipped):
        return Row(cell, record["state"], record.get("reason", ""), record)
    return Row(cell, SKIPPED, cell.skipped, None) if cell.skipped else Row(cell, PENDING, "", None)


def _marked(rows: Sequence[Row], metric: Metric) -> list[Row]:
    sign = 1.0 if metric.higher_is_better else -1.0
    trivial = [
        (sign * value, row.cell.model.name)
        for row in rows
        if row.cell.model.trivial
        and row.cell.enhancement.name == PLAIN
        and (value := row.value(metric.name)) is not None
    ]
    if not trivial:
        return list(rows)
    best, name = max(trivial)
    return [
        row._replace(loses_to=name)
        if not row.cell.model.trivial and (value := row.value(metric.name)) is not None and sign * value <= best
        else row
        for row in rows
    ]


def _order(row: Row, metric: Metric) -> tuple[int, float, str]:
    value = row.value(metric.name)
    if value is None:
        return 1 + (row.state == SKIPPED), 0.0, row.cell.id
    return 0, -value if metric.higher_is_better else value, row.cell.id
