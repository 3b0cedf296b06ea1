"""Two cells or two runs beside each other: what got better, what got worse beyond its tolerance.

Enters: two records of the same task. Leaves: a line for each metric with direction, tolerance and verdict, and a paired
interval where both have figures of the same cases. Decides nothing about which cells to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.bench.base import BenchError, Metric, Task
from watchkeeper.bench.records import DONE, Record, find_record, read_record, records
from watchkeeper.bench.scores.bootstrap import Interval, difference_interval

DRAWS = 2_000


class Line(NamedTuple):
    """One metric: `change` is second minus first, `verdict` is `better`, `worse` or `same` within the tolerance.

    paired: the interval of the difference case by case. F1 has no cases; the share that is right stands for it there.
    """

    metric: Metric
    first: float
    second: float
    verdict: str
    paired: Interval | None

    @property
    def change(self) -> float:
        """Give second minus first."""
        return self.second - self.first


def compare(task: Task, first: Record, second: Record) -> list[Line]:
    """Compare two records of one task; raises BenchError when they cannot be compared."""
    for record in (first, second):
        if record["state"] != DONE:
            raise BenchError(f"{record['id']} has no figures: {record['state']}: {record.get('reason', '')}")
        if record["task"] != task.name:
            raise BenchError(f"{record['id']} is not of the task {task.name}")
    lines = []
    for metric in task.metrics:
        one, other = first["figures"].get(metric.name), second["figures"].get(metric.name)
        if not one or not other or one[0] is None or other[0] is None:
            continue
        lines.append(
            Line(metric, one[0], other[0], _verdict(metric, other[0] - one[0]), _paired(metric, first, second))
        )
    return lines


def _verdict(metric: Metric, change: float) -> str:
    gain = change if metric.higher_is_better else -change
    if abs(gain) <= metric.tolerance:
        return "same"
    return "better" if gain > 0 else "worse"


def _paired(metric: Metric, first: Record, second: Record) -> Interval | None:
    one, other = _by_case(first, metric.name), _by_case(second, metric.name)
    shared = [each for each in one if each in other]
    if not shared or len(shared) < max(len(one), len(other)):
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
