"""Metrics for pages: which there are, and their course over time.

Enters: a SeriesRequest and a store. Leaves: catalogue and series of docs/api.md. Counters become increases (resets
told apart), histograms are merged bucket by bucket before a percentile is taken, gauges are averaged and the like; the
SQL of each stands in metric_sql.py. Draws nothing and forecasts nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from watchkeeper.errors import QueryError
from watchkeeper.store.reads import metric_sql as sql
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, rows
from watchkeeper.store.reads.metric_quantiles import interval_quantile
from watchkeeper.store.reads.metric_sql import Scope, Statement

POINTS_MAX = 300
SERIES_MAX = 50
GROUP_BY_MAX = 5
METRICS_MAX = 2_000
ATTRIBUTES_MAX = 50
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800)

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
AGGREGATIONS = ("avg", "min", "max", "sum", "last", "count", "rate", *QUANTILES)

_OF_VALUES = ("avg", "min", "max", "sum", "last", "count", *QUANTILES)
_ALLOWED = {
    "gauge": _OF_VALUES,
    "counter": ("rate", *_OF_VALUES),
    "updown": ("sum", *(name for name in _OF_VALUES if name != "sum")),
    "histogram": ("p95", "rate", "count", "sum", "avg", "min", "max", *(q for q in QUANTILES if q != "p95")),
    "exponential_histogram": (
        "p95",
        "rate",
        "count",
        "sum",
        "avg",
        "min",
        "max",
        *(q for q in QUANTILES if q != "p95"),
    ),
    "summary": ("avg", "rate", "count", "sum", *QUANTILES),
}


@dataclass(frozen=True)
class SeriesRequest:
    """What to draw. `aggregation` "" takes the first that suits the kind; `step_ns` 0 chooses one for 300 points."""

    name: str
    service: str = ""
    aggregation: str = ""
    group_by: tuple[str, ...] = ()
    step_ns: int = 0


def list_metrics(store: Queryable, within: TimeRange, *, query: str = "", service: str = "") -> list[dict[str, Any]]:
    """Give every metric with a point in the range, by name; `query` is text that its name or description contains."""
    found = rows(
        store,
        f"""WITH of_series AS (
                SELECT name, {sql.SHAPE} AS shape, series, any_value(kind) AS kind, arg_max(unit, time_unix_ns) AS unit,
                       arg_max(description, time_unix_ns) AS description, any_value(service) AS service,
                       any_value(attributes) AS attributes, max(time_unix_ns) AS last_unix_ns
                FROM metrics WHERE time_unix_ns >= ? AND time_unix_ns < ? AND (? = '' OR service = ?)
                  AND (? = '' OR contains(lower(name), lower(?)) OR contains(lower(description), lower(?)))
                GROUP BY 1, 2, 3)
            SELECT name, shape, any_value(kind) AS kind, arg_max(unit, last_unix_ns) AS unit,
                   arg_max(description, last_unix_ns) AS description, list(DISTINCT service) AS services,
                   count(*) AS series, max(last_unix_ns) AS last_unix_ns,
                   list_distinct(flatten(list(json_keys(attributes)))) AS attributes
            FROM of_series GROUP BY 1, 2 ORDER BY name, shape LIMIT {METRICS_MAX}""",
        [*within, service, service, query, query, query],
        within=within,
    )
    return [
        {
            "name": row["name"] or "",
            "kind": row["kind"] or "",
            "unit": row["unit"] or "",
            "description": row["description"] or "",
            "services": sorted(name for name in row["services"] if name),
            "series": row["series"],
            "last_unix_ns": str(row["last_unix_ns"]),
            "attributes": sorted(row["attributes"] or [])[:ATTRIBUTES_MAX],
            "aggregations": list(_ALLOWED.get(row["shape"], _OF_VALUES)),
        }
        for row in found
    ]


def metric_series(store: Queryable, request: SeriesRequest, within: TimeRange) -> dict[str, Any]:
    """Give the series of one metric, at most 50 and 300 points each; raises QueryError for what cannot be asked of it.

    Where one name was sent as several kinds, the most frequent is shown. The first of `times_unix_ns` is a whole
    multiple of the step.
    """
    if len(request.group_by) > GROUP_BY_MAX:
        raise QueryError(f"group_by names {len(request.group_by)} attributes; {GROUP_BY_MAX} are allowed")
    step_ns = choose_step(within, request.step_ns)
    aligned = TimeRange(within.from_unix_ns // step_ns * step_ns, within.to_unix_ns)
    shape = _shape(store, request, aligned)
    answer = {"name": request.name, "step_ns": str(step_ns), "items": [], "truncated": False, "series_total": 0}
    if shape is None:
        return {**answer, "kind": "", "unit": "", "agg": request.aggregation}
    aggregation = _aggregation(request, shape["shape"])
    scope = Scope(request.name, shape["shape"], request.service, request.group_by, aligned, step_ns, SERIES_MAX)
    total = _series_total(store, scope) if request.group_by else 1
    courses = _reader(shape["shape"], aggregation)(store, scope, aggregation)
    return {
        **answer,
        "kind": shape["kind"],
        "unit": shape["unit"] or "",
        "agg": aggregation,
        "items": [_item(scope, labels, course) for labels, course in sorted(courses.items())],
        "truncated": total > SERIES_MAX,
        "series_total": total,
    }


def choose_step(within: TimeRange, asked_ns: int) -> int:
    """Give the step: the one asked for or a round one, never so short that the range has more than 300.

    >>> choose_step(TimeRange(0, 3600 * 10**9), 0) // 10**9
    15
    """
    least = -(-within.width_ns // (POINTS_MAX - 1))
    if asked_ns >= least:
        return asked_ns
    for seconds in STEPS_S:
        if seconds * SECOND_NS >= max(least, asked_ns):
            return seconds * SECOND_NS
    return -(-least // (86_400 * SECOND_NS)) * 86_400 * SECOND_NS


Course = dict[int, float]
Courses = dict[tuple[str, ...], Course]
Reader = Callable[[Queryable, Scope, str], Courses]


def _shape(store: Queryable, request: SeriesRequest, within: TimeRange) -> dict[str, Any] | None:
    found = rows(
        store,
        f"""SELECT {sql.SHAPE} AS shape, any_value(kind) AS kind, arg_max(unit, time_unix_ns) AS unit, count(*) AS n
            FROM metrics WHERE time_unix_ns >= ? AND time_unix_ns < ? AND name = ? AND (? = '' OR service = ?)
            GROUP BY 1 ORDER BY n DESC, shape LIMIT 1""",
        [*within, request.name, request.service, request.service],
        within=within,
    )
    return found[0] if found else None


def _aggregation(request: SeriesRequest, shape: str) -> str:
    allowed = _ALLOWED.get(shape, _OF_VALUES)
    if request.aggregation and request.aggregation not in allowed:
        raise QueryError(
            f"agg={request.aggregation} cannot be asked of {request.name[:80]}, a {shape.replace('_', ' ')}; "
            f"it has {', '.join(allowed)}"
        )
    return request.aggregation or allowed[0]


def _series_total(store: Queryable, scope: Scope) -> int:
    return int(_run(store, scope, sql.groups_total(scope))[0]["n"])


def _reader(shape: str, aggregation: str) -> Reader:
    if shape in ("gauge", "updown") or (shape == "counter" and aggregation not in ("rate", "sum")):
        return _values
    if shape == "summary" and aggregation in QUANTILES:
        return _summary_quantiles
    if aggregation in QUANTILES:
        return _bucket_quantiles
    if aggregation in ("min", "max"):
        return _extremes
    return _increases


def _values(store: Queryable, scope: Scope, aggregation: str) -> Courses:
    if aggregation in QUANTILES:
        return _courses(scope, _run(store, scope, sql.values(scope, "quantile", QUANTILES[aggregation])))
    return _courses(scope, _run(store, scope, sql.values(scope, aggregation)))


def _extremes(store: Queryable, scope: Scope, aggregation: str) -> Courses:
    return _courses(scope, _run(store, scope, sql.extremes(scope, aggregation)))


def _increases(store: Queryable, scope: Scope, aggregation: str) -> Courses:
    return _courses(scope, _run(store, scope, sql.increases(scope, aggregation)))


def _summary_quantiles(store: Queryable, scope: Scope, aggregation: str) -> Courses:
    return _courses(scope, _run(store, scope, sql.summary_quantile(scope, QUANTILES[aggregation])))


def _bucket_quantiles(store: Queryable, scope: Scope, aggregation: str) -> Courses:
    found = _run(store, scope, sql.merged_buckets(scope))
    courses: defaultdict[tuple[str, ...], Course] = defaultdict(dict)
    for row in found:
        value = interval_quantile(
            np.asarray(row["lows"], dtype=np.float64),
            np.asarray(row["highs"], dtype=np.float64),
            np.asarray(row["counts"], dtype=np.float64),
            QUANTILES[aggregation],
        )
        if value is not None:
            courses[_labels(scope, row)][row["bucket"]] = value
    return dict(courses)


def _run(store: Queryable, scope: Scope, statement: Statement) -> list[dict[str, Any]]:
    return rows(store, statement.sql, statement.parameters, within=scope.read)


def _courses(scope: Scope, found: list[dict[str, Any]]) -> Courses:
    courses: defaultdict[tuple[str, ...], Course] = defaultdict(dict)
    for row in found:
        if row["value"] is not None and np.isfinite(row["value"]):
            courses[_labels(scope, row)][row["bucket"]] = float(row["value"])
    return dict(courses)


def _labels(scope: Scope, row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[f"g{index}"] or "" for index in range(len(scope.group_by)))


def _item(scope: Scope, labels: tuple[str, ...], course: Course) -> dict[str, Any]:
    buckets = sorted(course)
    return {
        "labels": dict(zip(scope.group_by, labels, strict=True)),
        "times_unix_ns": [str(scope.within.from_unix_ns + bucket * scope.step_ns) for bucket in buckets],
        "values": [course[bucket] for bucket in buckets],
    }
