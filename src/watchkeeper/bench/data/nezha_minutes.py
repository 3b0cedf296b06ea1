"""Nezha (Train Ticket) minute by minute: counts of log templates, calls and times of traces, metrics of all pods.

Enters: the data set `nezha_trainticket`. Leaves: two splits, each day once to be asked about: of the other one its
fault-free minutes are learned from. A row is one recorded file of about a minute; it is faulty when most of its traces
began within three minutes after a fault was switched on. Fault-free are the minutes before faults, and the reference.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases.nezha import INCIDENT_S, service_node
from watchkeeper.bench.data.cached import cached
from watchkeeper.bench.forms import ModalityBlock
from watchkeeper.datasets.read import read_members
from watchkeeper.patterns.miner import TemplateMiner

SOURCE = "nezha_trainticket"
NS_PER_S = 1_000_000_000
MODALITIES = ("logs", "traces", "metrics")
VALIDATION_SHARE = 0.3
METRIC_NEAR_S = 90.0
_SHARED = ("Time", "TimeStamp", "PodName", "ServiceName")
Cells = dict[tuple[str, int, str], float]
"""(modality, minute, column) to a value."""


def tables(folder: Path) -> dict[str, pa.Table]:
    """Give the values in long form, and the minutes with their day and truth."""
    read = dict(read_members(SOURCE, folder, lambda name: name.endswith(".csv") or "fault_list" in name))
    onsets = np.concatenate([_onsets(data) for name, data in read.items() if "fault_list" in name])
    cells: Cells = {}
    minutes: list[tuple[str, int, bool]] = []
    miner = TemplateMiner()
    for name in sorted(each for each in read if "/trace/" in each):
        began = _traces(read[name], len(minutes), cells)
        _logs(read.get(name.replace("trace", "log"), b""), len(minutes), miner, cells)
        middle = int(np.median(began))
        after = middle - onsets
        faulty = bool(((after >= 0) & (after < INCIDENT_S * NS_PER_S)).any())
        minutes.append((name.split("/")[-3], middle, faulty))
    for name in sorted(each for each in read if "/metric/" in each):
        _metrics(name, read[name], minutes, cells)
    return {
        "values": as_values(cells),
        "minutes": pa.table(
            {
                "day": [each[0] for each in minutes],
                "time_unix_ns": [each[1] for each in minutes],
                "faulty": [each[2] for each in minutes],
            }
        ),
    }


def splits(place: Place) -> Iterator[Split]:
    """Give one split a day."""
    read = cached("nezha_minutes", (SOURCE,), place, tables)
    minutes, values = read["minutes"], read["values"]
    day = np.array(minutes.column("day").to_pylist())
    faulty = minutes.column("faulty").to_numpy(zero_copy_only=False)
    order = np.argsort(minutes.column("time_unix_ns").to_numpy(), kind="stable")
    rows = wide(values, len(day))
    for each in np.unique(day):
        calm = order[(day[order] != each) & ~faulty[order]]
        held = len(calm) - round(VALIDATION_SHARE * len(calm))
        asked = order[day[order] == each]
        yield Split(
            f"asked {each}",
            _items(rows, calm[:held], faulty, "learned"),
            _items(rows, asked, faulty, "asked"),
            _items(rows, calm[held:], faulty, "held"),
            facts={"clean": True, "budget": 0.05},
        )


def as_values(cells: Cells) -> pa.Table:
    """Give cells as a table in long form."""
    keys = list(cells)
    return pa.table(
        {
            "modality": [key[0] for key in keys],
            "minute": [key[1] for key in keys],
            "column": [key[2] for key in keys],
            "value": [cells[key] for key in keys],
        }
    )


def wide(values: pa.Table, minutes: int) -> dict[str, npt.NDArray[np.float64]]:
    """Give each modality as rows (minutes, columns): 0 where a count is missing, nan where a measurement is."""
    return {name: _wide(values.filter(pc.equal(values.column("modality"), name)), minutes) for name in MODALITIES}


def _items(rows: dict[str, Any], chosen: Any, faulty: Any, name: str) -> tuple[Item, ...]:
    return (Item(name, ModalityBlock(*(rows[each][chosen] for each in MODALITIES)), faulty[chosen]),)


def _wide(values: pa.Table, minutes: int) -> npt.NDArray[np.float64]:
    told = values.column("column").combine_chunks().dictionary_encode()
    names, rank = np.unique(np.array(told.dictionary.to_pylist()), return_inverse=True)
    column = rank[told.indices.to_numpy()]
    counted = np.char.startswith(names, "count ")
    rows = np.full((minutes, len(names)), np.nan)
    rows[:, counted] = 0.0
    rows[values.column("minute").to_numpy(), column] = values.column("value").to_numpy()
    return rows


def _onsets(data: bytes) -> npt.NDArray[np.int64]:
    told = [entry for entries in json.loads(data).values() for entry in entries]
    moments = [datetime.strptime(entry["inject_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for entry in told]
    return np.array([int(moment.timestamp()) * NS_PER_S for moment in moments], np.int64)


def _csv(data: bytes) -> pa.Table:
    texts = ("TraceID", "SpanID", "ParentID", "PodName", "OperationName", "Log")
    return pacsv.read_csv(
        io.BytesIO(data),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip"),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in texts}, strings_can_be_null=False
        ),
    )


def _traces(data: bytes, minute: int, cells: Cells) -> npt.NDArray[np.int64]:
    """Take calls and mean times of each operation of a service; gives when the spans began."""
    table = _csv(data)
    starts = np.asarray(table["StartTimeUnixNano"].to_numpy(), np.int64)
    seconds = (table["EndTimeUnixNano"].to_numpy().astype(np.int64) - starts) / NS_PER_S
    services = {pod: service_node(pod) for pod in pc.unique(table["PodName"]).to_pylist()}
    named = [
        f"{services[pod]} {operation}"
        for pod, operation in zip(table["PodName"].to_pylist(), table["OperationName"].to_pylist(), strict=True)
    ]
    names, which = np.unique(np.array(named), return_inverse=True)
    counts, sums = np.bincount(which), np.bincount(which, weights=np.maximum(seconds, 0.0))
    for name, count, total in zip(names.tolist(), counts.tolist(), sums.tolist(), strict=True):
        cells["traces", minute, f"count {name}"] = float(np.log1p(count))
        cells["traces", minute, f"time {name}"] = float(np.log(total / count + 1e-6))
    return starts


def _logs(data: bytes, minute: int, miner: TemplateMiner, cells: Cells) -> None:
    if not data:
        return
    lines = _csv(data)["Log"].combine_chunks()
    ids, counts = np.unique(miner.match(lines, pa.nulls(len(lines), pa.int64())).to_numpy(), return_counts=True)
    for template, count in zip(ids.tolist(), counts.tolist(), strict=True):
        cells["logs", minute, f"count {template}"] = float(np.log1p(count))


def _metrics(name: str, data: bytes, minutes: list[tuple[str, int, bool]], cells: Cells) -> None:
    """Take the nearest point of each metric of a pod; what the machine beneath reports is not about the pod."""
    table = pacsv.read_csv(io.BytesIO(data))
    if not {"TimeStamp", "PodName"} <= set(table.column_names) or not table.num_rows:
        return
    owner = service_node(str(table["PodName"][0].as_py()))
    time_s = table["TimeStamp"].to_numpy().astype(np.float64)
    for at, (day, middle, _) in enumerate(minutes):
        nearest = int(np.abs(time_s - middle / NS_PER_S).argmin())
        if f"/{day}/" not in name or abs(time_s[nearest] - middle / NS_PER_S) > METRIC_NEAR_S:
            continue
        for column in table.column_names:
            value = table[column][nearest].as_py()
            if column not in _SHARED and not column.startswith("Node") and isinstance(value, int | float):
                cells["metrics", at, f"{owner} {column}"] = float(np.sign(value) * np.log1p(abs(value)))


DATA = (
    DataSpec(
        "nezha_minutes",
        1,
        "anomaly-detection",
        "modalities",
        "minutes of logs, traces and metrics of Train Ticket, learned on the fault-free ones of the other day",
        (SOURCE,),
        splits,
        "normal",
        quick=False,
        system="trainticket",
    ),
)
