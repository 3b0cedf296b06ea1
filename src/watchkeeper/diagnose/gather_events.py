"""Log and span events of an incident, counted in windows, and what callers waited for beyond their callees.

Enters: a store, a time range, services. Leaves: EventCounts and EdgeGaps. Each function is one statement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from watchkeeper.diagnose.window import EdgeGap, EventCounts
from watchkeeper.signals.schema import SEVERITY_ERROR_MIN
from watchkeeper.signals.topology import NodeKind
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, rows

SUBJECTS_MAX = 2_000
_STATUS_ERROR = 2
_KIND_CLIENT, _KIND_PRODUCER = 3, 4


def service_node(name: str) -> str:
    """Give the topology id of a service.

    >>> service_node("cart")
    'service:cart'
    """
    return f"{NodeKind.SERVICE.value}:{name}"


def log_events(
    store: Queryable, within: TimeRange, step_ns: int, services: Sequence[str], template_text: Callable[[int], str]
) -> EventCounts | None:
    """Count the lines of each template of each service a window; None when there are none."""
    if not services:
        return None
    found = rows(
        store,
        f"""SELECT service, template_id AS subject, '' AS caller, (time_unix_ns - ?) // ? AS step, count(*) AS n,
                   count(*) FILTER (severity_number >= {SEVERITY_ERROR_MIN}) AS errors, NULL AS duration_s
            FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND template_id IS NOT NULL
                 AND service IN ({_marks(services)})
            GROUP BY service, template_id, step ORDER BY service, template_id, step""",
        [within.from_unix_ns, step_ns, *within, *services],
        within=within,
    )
    return _counts("log", found, within, step_ns, lambda subject: template_text(int(subject)))


def span_events(store: Queryable, within: TimeRange, step_ns: int, services: Sequence[str]) -> EventCounts | None:
    """Count the spans of each operation of each service a window, with median durations; None when there are none.

    The caller of an operation is the service whose span is the parent most often, "" at the edge.
    """
    if not services:
        return None
    found = rows(
        store,
        f"""WITH chosen AS (
                SELECT trace_id, span_id, parent_span_id, service, name, time_unix_ns, duration_ns, status_code, kind
                FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ?),
            called AS (
                SELECT s.service, s.name, s.time_unix_ns, s.duration_ns, s.status_code,
                       CASE WHEN p.service <> s.service THEN p.service ELSE '' END AS caller
                FROM chosen s LEFT JOIN chosen p ON s.trace_id = p.trace_id AND s.parent_span_id = p.span_id
                WHERE s.service IN ({_marks(services)}) AND s.kind NOT IN ({_KIND_CLIENT}, {_KIND_PRODUCER})),
            callers AS (SELECT service, name, mode(coalesce(caller, '')) AS caller FROM called GROUP BY 1, 2)
            SELECT c.service, c.name AS subject, any_value(callers.caller) AS caller,
                   (c.time_unix_ns - ?) // ? AS step, count(*) AS n,
                   count(*) FILTER (c.status_code = {_STATUS_ERROR}) AS errors,
                   median(c.duration_ns) / 1e9 AS duration_s
            FROM called c JOIN callers USING (service, name)
            GROUP BY c.service, c.name, step ORDER BY c.service, c.name, step""",
        [*within, *services, within.from_unix_ns, step_ns],
        within=within,
    )
    return _counts("span", found, within, step_ns, str)


def edge_gaps(store: Queryable, within: TimeRange, onset_unix_ns: int, services: Sequence[str]) -> tuple[EdgeGap, ...]:
    """Give, for each pair of caller and callee, the median of client span minus server span, before and during."""
    if not services:
        return ()
    found = rows(
        store,
        f"""WITH chosen AS (
                SELECT trace_id, span_id, parent_span_id, service, time_unix_ns, duration_ns
                FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ?)
            SELECT c.service AS caller, s.service AS callee,
                   median(c.duration_ns - s.duration_ns) FILTER (s.time_unix_ns < ?) / 1e9 AS before_s,
                   median(c.duration_ns - s.duration_ns) FILTER (s.time_unix_ns >= ?) / 1e9 AS during_s,
                   count(*) FILTER (s.time_unix_ns < ?) AS calls_before,
                   count(*) FILTER (s.time_unix_ns >= ?) AS calls_during
            FROM chosen s JOIN chosen c ON s.trace_id = c.trace_id AND s.parent_span_id = c.span_id
            WHERE c.service <> s.service AND s.service IN ({_marks(services)})
            GROUP BY 1, 2 ORDER BY 1, 2""",
        [*within, *[onset_unix_ns] * 4, *services],
        within=within,
    )
    return tuple(
        EdgeGap(
            caller=service_node(row["caller"]),
            callee=service_node(row["callee"]),
            before_s=_number(row["before_s"]),
            during_s=_number(row["during_s"]),
            calls_before=row["calls_before"],
            calls_during=row["calls_during"],
        )
        for row in found
    )


def _counts(
    kind: str, found: list[dict[str, Any]], within: TimeRange, step_ns: int, text: Callable[[Any], str]
) -> EventCounts | None:
    """Lay rows of (service, subject, step) out as matrices; the most frequent SUBJECTS_MAX subjects are kept."""
    totals: dict[tuple[str, Any], int] = {}
    for row in found:
        key = (row["service"], row["subject"])
        totals[key] = totals.get(key, 0) + row["n"]
    if not totals:
        return None
    kept = sorted(totals, key=lambda key: -totals[key])[:SUBJECTS_MAX]
    place = {key: index for index, key in enumerate(sorted(kept))}
    steps = -(-within.width_ns // step_ns)
    counts, errors = np.zeros((len(place), steps), np.int64), np.zeros((len(place), steps), np.int64)
    durations = np.full((len(place), steps), np.nan)
    callers = [""] * len(place)
    for row in found:
        index = place.get((row["service"], row["subject"]))
        if index is None:
            continue
        counts[index, row["step"]], errors[index, row["step"]] = row["n"], row["errors"]
        durations[index, row["step"]] = _number(row["duration_s"])
        callers[index] = service_node(row["caller"]) if row["caller"] else ""
    return EventCounts(
        kind=kind,
        nodes=tuple(service_node(service) for service, _ in place),
        subjects=tuple(text(subject) for _, subject in place),
        counts=counts,
        errors=errors,
        starts_unix_ns=within.from_unix_ns + step_ns * np.arange(steps, dtype=np.int64),
        width_s=step_ns / SECOND_NS,
        duration_s=durations if kind == "span" else None,
        callers=tuple(callers) if kind == "span" else (),
    )


def _marks(services: Sequence[str]) -> str:
    return ", ".join("?" * len(services))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
