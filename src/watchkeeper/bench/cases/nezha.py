"""The labelled incidents of the Nezha data sets (Yu et al., ESEC/FSE 2023): metrics, logs and traces, pod and region.

Enters: the packed set. Leaves: Cases with an IncidentWindow each, and fault-free ones of the minutes before faults.
What a window holds is what was recorded up to its end: of logs and traces, the minutes of the incident, the set's
fault-free reference if it lies before, and the last normal minutes before earlier incidents of that day; of metrics,
the last two hours. The list of faults only says where incidents begin, which minutes are normal, and what is true.
Nothing here knows a service by its name; Train Ticket and Online Boutique are laid out alike.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from watchkeeper.bench.cases.base import NS_PER_S, Case
from watchkeeper.bench.cases.nezha_lines import LineText, line_texts
from watchkeeper.datasets.read import read_members
from watchkeeper.diagnose.base import Indicator, IndicatorKind
from watchkeeper.diagnose.trace_events import ARROW, LogRows, Observed, SpanRows, count, gaps, observe
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series
from watchkeeper.errors import DataSetError
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.signals.aspect import aspect_of
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

WINDOW_S = 10
INCIDENT_S = 180
QUIET_S = 60
NORMAL_STRETCHES_MAX = 30
METRICS_S = 7_200
EVENING_S = 1_800
EVENING_STEP_S = 900

Int64s = npt.NDArray[np.int64]
_MEMBER = re.compile(
    r"(?:.*/)?(?P<root>rca_data|construct_data)/(?P<day>[\d-]+)/(?P<kind>trace|log|metric)/(?P<name>[^/]+)\.csv$"
)
_POD = re.compile(r"^(?P<service>.+)-[a-z0-9]{6,10}-[a-z0-9]{5}$")
_KINDS = {"cpu_contention": "cpu", "cpu_consumed": "cpu", "network_delay": "delay"}
"""How a fault is told apart here; what is not listed keeps its own name (`return`, `exception`)."""


@dataclass(frozen=True)
class Fault:
    """One entry of the list of faults."""

    day: str
    onset_unix_ns: int
    pod: str
    kind: str

    @property
    def node(self) -> str:
        """Give the topology id of the faulty service."""
        return service_node(self.pod)


class Stretch(NamedTuple):
    """What was observed in one recorded file of about a minute; times are those of its traces' beginnings."""

    from_unix_ns: int
    to_unix_ns: int
    observed: tuple[Observed, ...]
    calls: dict[tuple[str, str], int]


class _Day(NamedTuple):
    faults: list[Fault]
    stretches: list[Stretch]
    reference: list[Stretch]
    series: list[Series]


def service_node(pod: str) -> str:
    """Give the topology id of the service of a pod by the naming of Kubernetes deployments.

    >>> service_node("cart-service-866bd68c97-xcqfx")
    'service:cart-service'
    """
    named = _POD.match(pod)
    return f"{NodeKind.SERVICE.value}:{named['service'] if named else pod}"


def cases(name: str, folder: Path, *, limit: int | None = None) -> list[Case]:
    """Give the labelled incidents of the set, in the order of time; with `limit`, the first of each day only.

    Cost: about half a minute of a core for the 45 of Train Ticket.
    """
    days, truths = _read(name, folder, limit)
    return [
        _case(day, fault, number, truths)
        for _, day in sorted(days.items())
        for number, fault in enumerate(day.faults[:limit])
    ]


@dataclass(frozen=True)
class Everything:
    """All that the set gives: incidents, the minute before each, and windows of which no fault is listed near.

    minutes_before: fault-free by the list of faults; in many of them the coming fault shows already, for the list is
    up to a minute late. quiet: parts of the fault-free reference, with logs and traces, and of the hours after the
    last fault of a day, of which there are metrics only.
    """

    incidents: list[Case]
    minutes_before: list[Case]
    quiet: list[Case]


def everything(name: str, folder: Path, *, limit: int | None = None) -> Everything:
    """Give the labelled incidents and all fault-free windows; with `limit`, of the first faults of each day only."""
    days, truths = _read(name, folder, limit)
    found = Everything([], [], [])
    for _, day in sorted(days.items()):
        for number, fault in enumerate(day.faults[:limit]):
            found.incidents.append(_case(day, fault, number, truths))
            calm = _before(day, fault, number)
            if calm is not None:
                found.minutes_before.append(calm)
        found.quiet.extend(_quiet(day))
    return found


