"""Traces for pages: a list of summaries, and all spans of one.

Enters: a TraceFilter and a store. Leaves: TraceSummaries and Spans of docs/api.md. A trace belongs to a range when one
of its spans begins there; its summary then counts the spans within an hour around the range too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from watchkeeper.signals.schema import TIME_MAX_UNIX_NS
from watchkeeper.store.reads.base import ALL_TIME, SECOND_NS, Queryable, TimeRange, json_list, json_object, rows

AROUND_NS = 3600 * SECOND_NS
SPANS_MAX = 20_000
LOOKBACKS_NS = (3600 * SECOND_NS, 24 * 3600 * SECOND_NS)

STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2
STATUS_NAMES = {STATUS_UNSET: "unset", STATUS_OK: "ok", STATUS_ERROR: "error"}
SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True)
class TraceFilter:
    """Which traces: one span of `service` and `operation` (both exact), lasting so long, with or without an error."""

    service: str = ""
    operation: str = ""
    min_duration_ms: float = 0.0
    status: str = ""


def list_traces(store: Queryable, trace_filter: TraceFilter, within: TimeRange, *, limit: int) -> list[dict[str, Any]]:
    """Give up to `limit` summaries, the latest begun first; cost: one pass over the spans of the range."""
    having, parameters = _having(trace_filter)
    chosen = rows(
        store,
        f"""SELECT trace_id FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? AND trace_id <> ''
            GROUP BY trace_id {having} ORDER BY min(time_unix_ns) DESC, trace_id LIMIT ?""",
        [*within, *parameters, limit],
        within=within,
    )
    trace_ids = [row["trace_id"] for row in chosen]
    if not trace_ids:
        return []
    around = _widened(within)
    found = rows(
        store,
        f"""SELECT trace_id, count(*) AS spans, count(*) FILTER (status_code = {STATUS_ERROR}) AS errors,
                   min(time_unix_ns) AS start_unix_ns, max(greatest(end_time_unix_ns, time_unix_ns)) AS end_unix_ns,
                   arg_min(service, time_unix_ns) FILTER (parent_span_id = '') AS root_service,
                   arg_min(name, time_unix_ns) FILTER (parent_span_id = '') AS root_name,
                   arg_min(service, time_unix_ns) AS first_service, arg_min(name, time_unix_ns) AS first_name,
                   list(DISTINCT service) AS services
            FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? AND trace_id IN ({", ".join("?" * len(trace_ids))})
            GROUP BY trace_id ORDER BY start_unix_ns DESC, trace_id""",
        [*around, *trace_ids],
        within=around,
    )
    return [_summary(row) for row in found]


def one_trace(store: Queryable, trace_id: str, now_unix_ns: int) -> dict[str, Any] | None:
    """Give all spans of a trace by start time, or None; looks at the newest hour and day before all the rest."""
    trace_id = trace_id.lower()
    for within in (*(TimeRange(now_unix_ns - back, TIME_MAX_UNIX_NS) for back in LOOKBACKS_NS), ALL_TIME):
        seen = rows(
            store,
            """SELECT min(time_unix_ns) AS low, max(time_unix_ns) AS high FROM spans
               WHERE time_unix_ns >= ? AND time_unix_ns < ? AND trace_id = ?""",
            [*within, trace_id],
            within=within,
        )[0]
        if seen["low"] is not None:
            around = _widened(TimeRange(seen["low"], seen["high"] + 1))
            return _trace(store, trace_id, around)
    return None


def _trace(store: Queryable, trace_id: str, around: TimeRange) -> dict[str, Any]:
    found = rows(
        store,
        """SELECT span_id, parent_span_id, service, entity, name, kind, time_unix_ns, duration_ns, status_code,
                  status_message, attributes, resource_attributes, scope_name, events, links
           FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? AND trace_id = ?
           ORDER BY time_unix_ns, span_id LIMIT ?""",
        [*around, trace_id, SPANS_MAX + 1],
        within=around,
    )
    return {
        "trace_id": trace_id,
        "spans": [_span(row) for row in found[:SPANS_MAX]],
        "truncated": len(found) > SPANS_MAX,
    }


def _having(trace_filter: TraceFilter) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    on_span = [("service = ?", trace_filter.service), ("name = ?", trace_filter.operation)]
    said = [(text, value) for text, value in on_span if value]
    if said:
        conditions.append(f"bool_or({' AND '.join(text for text, _ in said)})")
        parameters += [value for _, value in said]
    if trace_filter.min_duration_ms > 0:
        conditions.append("max(greatest(end_time_unix_ns, time_unix_ns)) - min(time_unix_ns) >= ?")
        parameters.append(int(min(trace_filter.min_duration_ms * 1e6, 2**62)))
    if trace_filter.status:
        wanted = trace_filter.status == "error"
        conditions.append(f"{'' if wanted else 'NOT '}bool_or(status_code IS NOT DISTINCT FROM {STATUS_ERROR})")
    return (f"HAVING {' AND '.join(conditions)}" if conditions else ""), parameters


def _widened(within: TimeRange) -> TimeRange:
    return TimeRange(max(0, within.from_unix_ns - AROUND_NS), min(TIME_MAX_UNIX_NS, within.to_unix_ns + AROUND_NS))


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": row["trace_id"],
        "root_service": (row["root_service"] if row["root_name"] is not None else row["first_service"]) or "",
        "root_name": (row["root_name"] if row["root_name"] is not None else row["first_name"]) or "",
        "start_unix_ns": str(row["start_unix_ns"]),
        "duration_ms": (row["end_unix_ns"] - row["start_unix_ns"]) / 1e6,
        "spans": row["spans"],
        "errors": row["errors"],
        "services": sorted(service for service in row["services"] if service),
    }


def _span(row: dict[str, Any]) -> dict[str, Any]:
    kind = row["kind"] or 0
    return {
        "span_id": row["span_id"] or "",
        "parent_span_id": row["parent_span_id"] or "",
        "service": row["service"] or "",
        "entity": row["entity"] or "",
        "name": row["name"] or "",
        "kind": SPAN_KINDS[kind] if 0 <= kind < len(SPAN_KINDS) else SPAN_KINDS[0],
        "start_unix_ns": str(row["time_unix_ns"]),
        "duration_ns": str(row["duration_ns"] or 0),
        "status_code": STATUS_NAMES.get(row["status_code"], "unset"),
        "status_message": row["status_message"] or "",
        "scope_name": row["scope_name"] or "",
        "attributes": json_object(row["attributes"]),
        "resource_attributes": json_object(row["resource_attributes"]),
        "events": [_event(event) for event in json_list(row["events"])],
        "links": json_list(row["links"]),
    }


def _event(event: Any) -> Any:
    """Give an event with its time as all times of the API: `time_unix_ns`, as text that no reader of JSON rounds."""
    if not isinstance(event, dict) or "time_unix_nano" not in event:
        return event
    others = {name: value for name, value in event.items() if name != "time_unix_nano"}
    return {"time_unix_ns": str(event["time_unix_nano"]), **others}
