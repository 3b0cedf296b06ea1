"""What spans and their log lines tell beyond themselves: what follows what, own time, and waiting between services.

Enters: spans and log lines of some stretch of time. Leaves: `Observed`, flat lists of happenings by kind, which `count`
lays out as EventCounts in windows. Kinds: `log` and `span`; `step`, the continuation of an event within its span
("A → B", beside a row for "A" alone, so that a share can be told); `self`, an operation and its own time without its
children; `wait`, an operation of a callee and what its caller waited beyond it. Judges nothing, does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.window import EdgeGap, EventCounts

ARROW = " → "
"""Stands between an event and what follows it in the subject of a `step`."""
END = "end"
NS_PER_S = 1_000_000_000

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class SpanRows(NamedTuple):
    """Spans, one a row; ids as text, parents "" or unknown at the root, nodes are topology ids."""

    trace_ids: Sequence[str]
    span_ids: Sequence[str]
    parent_ids: Sequence[str]
    nodes: Sequence[str]
    operations: Sequence[str]
    starts_unix_ns: Int64s
    ends_unix_ns: Int64s
    failed: Flags


class LogRows(NamedTuple):
    """Log lines, one a row; `templates` are texts, trace and span ids "" where the line carries none."""

    trace_ids: Sequence[str]
    span_ids: Sequence[str]
    nodes: Sequence[str]
    templates: Sequence[str]
    times_unix_ns: Int64s
    failed: Flags


class Name(NamedTuple):
    """What happened where; `caller` is "" where it is unknown or does not apply."""

    node: str
    subject: str
    caller: str = ""


class Observed(NamedTuple):
    """Happenings of one kind, (n,) each: `codes` point into `names`; `duration_s` is NaN for kinds without one."""

    kind: str
    names: list[Name]
    codes: Int64s
    times_unix_ns: Int64s
    duration_s: Floats
    failed: Flags


class _Taken:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.codes_of: dict[Name, int] = {}
        self.codes: list[int] = []
        self.times: list[int] = []
        self.durations: list[float] = []
        self.failed: list[bool] = []

    def add(self, name: Name, time: int, duration_s: float = np.nan, *, failed: bool = False) -> None:
        self.codes.append(self.codes_of.setdefault(name, len(self.codes_of)))
        self.times.append(time)
        self.durations.append(duration_s)
        self.failed.append(failed)

    def observed(self) -> Observed:
        return Observed(
            self.kind,
            list(self.codes_of),
            np.array(self.codes, np.int64),
            np.array(self.times, np.int64),
            np.array(self.durations, np.float64),
            np.array(self.failed, bool),
        )


def observe(spans: SpanRows, logs: LogRows) -> tuple[Observed, ...]:
    """Take apart spans and lines of the same stretch of time; a span whose parent is not among them is a root.

    Cost: about 10 microseconds a row.
    """
    place = {key: row for row, key in enumerate(zip(spans.trace_ids, spans.span_ids, strict=True))}
    parents = [place.get(key, -1) for key in zip(spans.trace_ids, spans.parent_ids, strict=True)]
    children: list[list[int]] = [[] for _ in parents]
    for row, parent in enumerate(parents):
        if 0 <= parent != row:
            children[parent].append(row)
    starts, ends = spans.starts_unix_ns.tolist(), spans.ends_unix_ns.tolist()
    lines: list[list[int]] = [[] for _ in parents]
    for row, key in enumerate(zip(logs.trace_ids, logs.span_ids, strict=True)):
        if key in place:
            lines[place[key]].append(row)
    return (
        _lines(logs),
        *_timed(spans, parents, children, starts, ends),
        _steps(spans, logs, children, lines, starts),
    )


def _lines(logs: LogRows) -> Observed:
    taken = _Taken("log")
    rows = zip(logs.nodes, logs.templates, logs.times_unix_ns.tolist(), logs.failed.tolist(), strict=True)
    for node, template, time, failed in rows:
        taken.add(Name(node, template), time, failed=failed)
    return taken.observed()


def _timed(
    spans: SpanRows, parents: list[int], children: list[list[int]], starts: list[int], ends: list[int]
) -> tuple[Observed, Observed, Observed]:
    whole, own, wait = _Taken("span"), _Taken("self"), _Taken("wait")
    for row, (node, operation, parent) in enumerate(zip(spans.nodes, spans.operations, parents, strict=True)):
        start, end, failed = starts[row], ends[row], bool(spans.failed[row])
        caller = spans.nodes[parent] if parent >= 0 and spans.nodes[parent] != node else ""
        whole.add(Name(node, operation, caller), start, (end - start) / NS_PER_S, failed=failed)
        if caller:
            waited = (ends[parent] - starts[parent]) - (end - start)
            # With several callees below one client span, what is waited for which of them cannot be told.
            if len(children[parent]) == 1:
                wait.add(Name(node, operation, caller), start, max(waited, 0) / NS_PER_S)
        # A span around calls to other services measures waiting, not work.
        if all(spans.nodes[child] == node for child in children[row]):
            covered = _covered([(starts[child], ends[child]) for child in children[row]], start, end)
            own.add(Name(node, operation), start, (end - start - covered) / NS_PER_S)
    return whole.observed(), own.observed(), wait.observed()


def _covered(intervals: list[tuple[int, int]], start: int, end: int) -> int:
    covered, reached = 0, start
    for begin, stop in sorted(intervals):
        begin, stop = max(begin, reached), min(stop, end)
        if stop > begin:
            covered, reached = covered + stop - begin, stop
    return covered


def _steps(
    spans: SpanRows, logs: LogRows, children: list[list[int]], lines: list[list[int]], starts: list[int]
) -> Observed:
    """Lines follow each other along a span, from its start to its end; a call branches off the line before it."""
    steps = _Taken("step")
    times = logs.times_unix_ns.tolist()
    for row, node in enumerate(spans.nodes):
        own = [child for child in children[row] if spans.nodes[child] == node]
        if not lines[row] and not own:
            continue
        happened = [(times[line], 0, line) for line in lines[row]] + [(starts[child], 1, child) for child in own]
        at, time = f"{spans.operations[row]} start", starts[row]
        steps.add(Name(node, at), time)
        called: set[str] = set()
        for moment, is_call, which in sorted(happened):
            follower = f"{spans.operations[which]} start" if is_call else logs.templates[which]
            if is_call and follower not in called:
                called.add(follower)
                steps.add(Name(node, f"{at}{ARROW}{follower}"), time)
            if not is_call:
                steps.add(Name(node, f"{at}{ARROW}{follower}"), time, failed=bool(logs.failed[which]))
                at, time, called = follower, moment, set()
                steps.add(Name(node, at), time)
        steps.add(Name(node, f"{at}{ARROW}{END}"), time)
    return steps.observed()


def count(observed: Iterable[Observed], starts_unix_ns: Int64s, width_s: float) -> tuple[EventCounts, ...]:
    """Lay happenings out in windows, one EventCounts a kind; what falls in no window is left out.

    starts_unix_ns: (W,) ascending, windows may leave gaps between them. Rows are in the order of their names.
    """
    width = round(width_s * NS_PER_S)
    kinds: dict[str, list[Observed]] = {}
    for one in observed:
        if len(one.codes):
            kinds.setdefault(one.kind, []).append(one)
    return tuple(_count(kind, parts, starts_unix_ns, width) for kind, parts in kinds.items())


def _count(kind: str, parts: list[Observed], starts: Int64s, width: int) -> EventCounts:
    times = np.concatenate([part.times_unix_ns for part in parts])
    column = np.searchsorted(starts, times, side="right") - 1
    inside = (column >= 0) & (times - starts[np.maximum(column, 0)] < width)
    names = sorted({name for part in parts for name in part.names})
    place = {name: row for row, name in enumerate(names)}
    row = np.concatenate(
        [np.array([place[name] for name in part.names], np.int64)[part.codes] for part in parts if len(part.codes)]
    )
    cell = (row * len(starts) + column)[inside]
    shape = (len(names), len(starts))
    failed = np.concatenate([part.failed for part in parts])[inside]
    durations = np.concatenate([part.duration_s for part in parts])[inside]
    return EventCounts(
        kind=kind,
        nodes=tuple(name.node for name in names),
        subjects=tuple(name.subject for name in names),
        counts=np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape),
        errors=np.bincount(cell[failed], minlength=shape[0] * shape[1]).reshape(shape),
        starts_unix_ns=starts,
        width_s=width / NS_PER_S,
        duration_s=_medians(cell, durations, shape) if kind in ("span", "self", "wait") else None,
        callers=tuple(name.caller for name in names) if kind in ("span", "wait") else (),
    )


def _medians(cell: Int64s, values: Floats, shape: tuple[int, int]) -> Floats:
    found = np.full(shape[0] * shape[1], np.nan)
    if len(cell):
        order = np.lexsort((values, cell))
        cells, first, size = np.unique(cell[order], return_index=True, return_counts=True)
        ordered = values[order]
        found[cells] = (ordered[first + (size - 1) // 2] + ordered[first + size // 2]) / 2
    return found.reshape(shape)


def gaps(waits: EventCounts, onset_unix_ns: int) -> tuple[EdgeGap, ...]:
    """Give for each caller and callee the median wait before and from the onset on; NaN where there was no call."""
    assert waits.duration_s is not None
    before = waits.starts_unix_ns < onset_unix_ns
    edges: dict[tuple[str, str], list[int]] = {}
    for row, edge in enumerate(zip(waits.callers, waits.nodes, strict=True)):
        edges.setdefault(edge, []).append(row)
    found = []
    for (caller, callee), rows in edges.items():
        calls, seconds = waits.counts[rows], waits.duration_s[rows]
        found.append(
            EdgeGap(
                caller,
                callee,
                weighted_median(seconds[:, before], calls[:, before]),
                weighted_median(seconds[:, ~before], calls[:, ~before]),
                int(calls[:, before].sum()),
                int(calls[:, ~before].sum()),
            )
        )
    return tuple(found)


def weighted_median(values: Floats, weights: Int64s) -> float:
    """Give the value below and above which lies half the weight; NaN when there is none.

    >>> weighted_median(np.array([1.0, 2.0, 9.0]), np.array([1, 5, 1]))
    2.0
    """
    flat, weight = values.ravel(), np.where(np.isnan(values), 0, weights).ravel()
    if not weight.sum():
        return float("nan")
    order = np.argsort(flat, kind="stable")
    reached = np.cumsum(weight[order])
    return float(flat[order][np.searchsorted(reached, reached[-1] / 2)])
