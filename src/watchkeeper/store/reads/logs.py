"""Log records for pages and terminals: search with stable paging, and counts over time.

Enters: a LogFilter and a store. Leaves: LogRecords of docs/api.md as plain data. A search goes through its range in
growing windows from the end it starts at, so that the newest lines of a long range are found without reading all of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import (
    BODY_ARRAY,
    BODY_BOOL,
    BODY_BYTES,
    BODY_DOUBLE,
    BODY_EMPTY,
    BODY_INT,
    BODY_MAP,
    BODY_STRING,
    SEVERITY_ERROR_MIN,
    severity_name,
)
from watchkeeper.store.reads.base import MINUTE_NS, Queryable, TimeRange, json_object, rows
from watchkeeper.store.reads.log_query import Condition, compile_query

WINDOW_FIRST_NS = MINUTE_NS
WINDOW_GROWTH = 8

BODY_TYPES = {
    BODY_EMPTY: "empty",
    BODY_STRING: "string",
    BODY_BOOL: "bool",
    BODY_INT: "int",
    BODY_DOUBLE: "double",
    BODY_ARRAY: "array",
    BODY_MAP: "map",
    BODY_BYTES: "bytes",
}

RECORD_COLUMNS = """time_unix_ns, batch, "row", severity_number, severity_text, service, entity, body, body_type,
    attributes, resource_attributes, scope_name, trace_id, span_id, event_name, template_id"""


@dataclass(frozen=True)
class LogFilter:
    """Which log records: all that are given must hold. `severity_min` is a severity number (1..24), 0 for any."""

    query: str = ""
    service: str = ""
    severity_min: int = 0
    template_id: int | None = None
    trace_id: str = ""

    @cached_property
    def condition(self) -> Condition:
        """Give the SQL condition; raises QueryError when the query cannot be read."""
        parts = [
            Condition("service = ?", (self.service,)) if self.service else None,
            Condition("severity_number >= ?", (self.severity_min,)) if self.severity_min > 0 else None,
            Condition("template_id = ?", (self.template_id,)) if self.template_id is not None else None,
            Condition("trace_id = ?", (self.trace_id.lower(),)) if self.trace_id else None,
            compile_query(self.query),
        ]
        said = [part for part in parts if part]
        return Condition(
            " AND ".join(part.sql for part in said), tuple(value for part in said for value in part.parameters)
        )


class Cursor(NamedTuple):
    """Where a record stands: no two have all three in common, and none moves."""

    time_unix_ns: int
    batch: int
    row: int

    def text(self) -> str:
        """Give the cursor as one word for an address."""
        said = ".".join(map(str, self))
        return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


class Page(NamedTuple):
    """One page of records, the cursor of the next (None at the end), and how many rows were looked at."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    scanned: int


def read_cursor(text: str) -> Cursor:
    """Read a cursor back; raises QueryError when it is none of ours."""
    try:
        said = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        values = [int(part) for part in said.split(".")]
    except (ValueError, binascii.Error):
        values = []
    if len(values) != 3 or not all(-(2**63) <= value < 2**63 for value in values):
        raise QueryError(f"{text[:60]!r} is not a cursor; take `next_cursor` from the page before")
    return Cursor(*values)


def search_logs(
    store: Queryable,
    log_filter: LogFilter,
    within: TimeRange,
    *,
    limit: int,
    cursor: str | None = None,
    ascending: bool = False,
    now_unix_ns: int | None = None,
) -> Page:
    """Give one page of records, newest first unless `ascending`; raises QueryError.

    Pages are stable: what arrives between two of them neither repeats nor shifts a row. `now_unix_ns`: where the first
    window is laid when the range reaches beyond the present.
    """
    after = read_cursor(cursor) if cursor else None
    if after:
        within = _beyond(within, after, ascending=ascending)
    found: list[dict[str, Any]] = []
    looked_at = TimeRange(within.from_unix_ns, within.from_unix_ns)
    for window in _windows(within, now_unix_ns, ascending=ascending):
        looked_at = window if looked_at.from_unix_ns == looked_at.to_unix_ns else _hull(looked_at, window)
        found += _search_window(store, log_filter, window, limit + 1 - len(found), after, ascending=ascending)
        if len(found) > limit:
            break
    more = len(found) > limit
    page = found[:limit]
    return Page(
        records(page),
        _cursor_of(page[-1]).text() if more and page else None,
        count_rows(store, "logs", looked_at),
    )


def count_rows(store: Queryable, table: str, within: TimeRange) -> int:
    """Count the rows of a table (one of the three signals) in a range."""
    assert table in ("logs", "metrics", "spans")
    found = rows(
        store,
        f"SELECT count(*) AS n FROM {table} WHERE time_unix_ns >= ? AND time_unix_ns < ?",
        list(within),
        within=within,
    )
    return int(found[0]["n"])