def region_matches(indicator: Indicator, case: Case) -> bool:
    """Tell whether an indicator is the true inner region, or the true resource.

    A region is told by two texts: the events before and after it; both must be in the indicator's events, in that
    order. A resource is told by a metric's name; the indicator's must be of the same aspect.
    """
    if not case.truth_indicators:
        return False
    truth = case.truth_indicators[0]
    before, between, after = truth.partition(ARROW)
    if not between:
        return indicator.kind is IndicatorKind.METRIC and aspect_of(indicator.name) == aspect_of(truth)
    first, _, second = indicator.name.partition(ARROW)
    return before in first and after in second


def _read(name: str, folder: Path, limit: int | None) -> tuple[dict[str, _Day], dict[str, dict[str, str]]]:
    files: dict[tuple[str, str, str], dict[str, bytes]] = {}
    listed: dict[str, Any] = {}
    truths: dict[str, dict[str, str]] = {}

    def wanted(member: str) -> bool:
        return member.endswith(".csv") or "fault_list" in member or "root_cause" in member

    for member, data in read_members(name, folder, wanted):
        found = _MEMBER.match(member)
        if found:
            files.setdefault((found["day"], found["root"], found["kind"]), {})[found["name"]] = data
        elif "fault_list" in member:
            listed[Path(member).parent.name] = json.loads(data)
        elif "root_cause" in member:
            truths |= json.loads(data)
    if not listed:
        raise DataSetError(f"the data set {name} in {folder} has no list of faults; fetch it again")
    texts = LineText(TemplateMiner())
    days = {}
    for day, hours in sorted(listed.items()):
        faults = sorted(_faults(day, hours), key=lambda fault: fault.onset_unix_ns)
        until = max(fault.onset_unix_ns for fault in faults[:limit]) + INCIDENT_S * NS_PER_S
        recorded, reference = (
            _stretches(files.get((day, root, "trace"), {}), files.get((day, root, "log"), {}), texts, day, until)
            for root in ("rca_data", "construct_data")
        )
        series = [one for data in files.get((day, "rca_data", "metric"), {}).items() for one in _series(*data)]
        days[day] = _Day(faults, recorded, reference, series)
    return days, truths


