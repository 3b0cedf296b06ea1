"""Log and span events of an incident, counted in windows: what came how often, how long it took, what followed.

Enters: a store, a time range, services. Leaves: EventCounts and EdgeGaps. Lines are counted in the store; spans, and
the lines on them, are read and taken apart trace by trace, of a share of the traces when there are very many. What
sends no spans itself, a database, an outside address, a service that is down, is seen through the spans of its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.diagnose.trace_events import LogRows, SpanRows, count, gaps, observe
from watchkeeper.diagnose.window import EdgeGap, EventCounts
from watchkeeper.signals.schema import SEVERITY_ERROR_MIN
from watchkeeper.signals.topology import NodeKind, database_name
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, json_object, rows

SUBJECTS_MAX = 2_000
SPANS_READ_MAX = 20_000
REQUEST_NS_MAX = 30 * SECOND_NS
_STATUS_ERROR = 2
_KIND_CLIENT = 3
_ADDRESS = ("peer.service", "service.peer.name", "server.address", "net.peer.name", "network.peer.address")
_ANSWER = " answer"


class Events(NamedTuple):
    """Counts by kind (`log`, `span`, `self`, `wait`, `step`), and the waits of callers for callees.

    one_of: 1 when every trace was read, n when one trace of n was.
    """

    counts: tuple[EventCounts, ...]
    gaps: tuple[EdgeGap, ...]
    one_of: int


NODE_SQL = f"""CASE WHEN contains(entity, '|gpu=')
        THEN '{NodeKind.GPU.value}:' || url_decode(regexp_extract(entity, '[|]gpu=([^|]*)', 1))
        ELSE '{NodeKind.SERVICE.value}:' || service END"""
"""What a line or reading is about: the GPU where its entity is one, else the service that sent it."""


def service_node(name: str) -> str:
    """Give the topology id of a service.

    >>> service_node("cart")
    'service:cart'
    """
    return f"{NodeKind.SERVICE.value}:{name}"


def events(
    store: Queryable,
    within: TimeRange,
    step_ns: int,
    services: Sequence[str],
    *,
    known: Collection[str],
    onset_unix_ns: int,
    template_text: Callable[[int], str],
) -> Events:
    """Read and count; `known` are the nodes of the topology. Cost: 20 microseconds a span, SPANS_READ_MAX at most."""
    if not services:
        return Events((), (), 1)
    steps = -(-within.width_ns // step_ns)
    starts = within.from_unix_ns + step_ns * np.arange(steps, dtype=np.int64)
    one_of = _one_of(store, within)
    # What began within the range is read to its end; else what it did later would seem not to have happened.
    reading = TimeRange(within.from_unix_ns, within.to_unix_ns + REQUEST_NS_MAX)
    spans = _spans(store, reading, one_of, known)
    lines = _lines(store, reading, one_of, services, template_text)
    found = [
        each
        for each in count(observe(spans, lines), starts, step_ns / SECOND_NS)
        # Lines are counted in full below, whether a span carries them or not.
        if each.kind != "log"
    ]
    waits = next((each for each in found if each.kind == "wait"), None)
    logs = log_events(store, within, step_ns, services, template_text)
    counts = (*([logs] if logs is not None else []), *(_largest(each) for each in found))
    return Events(counts, () if waits is None else gaps(waits, onset_unix_ns), one_of)


def log_events(
    store: Queryable, within: TimeRange, step_ns: int, services: Sequence[str], template_text: Callable[[int], str]
) -> EventCounts | None:
    """Count the lines of each template of each service a window; None when there are none."""
    found = rows(
        store,
        f"""SELECT {NODE_SQL} AS node, template_id, (time_unix_ns - ?) // ? AS step, count(*) AS n,
                   count(*) FILTER (severity_number >= {SEVERITY_ERROR_MIN}) AS errors
            FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IS NOT NULL
                 AND service IN ({_marks(services)})
            GROUP BY node, template_id, step ORDER BY node, template_id, step""",
        [within.from_unix_ns, step_ns, *within, *services],
        within=within,
    )
    if not found:
        return None
    place = {key: index for index, key in enumerate(dict.fromkeys((row["node"], row["template_id"]) for row in found))}
    steps = -(-within.width_ns // step_ns)
    counts, errors = np.zeros((len(place), steps), np.int64), np.zeros((len(place), steps), np.int64)
    for row in found:
        index = place[row["node"], row["template_id"]]
        counts[index, row["step"]], errors[index, row["step"]] = row["n"], row["errors"]
    return _largest(
        EventCounts(
            kind="log",
            nodes=tuple(node for node, _ in place),
            subjects=tuple(template_text(template_id) for _, template_id in place),
            counts=counts,
            errors=errors,
            starts_unix_ns=within.from_unix_ns + step_ns * np.arange(steps, dtype=np.int64),
            width_s=step_ns / SECOND_NS,
        )
    )


def _one_of(store: Queryable, within: TimeRange) -> int:
    found = rows(
        store,
        "SELECT count(*) AS n FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ?",
        [*within],
        within=within,
    )
    return max(1, -(-int(found[0]["n"]) // SPANS_READ_MAX))


def _spans(store: Queryable, within: TimeRange, one_of: int, known: Collection[str]) -> SpanRows:
    found = rows(
        store,
        f"""SELECT trace_id, span_id, parent_span_id, service, name, time_unix_ns, end_time_unix_ns, status_code,
                   CASE WHEN kind = {_KIND_CLIENT} THEN attributes END AS attributes
            FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? AND trace_id <> '' AND hash(trace_id) % ? = 0
            ORDER BY time_unix_ns, trace_id, span_id""",
        [*within, one_of],
        within=within,
    )
    answered = {(row["trace_id"], row["parent_span_id"]) for row in found}
    silent = [row for row in found if row["attributes"] and (row["trace_id"], row["span_id"]) not in answered]
    found += [_answer(row, node) for row in silent if (node := _callee(row, known))]
    return SpanRows(
        trace_ids=[row["trace_id"] for row in found],
        span_ids=[row["span_id"] for row in found],
        parent_ids=[row["parent_span_id"] for row in found],
        nodes=[row.get("node") or service_node(row["service"] or "") for row in found],
        operations=[row["name"] for row in found],
        starts_unix_ns=np.array([row["time_unix_ns"] for row in found], np.int64),
        ends_unix_ns=np.array([max(row["end_time_unix_ns"] or 0, row["time_unix_ns"]) for row in found], np.int64),
        failed=np.array([row["status_code"] == _STATUS_ERROR for row in found], bool),
    )


def _callee(row: dict[str, Any], known: Collection[str]) -> str:
    """Give the node that a client's span without an answering span speaks to, "" when it cannot be told.

    A service that sends spans of its own is taken for silent only where the call failed: its span may be on its way.
    """
    said = json_object(row["attributes"])
    address = next((str(said[name]) for name in _ADDRESS if said.get(name)), "")
    system = said.get("db.system.name") or said.get("db.system")
    if system:
        namespace = str(said.get("db.namespace") or said.get("db.name") or "")
        return f"{NodeKind.DATABASE.value}:{database_name(str(system), address, namespace, row['service'] or '')}"
    if not address:
        return ""
    if service_node(address) in known:
        return service_node(address) if row["status_code"] == _STATUS_ERROR else ""
    return f"{NodeKind.EXTERNAL.value}:{address}"


def _answer(row: dict[str, Any], node: str) -> dict[str, Any]:
    """Give the span that the callee would have sent: as long as its client's, and failed when that one did."""
    return {**row, "span_id": row["span_id"] + _ANSWER, "parent_span_id": row["span_id"], "node": node}


