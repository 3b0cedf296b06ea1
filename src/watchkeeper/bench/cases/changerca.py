"""ChangeRCA: canary releases of a shop, several at a time, one of them faulty; as Rollouts until the first one spreads.

Enters: the data set `changerca`. Leaves: one Release an experiment. The columns of its files are named in another order
than they are written: the third number is the same at all edges of a pod (its CPU), the last differs by edge (latency
in seconds). The file of a pod that was replaced goes on with its successor's numbers: it ends here when it is removed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.datasets.read import read_members
from watchkeeper.diagnose.risk.release import CPU, FAILURES, LATENCY, MEMORY, PodSeries, ReleasedChange, Rollout

Floats = npt.NDArray[np.float64]
READINGS = ("time_s", "success_percent", "cpu_percent", "memory_percent", "latency_s")
COLUMNS = (1, 2, 3, 4, 7)
"""Where these are written; the figures of the node between are left out."""
WIDTH = 8
TIME, SUCCESS, CPU_PERCENT, MEMORY_PERCENT, LATENCY_S = range(5)


class Release(NamedTuple):
    """One experiment: what was seen until the first change went on to its second step, and which one was faulty."""

    id: str
    kind: str
    rollout: Rollout
    faulty: str


class _Step(NamedTuple):
    """One step of a release: begin, end, pods added, pods removed."""

    begun_s: float
    ready_s: float
    added: tuple[str, ...]
    removed: tuple[str, ...]


def tables(folder: Path) -> dict[str, pa.Table]:
    """Read all experiments: `samples` (one row a reading of a pod at an edge) and `plans` (text of JSON).

    Raises DataSetError when the set is not there.
    """
    plans: dict[str, str] = {}
    names: list[tuple[str, str, int]] = []
    parts: list[Floats] = []
    for member, data in read_members("changerca", folder, lambda each: each.endswith((".csv", ".json"))):
        path = PurePosixPath(member)
        if path.stem == path.parent.name and path.suffix == ".json":
            plans[path.parent.name] = data.decode()
        elif path.suffix == ".csv" and path.stem.count("_") == 2:
            parts.append(_readings(data))
            names.append((path.parent.name, path.stem, len(parts[-1])))
    rows = np.concatenate(parts)
    sizes = [size for _, _, size in names]
    samples = {
        "experiment": np.repeat([name for name, _, _ in names], sizes),
        "edge": np.repeat([edge for _, edge, _ in names], sizes),
        **{name: rows[:, at] for at, name in enumerate(READINGS)},
    }
    return {"samples": pa.table(samples), "plans": pa.table({"experiment": list(plans), "plan": list(plans.values())})}


def releases(told: Mapping[str, pa.Table]) -> list[Release]:
    """Give all experiments of `tables` in order of their names."""
    samples = told["samples"]
    rows = np.stack([samples.column(name).to_numpy() for name in READINGS], axis=1)
    where = [
        (str(one), str(edge))
        for one, edge in zip(samples["experiment"].to_pylist(), samples["edge"].to_pylist(), strict=True)
    ]
    begins = [at for at in range(len(where)) if at == 0 or where[at] != where[at - 1]]
    pods: dict[str, dict[str, Floats]] = defaultdict(dict)
    for begin, end in zip(begins, [*begins[1:], len(where)], strict=True):
        pods[where[begin][0]][where[begin][1]] = rows[begin:end]
    plans = dict(zip(told["plans"]["experiment"].to_pylist(), told["plans"]["plan"].to_pylist(), strict=True))
    return [_release(name, json.loads(plans[name]), pods[name]) for name in sorted(plans)]


def _readings(data: bytes) -> Floats:
    """Give (T, READINGS); NaN where nothing was measured. Lines that were cut off are left out."""
    rows = [line.split(",") for line in data.decode().splitlines()[1:]]
    whole = [[float(row[at]) if row[at] else np.nan for at in COLUMNS] for row in rows if len(row) == WIDTH]
    return np.array(whole, np.float64).reshape(-1, len(COLUMNS))


def _release(name: str, told: Any, tables: dict[str, Floats]) -> Release:
    steps = {service: _steps(plan) for service, plan in told["plan"].items()}
    now_s = min(each[1].begun_s for each in steps.values() if len(each) > 1)
    changes = tuple(
        ReleasedChange(service, service, frozenset(each[0].added), each[0].begun_s, each[0].ready_s)
        for service, each in sorted(steps.items())
    )
    removed = {pod: step.begun_s for each in steps.values() for step in each for pod in step.removed}
    series: list[PodSeries] = []
    calls: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for title, table in sorted(tables.items()):
        pod, caller, callee = title.split("_")
        service = pod.split("-")[0]
        calls.add((caller, callee))
        table = table[(table[:, TIME] < min(now_s, removed.get(pod, now_s)))]
        if not len(table):
            continue
        times_s = table[:, TIME]
        series.append(PodSeries(pod, service, FAILURES, caller, callee, times_s, 1.0 - table[:, SUCCESS] / 100))
        series.append(PodSeries(pod, service, LATENCY, caller, callee, times_s, table[:, LATENCY_S]))
        if pod not in seen:
            seen.add(pod)
            series.append(PodSeries(pod, service, CPU, "", "", times_s, table[:, CPU_PERCENT]))
            series.append(PodSeries(pod, service, MEMORY, "", "", times_s, table[:, MEMORY_PERCENT]))
    rollout = Rollout(changes, tuple(series), tuple(sorted(calls)), now_s)
    return Release(name, str(told["fault"]), rollout, str(told["fault_release_service"]))


def _steps(plan: Any) -> list[_Step]:
    """Give the steps of a plan in order of their end.

    Only these times can be trusted: some steps are filed under the time of another, so a later step is taken to begin
    as long before its end as the first one did.
    """
    told = [(float(each["release_complete_timestamp"]), float(at), each) for at, each in plan["process"].items()]
    told.sort(key=lambda each: each[0])
    took_s = told[0][0] - float(plan["release_time"])
    return [
        _Step(end_s - took_s, end_s, tuple(each["release_pod"]), tuple(each["delete_pod"])) for end_s, _, each in told
    ]
