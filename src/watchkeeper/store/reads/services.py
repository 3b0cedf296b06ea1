"""What each service sent in a range: logs, errors, spans, metric points, and their course.

Enters: a store and a range. Leaves: Services of docs/api.md but for `findings_open`, which the caller adds. Three
statements, each one pass over three columns.
"""

from __future__ import annotations

from typing import Any

from watchkeeper.signals.schema import SEVERITY_ERROR_MIN
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, filled, rows

SPARKLINE_BUCKETS = 30

_ERRORS = {
    "logs": f"count(*) FILTER (severity_number >= {SEVERITY_ERROR_MIN})",
    "spans": "count(*) FILTER (status_code = 2)",
    "metrics": "0",
}


def list_services(store: Queryable, within: TimeRange) -> list[dict[str, Any]]:
    """Give every service that sent anything in the range, by name. `sparkline` counts its logs in 30 equal steps."""
    step_ns = -(-within.width_ns // SPARKLINE_BUCKETS)
    services: dict[str, dict[str, Any]] = {}
    courses: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
    for table, errors in _ERRORS.items():
        found = rows(
            store,
            f"""SELECT coalesce(service, '') AS service, (time_unix_ns - ?) // ? AS bucket, count(*) AS n,
                       {errors} AS errors, max(time_unix_ns) AS last_unix_ns
                FROM {table} WHERE time_unix_ns >= ? AND time_unix_ns < ? GROUP BY 1, 2""",
            [within.from_unix_ns, step_ns, *within],
            within=within,
        )
        for row in found:
            service = services.setdefault(row["service"], _empty(row["service"]))
            _add(service, table, row)
            if table == "logs":
                counts, failures = courses.setdefault(row["service"], ({}, {}))
                counts[row["bucket"]] = row["n"]
                failures[row["bucket"]] = row["errors"]
    for name, service in services.items():
        counts, failures = courses.get(name, ({}, {}))
        service["sparkline"] = filled(counts, SPARKLINE_BUCKETS)
        service["errors_sparkline"] = filled(failures, SPARKLINE_BUCKETS)
        service["logs_per_second"] = round(service["logs"] * SECOND_NS / within.width_ns, 3)
        service["last_unix_ns"] = str(service["last_unix_ns"])
    return [services[name] for name in sorted(services)]


def _empty(name: str) -> dict[str, Any]:
    return {
        "service": name,
        "logs": 0,
        "errors": 0,
        "spans": 0,
        "span_errors": 0,
        "metric_points": 0,
        "logs_per_second": 0.0,
        "last_unix_ns": 0,
        "findings_open": 0,
    }


def _add(service: dict[str, Any], table: str, row: dict[str, Any]) -> None:
    if table == "logs":
        service["logs"] += row["n"]
        service["errors"] += row["errors"]
    elif table == "spans":
        service["spans"] += row["n"]
        service["span_errors"] += row["errors"]
    else:
        service["metric_points"] += row["n"]
    service["last_unix_ns"] = max(service["last_unix_ns"], row["last_unix_ns"])