def log_histogram(store: Queryable, log_filter: LogFilter, within: TimeRange, *, buckets: int) -> dict[str, Any]:
    """Count matching records and errors (severity 17 and above) in equal steps; every step is there, zeros too."""
    step_ns = -(-within.width_ns // buckets)
    condition = log_filter.condition
    found = rows(
        store,
        f"""SELECT (time_unix_ns - ?) // ? AS bucket, count(*) AS n,
                   count(*) FILTER (severity_number >= {SEVERITY_ERROR_MIN}) AS errors
            FROM logs WHERE time_unix_ns >= ? AND time_unix_ns < ? AND {condition.sql} GROUP BY 1""",
        [within.from_unix_ns, step_ns, *within, *condition.parameters],
        within=within,
    )
    counts = {row["bucket"]: row for row in found}
    steps = -(-within.width_ns // step_ns)
    return {
        "from": str(within.from_unix_ns),
        "to": str(within.to_unix_ns),
        "step_ns": str(step_ns),
        "items": [
            {
                "time_unix_ns": str(within.from_unix_ns + index * step_ns),
                "count": counts[index]["n"] if index in counts else 0,
                "errors": counts[index]["errors"] if index in counts else 0,
            }
            for index in range(steps)
        ],
    }


def records(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turn rows of RECORD_COLUMNS into LogRecords, each with its key."""
    return [_record(row) for row in found]


def _search_window(
    store: Queryable, log_filter: LogFilter, window: TimeRange, limit: int, after: Cursor | None, *, ascending: bool
) -> list[dict[str, Any]]:
    condition = log_filter.condition
    parameters: list[Any] = [*window, *condition.parameters]
    where = f"time_unix_ns >= ? AND time_unix_ns < ? AND {condition.sql}"
    if after and window.from_unix_ns <= after.time_unix_ns < window.to_unix_ns:
        beyond = ">" if ascending else "<"
        where += f""" AND (time_unix_ns {beyond} ? OR (time_unix_ns = ? AND
            (batch {beyond} ? OR (batch = ? AND "row" {beyond} ?))))"""
        parameters += [after.time_unix_ns, after.time_unix_ns, after.batch, after.batch, after.row]
    order = "ASC" if ascending else "DESC"
    return rows(
        store,
        f"""SELECT {RECORD_COLUMNS} FROM logs WHERE {where}
            ORDER BY time_unix_ns {order}, batch {order}, "row" {order} LIMIT ?""",
        [*parameters, limit],
        within=window,
    )


def _windows(within: TimeRange, now_unix_ns: int | None, *, ascending: bool) -> Iterator[TimeRange]:
    """Give windows that grow from the end where the search begins, and cover the range without overlap."""
    width = WINDOW_FIRST_NS
    low, high = within
    if ascending:
        while low < high:
            end = min(high, low + width)
            yield TimeRange(low, end)
            low, width = end, width * WINDOW_GROWTH
        return
    present = min(high, now_unix_ns) if now_unix_ns is not None else high
    while low < high:
        begin = max(low, min(present, high) - width)
        yield TimeRange(begin, high)
        high, width = begin, width * WINDOW_GROWTH


def _beyond(within: TimeRange, after: Cursor, *, ascending: bool) -> TimeRange:
    if ascending:
        return TimeRange(max(within.from_unix_ns, after.time_unix_ns), within.to_unix_ns)
    return TimeRange(within.from_unix_ns, min(within.to_unix_ns, after.time_unix_ns + 1))


def _hull(one: TimeRange, other: TimeRange) -> TimeRange:
    return TimeRange(min(one.from_unix_ns, other.from_unix_ns), max(one.to_unix_ns, other.to_unix_ns))


def _cursor_of(row: dict[str, Any]) -> Cursor:
    return Cursor(row["time_unix_ns"], row["batch"], row["row"])


def _record(row: dict[str, Any]) -> dict[str, Any]:
    number = row["severity_number"] or 0
    text = row["severity_text"] or ""
    template_id = row["template_id"]
    return {
        "time_unix_ns": str(row["time_unix_ns"]),
        "severity_number": number,
        "severity": text.lower() if text and not 1 <= number <= 24 else severity_name(number),
        "severity_text": text,
        "service": row["service"] or "",
        "entity": row["entity"] or "",
        "body": row["body"] or "",
        "body_type": BODY_TYPES.get(row["body_type"], "empty"),
        "attributes": json_object(row["attributes"]),
        "resource_attributes": json_object(row["resource_attributes"]),
        "scope_name": row["scope_name"] or "",
        "trace_id": row["trace_id"] or "",
        "span_id": row["span_id"] or "",
        "event_name": row["event_name"] or "",
        "template_id": None if template_id is None else str(template_id),
        "key": _cursor_of(row).text(),
    }
