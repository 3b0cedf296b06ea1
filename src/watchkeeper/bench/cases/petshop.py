"""PetShop (arXiv 2311.04806): issues injected into a shop on 41 components, 5-minute metrics and the call graph.

Enters: the data set `petshop` where it lies. Leaves: one Case an issue, and windows cut from the fault-free periods.
The fault-free period was recorded at another time than the issues: it is moved, by whole days so that the hour of the
day stays, to end before the issue. A scenario without such a period is given those of all others. A value stands at
the middle of the five minutes that it sums up. Fits nothing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.cases.base import NS_PER_S, Case
from watchkeeper.datasets.read import read_members
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series, Times, Values
from watchkeeper.signals.aspect import aspect_of
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity, finding_id
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

STEP_S = 300
DAY_S = 86_400
FAULT_FREE_ROWS = 5
"""Rows of a window that is cut from a fault-free period: as many as an issue has."""
_KINDS = {
    "remote": NodeKind.EXTERNAL,
    "client": NodeKind.EXTERNAL,
    "AWS::SQS::Queue": NodeKind.QUEUE,
    "AWS::DynamoDB::Table": NodeKind.DATABASE,
    "Database::SQL": NodeKind.DATABASE,
}
"""The types of a node in the recorder's service map, the end of its name; all others are services."""


@dataclass(frozen=True)
class _Table:
    """Metrics of one file: `columns` (C,) of (node, metric, statistic), `times_s` (T,), `values` (T, C)."""

    columns: tuple[tuple[str, str, str], ...]
    times_s: Times
    values: Values


def issues(folder: Path, split: str = "train") -> list[Case]:
    """Give one Case an issue of the split, by scenario and number; raises DataSetError when the set is absent."""
    files = _files(folder)
    periods = _fault_free(files)
    cases = []
    for name in sorted(files, key=_natural):
        parts = name.split("/")
        if parts[-1] != "target.json" or parts[-3] != split:
            continue
        scenario, issue = parts[-4], parts[-2]
        target = json.loads(files[name])
        metrics = _table(files[name.removesuffix("target.json") + "metrics.csv"])
        normal = [periods[scenario]] if scenario in periods else [periods[each] for each in sorted(periods)]
        window = _window(normal, metrics, _graph(files, scenario), target["target"])
        cases.append(
            Case(
                id=f"{scenario}/{issue}",
                group=scenario,
                window=window,
                truth_nodes=(_topology_id(target["root_cause"]["node"]),),
                kind=str(target["target"]["metric"]),
                attributes={"reproduced_by": target["metadata"]["reproducibility"]["command"]},
            )
        )
    return cases


def fault_free(folder: Path, *, metrics: Sequence[str] = ("latency", "availability"), share: float = 0.1) -> list[Case]:
    """Give windows without a fault, as the data set's own specificity test cuts them.

    Each period is cut from its middle on, every `share` of its length: what was before is the baseline, the next
    FAULT_FREE_ROWS rows are asked about, as if the symptom's metric had raised an alarm, once for each of `metrics`.
    """
    files = _files(folder)
    cases = []
    for scenario, period in sorted(_fault_free(files).items()):
        rows = len(period.times_s)
        for split in range(rows // 2, rows - FAULT_FREE_ROWS, max(1, int(rows * share))):
            before = _rows(period, 0, split - 2)
            asked = _rows(period, split - 2, split - 2 + FAULT_FREE_ROWS)
            for metric in metrics:
                alarm = {
                    "node": _symptom(files, scenario),
                    "metric": metric,
                    "agg": "Average",
                    "timestamp": int(period.times_s[split]),
                }
                window = _window([before], asked, _graph(files, scenario), alarm)
                cases.append(Case(f"{scenario}/fault_free/{split}/{metric}", scenario, window, kind="none"))
    return cases


def _files(folder: Path) -> dict[str, bytes]:
    wanted = ("metrics.csv", "target.json", "graph.csv")
    return {
        name.removeprefix("./"): data
        for name, data in read_members("petshop", folder, lambda each: each.endswith(wanted))
    }


def _natural(name: str) -> tuple[str, int, str]:
    scenario = name.split("/")[-4] if name.count("/") >= 3 else name
    number = name.split("/")[-2].rpartition("_")[2]
    return scenario, int(number) if number.isdigit() else 0, name


def _fault_free(files: Mapping[str, bytes]) -> dict[str, _Table]:
    return {name.split("/")[-3]: _table(data) for name, data in files.items() if name.endswith("/noissue/metrics.csv")}


def _symptom(files: Mapping[str, bytes], scenario: str) -> str:
    targets = sorted(name for name in files if f"{scenario}/" in name and name.endswith("target.json"))
    return str(json.loads(files[targets[0]])["target"]["node"])


def _table(data: bytes) -> _Table:
    rows = list(csv.reader(io.StringIO(data.decode())))
    columns = tuple(zip(rows[0][1:], rows[1][1:], rows[2][1:], strict=True))
    body = [row for row in rows[3:] if row[0].replace(".", "", 1).isdigit()]
    times = np.array([round(float(row[0])) for row in body], dtype=np.int64)
    values = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in body], dtype=np.float64)
    return _Table(columns, times, values.reshape(len(body), len(columns)))