def _faults(day: str, hours: Mapping[str, list[dict[str, str]]]) -> Iterator[Fault]:
    for entries in hours.values():
        for entry in entries:
            moment = datetime.strptime(entry["inject_time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            yield Fault(day, int(moment.timestamp()) * NS_PER_S, entry["inject_pod"], entry["inject_type"])


def _stretches(
    traces: Mapping[str, bytes], logs: Mapping[str, bytes], texts: LineText, day: str, until: int
) -> list[Stretch]:
    """Read the recorded minutes in their order; a trace that two files hold is taken once."""
    found: list[Stretch] = []
    reached = 0
    for name in sorted(traces):
        clock = datetime.strptime(f"{day} {name[:5]}", "%Y-%m-%d %H_%M").replace(tzinfo=UTC)
        if clock.timestamp() * NS_PER_S > until + 120 * NS_PER_S:
            continue
        stretch = _stretch(traces[name], logs.get(name.replace("trace", "log"), b""), texts, reached)
        if stretch is not None:
            found.append(stretch)
            reached = max(reached, stretch.to_unix_ns)
    return found


def _stretch(trace: bytes, log: bytes, texts: LineText, reached: int) -> Stretch | None:
    table = _table(trace)
    starts = table["StartTimeUnixNano"].to_numpy().astype(np.int64)
    ids, which = np.unique(np.array(table["TraceID"].to_pylist(), object).astype(str), return_inverse=True)
    begins = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(begins, which, starts)
    kept = np.flatnonzero(begins[which] > reached)
    if not len(kept):
        return None
    table = table.take(pa.array(kept))
    nodes = _nodes(table["PodName"].to_pylist())
    spans = SpanRows(
        table["TraceID"].to_pylist(),
        table["SpanID"].to_pylist(),
        table["ParentID"].to_pylist(),
        nodes,
        table["OperationName"].to_pylist(),
        starts[kept],
        table["EndTimeUnixNano"].to_numpy().astype(np.int64),
        np.zeros(len(kept), bool),
    )
    known = begins[begins > reached]
    lines = _log_rows(log, texts, set(ids[begins > reached].tolist()))
    return Stretch(int(known.min()), int(known.max()), observe(spans, lines), _calls(spans))


def _log_rows(log: bytes, texts: LineText, traces: set[str]) -> LogRows:
    if not log:
        return LogRows((), (), (), (), np.zeros(0, np.int64), np.zeros(0, bool))
    table = _table(log)
    kept = [row for row, trace in enumerate(table["TraceID"].to_pylist()) if trace in traces]
    table = table.take(pa.array(kept, pa.int64()))
    times = table["TimeUnixNano"].to_numpy().astype(np.int64)
    lines = line_texts(table["Log"].to_pylist(), times, texts)
    return LogRows(
        table["TraceID"].to_pylist(),
        table["SpanID"].to_pylist(),
        _nodes(table["PodName"].to_pylist()),
        lines.templates,
        times,
        lines.failed,
    )


def _nodes(pods: list[str]) -> list[str]:
    named = {pod: service_node(pod) for pod in set(pods)}
    return [named[pod] for pod in pods]


def _calls(spans: SpanRows) -> dict[tuple[str, str], int]:
    node_of = dict(zip(zip(spans.trace_ids, spans.span_ids, strict=True), spans.nodes, strict=True))
    calls: dict[tuple[str, str], int] = {}
    for trace, parent, node in zip(spans.trace_ids, spans.parent_ids, spans.nodes, strict=True):
        caller = node_of.get((trace, parent), node)
        if caller != node:
            calls[caller, node] = calls.get((caller, node), 0) + 1
    return calls


def _table(data: bytes) -> pa.Table:
    ids = ("TraceID", "SpanID", "ParentID", "PodName", "OperationName", "Log")
    return pacsv.read_csv(
        io.BytesIO(data),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip"),
        convert_options=pacsv.ConvertOptions(
            column_types={name: pa.string() for name in ids}, strings_can_be_null=False
        ),
    )


def _series(name: str, data: bytes) -> Iterator[Series]:
    """Read the metrics of one pod; tables that are not about a pod are about edges or users, and are left out."""
    rows = list(csv.reader(io.StringIO(data.decode())))
    heads = rows[0]
    if "PodName" not in heads or "TimeStamp" not in heads or len(rows) < 2:
        return
    time, pod = heads.index("TimeStamp"), heads.index("PodName")
    node = service_node(rows[1][pod])
    body = [row for row in rows[1:] if len(row) == len(heads)]
    times = np.array([int(float(row[time])) for row in body], np.int64) * NS_PER_S
    order = np.argsort(times, kind="stable")
    for column, head in enumerate(heads):
        # What the machine beneath reports is not told apart by pod, so it is no evidence about one.
        if head in ("Time", "TimeStamp", "PodName") or head.startswith("Node"):
            continue
        values = np.array([float(row[column]) if row[column] else np.nan for row in body])
        yield Series(node, head, Aspect(aspect_of(head)), times[order], values[order])


def _case(day: _Day, fault: Fault, number: int, truths: Mapping[str, Mapping[str, str]]) -> Case:
    until = fault.onset_unix_ns + INCIDENT_S * NS_PER_S
    window = _window(day, fault.onset_unix_ns, until, number)
    region = truths.get(fault.node.partition(":")[2], {}).get(fault.kind, "")
    return Case(
        id=f"{fault.day} {datetime.fromtimestamp(fault.onset_unix_ns / NS_PER_S, UTC):%H:%M:%S} {fault.kind}",
        group=fault.day,
        window=window,
        truth_nodes=(fault.node,),
        truth_indicators=(region.replace("_", ARROW, 1),) if region else (),
        kind=_KINDS.get(fault.kind, fault.kind),
        attributes={"pod": fault.pod, "service": fault.node},
    )


def _before(day: _Day, fault: Fault, number: int) -> Case | None:
    """Give the last minute before a fault as if it were an incident; None when nothing was recorded before it."""
    onset = fault.onset_unix_ns - QUIET_S * NS_PER_S
    case = _calm(day, onset, fault.onset_unix_ns, number)
    sides = [one.counts[:, one.starts_unix_ns >= onset] for one in case.window.events]
    both = any(part.any() for part in sides) and any((one.starts_unix_ns < onset).any() for one in case.window.events)
    return case if both else None


def _quiet(day: _Day) -> Iterator[Case]:
    """Give the latter half of each reference stretch, and three minutes of each quarter of an hour of the evening."""
    for one in day.reference:
        middle = (one.from_unix_ns + one.to_unix_ns) // 2
        number = sum(fault.onset_unix_ns < one.from_unix_ns for fault in day.faults)
        yield _calm(day, middle, one.to_unix_ns, number)
    last = max((int(one.times_unix_ns[-1]) for one in day.series), default=0)
    start = max(fault.onset_unix_ns for fault in day.faults) + EVENING_S * NS_PER_S
    for onset in range(start, last - INCIDENT_S * NS_PER_S, EVENING_STEP_S * NS_PER_S):
        yield _calm(day, onset, onset + INCIDENT_S * NS_PER_S, len(day.faults) - 1)


def _calm(day: _Day, onset: int, until: int, number: int) -> Case:
    moment = datetime.fromtimestamp(onset / NS_PER_S, UTC)
    return Case(
        id=f"{moment:%Y-%m-%d %H:%M:%S} quiet", group=day.faults[0].day, window=_window(day, onset, until, number)
    )


def _window(day: _Day, onset: int, until: int, number: int) -> IncidentWindow:
    """Gather what was recorded before `until`: the incident, and normal stretches before the onset."""
    ends = [fault.onset_unix_ns for fault in day.faults[: number + 1]]
    ranges = [(one.from_unix_ns, min(one.to_unix_ns, onset)) for one in day.reference if one.from_unix_ns < onset]
    before = [(begun, end) for begun, end in [(0, ends[0]), *pairwise(ends)] if begun < onset]
    for begun, end in before[-NORMAL_STRETCHES_MAX:]:
        calm_from = max(end - 2 * QUIET_S * NS_PER_S, begun + INCIDENT_S * NS_PER_S)
        ranges.append((calm_from, min(end, onset)))
    ranges.append((onset, until))
    sources = [one for one in (*day.reference, *day.stretches) if one.from_unix_ns < until]
    sources = [one for one in sources if any(one.from_unix_ns < to and one.to_unix_ns >= begin for begin, to in ranges)]
    starts = _grid(ranges, sources, onset)
    events = count((part for one in sources for part in one.observed), starts, WINDOW_S)
    waits = [one for one in events if one.kind == "wait"]
    return IncidentWindow(
        baseline_from_unix_ns=min([onset - METRICS_S * NS_PER_S, *starts[:1].tolist()]),
        onset_unix_ns=onset,
        until_unix_ns=until,
        nodes=tuple(sorted({one.node for one in day.series}.union(*(each.nodes for each in events)))),
        topology=_topology(sources),
        series=tuple(_cut(one, onset - METRICS_S * NS_PER_S, until) for one in day.series),
        events=events,
        gaps=gaps(waits[0], onset) if waits else (),
    )


def _grid(ranges: list[tuple[int, int]], sources: list[Stretch], onset: int) -> Int64s:
    """Give the beginnings of all windows that lie wholly in a range and in what was recorded; the onset begins one."""
    width = WINDOW_S * NS_PER_S
    starts: set[int] = set()
    for begin, to in ranges:
        first, last = -((onset - begin) // width), (to - onset) // width
        starts.update(onset + step * width for step in range(first, last))
    kept = [
        start for start in sorted(starts) if any(one.from_unix_ns - width < start <= one.to_unix_ns for one in sources)
    ]
    return np.array(kept, np.int64)


def _cut(series: Series, from_unix_ns: int, until_unix_ns: int) -> Series:
    within = (series.times_unix_ns >= from_unix_ns) & (series.times_unix_ns < until_unix_ns)
    return Series(
        series.node, series.name, series.aspect, series.times_unix_ns[within], series.values[within], series.unit
    )


def _topology(sources: list[Stretch]) -> Topology:
    calls: dict[tuple[str, str], int] = {}
    for one in sources:
        for edge, number in one.calls.items():
            calls[edge] = calls.get(edge, 0) + number
    names = sorted({node for edge in calls for node in edge})
    return Topology(
        nodes=tuple(Node(NodeKind.SERVICE, name.partition(":")[2]) for name in names),
        edges=tuple(Edge(*edge, EdgeKind.CALLS, number) for edge, number in sorted(calls.items())),
    )
