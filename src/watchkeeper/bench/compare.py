"""Two cells or two runs beside each other: what got better, what got worse beyond its tolerance.

Enters: two records of one task, or two folders of records. Leaves: a line for each metric with direction, tolerance and
verdict, a paired interval where both have figures of the same cases, and what has no counterpart. A figure or a cell
that one side lacks is told, never left out. Decides nothing about which cells to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.bench.base import BenchError, Metric, Task
from watchkeeper.bench.records import DONE, Record, find_record, read_record, records
from watchkeeper.bench.scores.bootstrap import Interval, difference_interval

DRAWS = 2_000
LOST, NEW = "lost", "new"


class Line(NamedTuple):
    """One metric: `change` is second minus first, `verdict` is `better`, `worse` or `same` within the tolerance.

    A figure that one of them lacks is None, and the verdict `lost` (the second lacks it) or `new` (the first does).
    paired: the interval of the difference case by case. F1 has no cases; the share that is right stands for it there.
    """

    metric: Metric
    first: float | None
    second: float | None
    verdict: str
    paired: Interval | None

    @property
    def change(self) -> float | None:
        """Give second minus first, None where one is missing."""
        return None if self.first is None or self.second is None else self.second - self.first

    @property
    def is_worse(self) -> bool:
        """Tell whether the second falls behind: beyond the tolerance, or without a figure that the first has."""
        return self.verdict in {"worse", LOST}


class Unpaired(NamedTuple):
    """A cell of two folders that cannot be compared: its state in each, "" where it is not, and why, in words."""

    id: str
    first: str
    second: str
    why: str

    @property
    def is_worse(self) -> bool:
        """Tell whether it was measured in the first and was tried in the second in vain."""
        return self.first == DONE and self.second not in {DONE, ""}


def compare(task: Task, first: Record, second: Record) -> list[Line]:
    """Compare two records of one task; raises BenchError when they cannot be compared."""
    for record in (first, second):
        if record["state"] != DONE:
            raise BenchError(f"{record['id']} has no figures: {record['state']}: {record.get('reason', '')}")
        if record["task"] != task.name:
            raise BenchError(f"{record['id']} is not of the task {task.name}")
    lines = []
    for metric in task.metrics:
        one, other = _value(first, metric), _value(second, metric)
        if one is not None or other is not None:
            lines.append(Line(metric, one, other, _verdict(metric, one, other), _paired(metric, first, second)))
    return lines


def _value(record: Record, metric: Metric) -> float | None:
    """Give a figure; None where it is absent or was no number."""
    told = record["figures"].get(metric.name)
    return told[0] if told else None


def _verdict(metric: Metric, first: float | None, second: float | None) -> str:
    if first is None or second is None:
        return NEW if first is None else LOST
    gain = second - first if metric.higher_is_better else first - second
    if abs(gain) <= metric.tolerance:
        return "same"
    return "better" if gain > 0 else "worse"


def _paired(metric: Metric, first: Record, second: Record) -> Interval | None:
    one, other = _by_case(first, metric.name), _by_case(second, metric.name)
    shared = [each for each in one if each in other]
    if not shared or len(shared) < max(len(one), len(other)):
        return None
    if any(side[each] is None for side in (one, other) for each in shared):
        return None
    return difference_interval([other[each] for each in shared], [one[each] for each in shared], draws=DRAWS)


def _by_case(record: Record, metric: str) -> Mapping[str, Any]:
    """Give the metric by case; F1 has none, so whether each case was right stands for it."""
    cases = record.get("cases") or {}
    values = cases.get(metric, cases.get("right") if metric == "f1" else None)
    return dict(zip(cases["ids"], values, strict=True)) if values else {}


def find(name: str, out: Path) -> dict[str, Record]:
    """Give what a name stands for: a record's file, a folder of records, or the id of a cell in `out`; by id."""
    path = Path(name).expanduser()
    if path.is_dir():
        return {record["id"]: record for record in records(path)}
    if path.is_file():
        record = read_record(path)
    else:
        found = find_record(out, name) if name.count("/") == 3 else None
        if found is None:
            raise BenchError(f"{name} is no file or folder of records, and {out} has no record of such a cell")
        record = found
    return {record["id"]: record}


def pairs(first: Mapping[str, Record], second: Mapping[str, Record]) -> list[tuple[Record, Record]]:
    """Pair records: one with one whatever their ids, folders by id; raises BenchError when there is no pair."""
    if len(first) == len(second) == 1:
        return [(next(iter(first.values())), next(iter(second.values())))]
    shared = [(first[each], second[each]) for each in first if each in second]
    if not shared:
        raise BenchError("the two have no cell in common")
    return [(one, other) for one, other in shared if one["state"] == other["state"] == DONE]


def unpaired(first: Mapping[str, Record], second: Mapping[str, Record]) -> list[Unpaired]:
    """Give the cells that `pairs` leaves out, by id; none where a single cell is held against others."""
    if 1 in (len(first), len(second)):
        return []
    found = []
    for each in sorted({*first, *second}):
        one, other = first.get(each), second.get(each)
        if not (one and other and one["state"] == other["state"] == DONE):
            why = f"first: {_why(one)}; second: {_why(other)}"
            found.append(Unpaired(each, one["state"] if one else "", other["state"] if other else "", why))
    return found


def _why(record: Record | None) -> str:
    if record is None:
        return "no record"
    return f"{record['state']}, {record['reason']}" if record.get("reason") else str(record["state"])
