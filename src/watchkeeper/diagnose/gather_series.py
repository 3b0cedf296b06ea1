"""Metric series of an incident: what services measured, and what their spans say of latency, errors and traffic.

Enters: a store, a time range, services. Leaves: Series on one grid of steps. A step without a reading is NaN, not 0,
but for traffic, where no request is a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.gather_events import NODE_SQL, service_node
from watchkeeper.diagnose.window import Aspect, EventCounts, Series
from watchkeeper.signals.aspect import aspect_of
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, json_object, rows

SERIES_MAX = 2_000
_STATUS_ERROR = 2
_KIND_SERVER, _KIND_CONSUMER = 2, 5
_SHOWN_MAX = 3
_DELTA = 1

_SPAN_SERIES: tuple[tuple[str, Aspect, str], ...] = (
    ("span.duration.p50", Aspect.LATENCY, "s"),
    ("span.duration.p95", Aspect.LATENCY, "s"),
    ("span.error.ratio", Aspect.ERRORS, "1"),
    ("span.rate", Aspect.TRAFFIC, "1/s"),
)


def span_series(store: Queryable, within: TimeRange, step_ns: int, services: Sequence[str]) -> tuple[Series, ...]:
    """Give latency p50 and p95, share of errors and rate of the requests that each service answered."""
    if not services:
        return ()
    found = rows(
        store,
        f"""SELECT service, (time_unix_ns - ?) // ? AS step, count(*) AS n,
                   count(*) FILTER (status_code = {_STATUS_ERROR}) AS errors,
                   quantile_cont(duration_ns, [0.5, 0.95]) AS quantiles
            FROM spans WHERE time_unix_ns >= ? AND time_unix_ns < ? AND kind IN ({_KIND_SERVER}, {_KIND_CONSUMER})
                 AND service IN ({_marks(services)}) GROUP BY 1, 2 ORDER BY 1, 2""",
        [within.from_unix_ns, step_ns, *within, *services],
        within=within,
    )
    steps = -(-within.width_ns // step_ns)
    grids: dict[str, npt.NDArray[np.float64]] = {}
    for row in found:
        grid = grids.setdefault(row["service"], _empty_grid(steps))
        low, high = row["quantiles"]
        grid[:, row["step"]] = (low / 1e9, high / 1e9, row["errors"] / row["n"], row["n"] * SECOND_NS / step_ns)
    times = _times(within, step_ns, steps)
    return tuple(
        Series(service_node(service), name, aspect, times, grid[index], unit)
        for service, grid in grids.items()
        for index, (name, aspect, unit) in enumerate(_SPAN_SERIES)
    )


def client_series(counts: Sequence[EventCounts], nodes: Sequence[str]) -> tuple[Series, ...]:
    """Give the same of what sends no spans itself (a database, an outside address), as its clients saw it."""
    spans = next((each for each in counts if each.kind == "span"), None)
    if spans is None or spans.duration_s is None:
        return ()
    found: list[Series] = []
    for node in nodes:
        rows_of = [row for row, name in enumerate(spans.nodes) if name == node]
        if not rows_of or node.startswith(service_node("")):
            continue
        calls, errors = spans.counts[rows_of], spans.errors[rows_of].sum(axis=0)
        total = calls.sum(axis=0)
        some = np.maximum(total, 1)
        latency = np.where(total > 0, np.nansum(spans.duration_s[rows_of] * calls, axis=0) / some, np.nan)
        ratio = np.where(total > 0, errors / some, np.nan)
        readings = (
            ("span.duration.p50", Aspect.LATENCY, latency, "s"),
            ("span.error.ratio", Aspect.ERRORS, ratio, "1"),
            ("span.rate", Aspect.TRAFFIC, total / spans.width_s, "1/s"),
        )
        found += [
            Series(node, name, aspect, spans.starts_unix_ns, values, unit) for name, aspect, values, unit in readings
        ]
    return tuple(found)


def metric_series(store: Queryable, within: TimeRange, step_ns: int, services: Sequence[str]) -> tuple[Series, ...]:
    """Give each metric of each service and GPU: gauges as their mean a step, counters as rates, histograms as both.

    Each combination of a metric's own attributes is a series. A counter that fell began anew and tells nothing then.
    """
    if not services:
        return ()
    found = rows(
        store,
        f"""WITH points AS (
                SELECT {NODE_SQL} AS node, name, attributes, unit, kind, coalesce(is_monotonic, false) AS monotonic,
                       (time_unix_ns - ?) // ? AS step, time_unix_ns,
                       coalesce(value_double, value_int::DOUBLE) AS value,
                       {_increase("coalesce(value_double, value_int::DOUBLE)")} AS increase,
                       {_increase('"count"::DOUBLE')} AS calls, {_increase('"sum"')} AS amount,
                       time_unix_ns - lag(time_unix_ns) OVER same AS elapsed_ns
                FROM metrics WHERE time_unix_ns >= ? AND time_unix_ns < ? AND service IN ({_marks(services)})
                WINDOW same AS (PARTITION BY entity, name, attributes ORDER BY time_unix_ns))
            SELECT node, name, attributes, any_value(unit) AS unit, any_value(kind) AS kind,
                   bool_or(monotonic) AS monotonic, step, avg(value) AS value, sum(increase) AS increase,
                   sum(calls) AS calls, sum(amount) AS amount, sum(elapsed_ns)::DOUBLE AS elapsed_ns
            FROM points GROUP BY node, name, attributes, step ORDER BY node, name, attributes, step""",
        [within.from_unix_ns, step_ns, *within, *services],
        within=within,
    )
    steps = -(-within.width_ns // step_ns)
    grids: dict[tuple[str, str, str], npt.NDArray[np.float64]] = {}
    for row in found:
        for name, unit, value in _readings(row):
            key = (row["node"], name, unit)
            if key in grids or len(grids) < SERIES_MAX:
                grids.setdefault(key, np.full(steps, np.nan))[row["step"]] = value
    times = _times(within, step_ns, steps)
    return tuple(
        Series(node, name, Aspect(aspect_of(name, unit)), times, grid, unit)
        for (node, name, unit), grid in grids.items()
    )


def _readings(row: dict[str, Any]) -> list[tuple[str, str, float]]:
    """Give (name, unit, value) of what one series said in one step."""
    name, unit = _named(row["name"], row["attributes"]), row["unit"] or ""
    elapsed_s = (row["elapsed_ns"] or 0) / 1e9
    if row["kind"] == "sum" and row["monotonic"]:
        return [(name, f"{unit}/s", row["increase"] / elapsed_s)] if elapsed_s and row["increase"] is not None else []
    if row["kind"] in {"gauge", "sum"}:
        return [] if row["value"] is None else [(name, unit, row["value"])]
    if not elapsed_s or not row["calls"] or row["amount"] is None:
        return []
    return [(f"{name} mean", unit, row["amount"] / row["calls"]), (f"{name} rate", "1/s", row["calls"] / elapsed_s)]


def _named(name: str, attributes: str) -> str:
    """Give the metric's name with its own attributes, for these make it a series of its own."""
    said = json_object(attributes)
    inner = ", ".join(f"{key}={value}" for key, value in sorted(said.items())[:_SHOWN_MAX])
    return f"{name}{{{inner}}}" if inner else name


def _increase(column: str) -> str:
    """Give the SQL of what a point adds to the one before it; null for the first, and where a counter began anew."""
    return f"""CASE WHEN temporality = {_DELTA} THEN {column}
                    WHEN {column} >= lag({column}) OVER same THEN {column} - lag({column}) OVER same END"""


def _empty_grid(steps: int) -> npt.NDArray[np.float64]:
    grid = np.full((len(_SPAN_SERIES), steps), np.nan)
    grid[-1] = 0.0
    return grid


def _times(within: TimeRange, step_ns: int, steps: int) -> npt.NDArray[np.int64]:
    return within.from_unix_ns + step_ns * np.arange(steps, dtype=np.int64)


def _marks(services: Sequence[str]) -> str:
    return ", ".join("?" * len(services))