def _lines(
    store: Queryable, within: TimeRange, one_of: int, services: Sequence[str], template_text: Callable[[int], str]
) -> LogRows:
    """Read the lines that stand on a span of the traces that are read."""
    found = rows(
        store,
        f"""SELECT trace_id, span_id, service, template_id, time_unix_ns, severity_number
            FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IS NOT NULL AND trace_id <> ''
                 AND span_id <> '' AND hash(trace_id) % ? = 0 AND service IN ({_marks(services)})
            ORDER BY time_unix_ns, batch, row""",
        [*within, one_of, *services],
        within=within,
    )
    return LogRows(
        trace_ids=[row["trace_id"] for row in found],
        span_ids=[row["span_id"] for row in found],
        nodes=[service_node(row["service"]) for row in found],
        templates=[template_text(row["template_id"]) for row in found],
        times_unix_ns=np.array([row["time_unix_ns"] for row in found], np.int64),
        failed=np.array([row["severity_number"] >= SEVERITY_ERROR_MIN for row in found], bool),
    )


def _largest(found: EventCounts) -> EventCounts:
    """Keep the most frequent rows, SUBJECTS_MAX of them at most, in their order."""
    if len(found.subjects) <= SUBJECTS_MAX:
        return found
    kept = np.sort(np.argsort(-found.counts.sum(axis=1), kind="stable")[:SUBJECTS_MAX])
    return replace(
        found,
        nodes=tuple(found.nodes[row] for row in kept),
        subjects=tuple(found.subjects[row] for row in kept),
        counts=found.counts[kept],
        errors=found.errors[kept],
        duration_s=None if found.duration_s is None else found.duration_s[kept],
        callers=tuple(found.callers[row] for row in kept) if found.callers else (),
    )


def _marks(services: Sequence[str]) -> str:
    return ", ".join("?" * len(services))
