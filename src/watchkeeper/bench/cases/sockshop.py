"""Sock Shop with faults (RCD, NeurIPS 2022): five services x CPU or memory hog x 5 runs, 38 metrics at 1 s.

Enters: the data set `rcd_sockshop` where it lies. Leaves: one Case a run, and windows without a fault cut from what was
recorded before each fault. The two parts of a run were recorded at different times: the normal part is moved to end
where the other begins. The set has no call graph.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from watchkeeper.bench.cases.base import NS_PER_S, Case
from watchkeeper.datasets.read import read_members
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series, Times, Values
from watchkeeper.signals.topology import Node, NodeKind, Topology

_ASPECTS = {"cpu": Aspect.CPU, "mem": Aspect.MEMORY, "lod": Aspect.TRAFFIC, "lat": Aspect.LATENCY}
"""The four families of metrics that the set's authors name."""


def faults(folder: Path) -> list[Case]:
    """Give one Case a run, by fault and number; raises DataSetError when the set is absent."""
    cases = []
    for run, (normal, anomalous) in sorted(_runs(folder).items()):
        service, _, resource = run.split("/")[0].rpartition("-")
        window = _window(normal, anomalous)
        cases.append(
            Case(
                id=run,
                group=service,
                window=window,
                truth_nodes=(Node(NodeKind.SERVICE, service).id,),
                truth_indicators=(f"{service}_{resource}",),
                kind=resource,
            )
        )
    return cases


def fault_free(folder: Path) -> list[Case]:
    """Give a window without a fault for each run: the second half of its normal part, held against the first."""
    cases = []
    for run, (normal, _) in sorted(_runs(folder).items()):
        names, times, values = normal
        half = len(times) // 2
        window = _window((names, times[:half], values[:half]), (names, times[half:], values[half:]))
        cases.append(Case(f"{run}/fault_free", run.split("/")[0].rpartition("-")[0], window, kind="none"))
    return cases


_Part = tuple[tuple[str, ...], Times, Values]


def _runs(folder: Path) -> dict[str, tuple[_Part, _Part]]:
    parts: dict[str, dict[str, _Part]] = {}
    for name, data in read_members("rcd_sockshop", folder, lambda each: each.endswith(".csv")):
        fault, number, file = name.split("/")[-3:]
        parts.setdefault(f"{fault}/{number}", {})[file.removesuffix(".csv")] = _part(data)
    return {run: (part["normal"], part["anomalous"]) for run, part in parts.items()}


def _part(data: bytes) -> _Part:
    rows = list(csv.reader(io.StringIO(data.decode())))
    times = np.array([round(float(row[0])) for row in rows[1:]], dtype=np.int64)
    values = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows[1:]], dtype=np.float64)
    return tuple(rows[0][1:]), times, values


def _window(normal: _Part, anomalous: _Part) -> IncidentWindow:
    names, before_s, before = normal
    other, during_s, during = anomalous
    before_s = before_s + (int(during_s[0]) - 1 - int(before_s[-1]))
    at = {name: column for column, name in enumerate(other)}
    times = np.concatenate([before_s, during_s]) * NS_PER_S
    series = tuple(
        Series(
            Node(NodeKind.SERVICE, name.split("_")[0]).id,
            name,
            _ASPECTS.get(name.split("_")[1], Aspect.OTHER),
            times,
            np.concatenate([before[:, column], during[:, at[name]]]),
        )
        for column, name in enumerate(names)
        if name in at
    )
    nodes = dict.fromkeys(one.node for one in series)
    return IncidentWindow(
        baseline_from_unix_ns=int(before_s[0]) * NS_PER_S,
        onset_unix_ns=int(during_s[0]) * NS_PER_S,
        until_unix_ns=(int(during_s[-1]) + 1) * NS_PER_S,
        nodes=tuple(nodes),
        topology=Topology(tuple(Node(NodeKind.SERVICE, node.partition(":")[2]) for node in nodes)),
        series=series,
    )