def _rows(table: _Table, first: int, last: int) -> _Table:
    return _Table(table.columns, table.times_s[first:last], table.values[first:last])


def _kind(name: str) -> NodeKind:
    return _KINDS.get(name.rpartition("_")[2], NodeKind.SERVICE)


def _topology_id(name: str) -> str:
    return Node(_kind(name), name).id


def _graph(files: Mapping[str, bytes], scenario: str) -> Topology:
    [data] = [data for name, data in files.items() if name.endswith(f"{scenario}/graph.csv")]
    rows = list(csv.reader(io.StringIO(data.decode())))
    names = rows[0][1:]
    edges = [
        Edge(_topology_id(row[0]), _topology_id(name), EdgeKind.CALLS)
        for row in rows[1:]
        for name, cell in zip(names, row[1:], strict=True)
        if cell and float(cell) > 0
    ]
    return Topology(tuple(Node(_kind(name), name) for name in names), tuple(edges))


def _window(normal: Sequence[_Table], during: _Table, topology: Topology, target: Mapping[str, Any]) -> IncidentWindow:
    first_s = int(during.times_s[0])
    moved: list[tuple[_Table, Times]] = []
    end_s = first_s
    for table in reversed(normal):
        days = -(-(int(table.times_s[-1]) + STEP_S - end_s) // DAY_S)
        times = table.times_s - days * DAY_S
        end_s = int(times[0])
        moved.insert(0, (table, times))
    series = []
    asked: dict[tuple[str, str, str], npt.NDArray[np.float64]] = dict(zip(during.columns, during.values.T, strict=True))
    before = [(dict(zip(table.columns, table.values.T, strict=True)), times) for table, times in moved]
    known = dict.fromkeys([*(column for table, _ in moved for column in table.columns), *during.columns])
    for column in known:
        pieces = [(times, values[column]) for values, times in before if column in values]
        if column in asked:
            pieces.append((during.times_s, asked[column]))
        node, metric, statistic = column
        series.append(
            Series(
                _topology_id(node),
                f"{metric} {statistic}",
                Aspect(aspect_of(metric)),
                (np.concatenate([times for times, _ in pieces]) + STEP_S // 2) * NS_PER_S,
                np.concatenate([values for _, values in pieces]),
                {"latency": "s", "availability": "%", "requests": "{request}"}.get(metric, ""),
            )
        )
    onset = int(target["timestamp"]) * NS_PER_S
    symptom = _topology_id(str(target["node"]))
    return IncidentWindow(
        baseline_from_unix_ns=end_s * NS_PER_S,
        onset_unix_ns=onset,
        until_unix_ns=(int(during.times_s[-1]) + STEP_S) * NS_PER_S,
        nodes=tuple(node.id for node in topology.nodes),
        topology=topology,
        symptom=symptom,
        series=tuple(series),
        findings=(_alarm(symptom, f"{target['metric']} {target['agg']}", onset, end_s * NS_PER_S),),
    )


def _alarm(node: str, subject: str, at_unix_ns: int, from_unix_ns: int) -> Finding:
    """Give the alarm that raised the issue: the symptom's metric, as the data set names it."""
    return Finding(
        id=finding_id("metric.alarm", node, subject, at_unix_ns),
        kind="metric.alarm",
        signal="metric",
        service=node,
        entity=node,
        subject=subject,
        title=f"{node}: {subject} raised an alarm",
        why="The objective for this metric was missed.",
        severity=FindingSeverity.WARNING,
        score=1.0,
        count=1,
        first_unix_ns=at_unix_ns,
        last_unix_ns=at_unix_ns,
        expected=Band("the objective"),
        seen=Band("beyond the objective"),
        baseline=Baseline(from_unix_ns, at_unix_ns),
    )
