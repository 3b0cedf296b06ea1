"""The SQL of metric series; see metrics.py for what is made of it.

A cumulative counter's increase from one point to the next is spread evenly over the time between the two, and each step
takes the part that falls into it: the same as reading the counter, drawn as straight lines, at the ends of the step. A
counter that fell, or says that it began anew, counts from zero since then. A delta point is spread from its start.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from watchkeeper.store.reads.base import MINUTE_NS, TimeRange, attribute_pointer

SHAPE = "CASE WHEN kind = 'sum' THEN CASE WHEN is_monotonic THEN 'counter' ELSE 'updown' END ELSE kind END"

LOOKBACK_NS = 10 * MINUTE_NS
_VALUE = "coalesce(value_double, value_int::DOUBLE)"
_COLUMN_LABELS = {"service": "service", "entity": "entity", "scope": "scope_name", "sender": "sender"}


class Scope(NamedTuple):
    """Which points, grouped how; `within` begins at a whole multiple of `step_ns`. `groups_max`: series at the most."""

    name: str
    shape: str
    service: str
    group_by: tuple[str, ...]
    within: TimeRange
    step_ns: int
    groups_max: int

    @property
    def read(self) -> TimeRange:
        """Give the range to read: further back, for the point that each increase begins at."""
        back = max(LOOKBACK_NS, 2 * self.step_ns)
        return TimeRange(max(0, self.within.from_unix_ns - back), self.within.to_unix_ns)

    @property
    def labels(self) -> str:
        """Give the label columns with a comma behind each, or nothing."""
        return "".join(f"g{index}, " for index in range(len(self.group_by)))


class Statement(NamedTuple):
    """SQL and its named parameters."""

    sql: str
    parameters: dict[str, Any]


def groups_total(scope: Scope) -> Statement:
    """Count the different groups."""
    return _statement(
        scope,
        f"WITH {_labelled(scope, '')} SELECT count(*) AS n FROM (SELECT DISTINCT {scope.labels[:-2]} FROM labelled)",
    )


def values(scope: Scope, aggregation: str, quantile: float = 0.5) -> Statement:
    """Aggregate the values of points by step; `sum` adds up the last of each series, `quantile` is of all points."""
    source = "points"
    if aggregation == "sum":
        source = f"""(SELECT {scope.labels}series, max(t) AS t, arg_max(v, t) AS v FROM points
                      WHERE t >= $start GROUP BY {scope.labels}series, {_BUCKET})"""
    return _statement(
        scope,
        f"""WITH {_points(scope, f"{_VALUE} AS v")}
            SELECT {scope.labels}{_BUCKET} AS bucket, {_AGGREGATES[aggregation]}::DOUBLE AS value
            FROM {source} WHERE t >= $start AND isfinite(v) GROUP BY ALL""",
        quantile=quantile,
    )


def extremes(scope: Scope, aggregation: str) -> Statement:
    """Give the least or greatest value that histograms saw, where they say it."""
    column = {"min": "min", "max": "max"}[aggregation]
    return _statement(
        scope,
        f"""WITH {_points(scope, f'"{column}" AS v')}
            SELECT {scope.labels}{_BUCKET} AS bucket, {column}(v) AS value
            FROM points WHERE t >= $start AND v IS NOT NULL GROUP BY ALL""",
    )


def increases(scope: Scope, aggregation: str) -> Statement:
    """Give what was added in each step: per second (`rate`), in all (`count`, `sum`), or the mean (`avg`) of what was.

    For counters `v` is the value; for histograms and summaries the count decides about resets and `x` is their sum.
    """
    counter = scope.shape == "counter"
    columns = f"{_VALUE} AS v, {_VALUE} AS x" if counter else '"count"::DOUBLE AS v, "sum" AS x'
    added = "sum(x_added * share)" if aggregation == "sum" else "sum(v_added * share)"
    expression = {
        "rate": f"{added} / (any_value(seconds))",
        "avg": "CASE WHEN sum(v_added * share) > 0 THEN sum(x_added * share) / sum(v_added * share) END",
    }.get(aggregation, added)
    return _statement(
        scope,
        f"""WITH {_points(scope, columns)}, {_steps(scope)}, changes AS (
                SELECT {scope.labels}t, {_BEGIN} AS begun,
                       CASE WHEN whole THEN v ELSE v - v0 END AS v_added,
                       CASE WHEN whole THEN x ELSE x - x0 END AS x_added
                FROM steps WHERE t > $start AND (t0 IS NOT NULL OR whole)),
            {_spread("changes")}
            SELECT {scope.labels}bucket, {expression} AS value
            FROM (SELECT *, {_seconds(scope)} AS seconds FROM spread)
            {"WHERE seconds > 0" if aggregation == "rate" else ""} GROUP BY {scope.labels}bucket""",
    )


def merged_buckets(scope: Scope) -> Statement:
    """Give for each step the intervals (lows, highs) of all histograms of a group, and what was counted in each.

    A cumulative point adds its buckets and takes off those of the point before it; where the scale of an exponential
    histogram changed between the two, both are read at the coarser one, whose buckets are unions of the finer.
    """
    columns = f'"count"::DOUBLE AS v, {_BUCKET_COLUMNS[scope.shape]}'
    names = _BUCKET_NAMES[scope.shape]
    before = ", ".join(f"lag({name}) OVER course AS {name}0" for name in names)
    now, then = ", ".join(names), ", ".join(f"{name}0" for name in names)
    if scope.shape == "exponential_histogram":
        coarser = "CASE WHEN whole THEN scale ELSE least(scale, scale0) END AS common"
        now, then = f"{now}, {coarser}", f"{then}, {coarser}"
    return _statement(
        scope,
        f"""WITH {_points(scope, columns)}, {_steps(scope, before)}, signed AS (
                SELECT {scope.labels}t, {_BEGIN} AS begun, 1.0 AS sign, {now} FROM steps
                WHERE t > $start AND (t0 IS NOT NULL OR whole)
                UNION ALL
                SELECT {scope.labels}t, {_BEGIN}, -1.0, {then} FROM steps
                WHERE t > $start AND t0 IS NOT NULL AND NOT whole),
            intervals AS ({_intervals(scope)}), {_spread("intervals")},
            merged AS (SELECT {scope.labels}bucket, low, high, sum(n * share) AS n FROM spread GROUP BY ALL)
            SELECT {scope.labels}bucket, list(low) AS lows, list(high) AS highs, list(n) AS counts
            FROM merged WHERE n <> 0 GROUP BY {scope.labels}bucket""",
    )


def summary_quantile(scope: Scope, quantile: float) -> Statement:
    """Average what summaries themselves gave for the quantile; those that do not give it say nothing."""
    return _statement(
        scope,
        f"""WITH {_points(scope, "quantiles, quantile_values")}, said AS (
                SELECT {scope.labels}t, unnest(quantiles) AS q, unnest(quantile_values) AS v FROM points)
            SELECT {scope.labels}{_BUCKET} AS bucket, avg(v) AS value FROM said
            WHERE t >= $start AND abs(q - $quantile) < 1e-9 AND isfinite(v) GROUP BY ALL""",
        quantile=quantile,
    )


_BUCKET = "(t - $start) // $step"

_AGGREGATES = {
    "avg": "avg(v)",
    "min": "min(v)",
    "max": "max(v)",
    "last": "arg_max(v, t)",
    "count": "count(*)",
    "sum": "sum(v)",
    "quantile": "quantile_cont(v, $quantile)",
}

_BEGIN = (
    "CASE WHEN whole AND began > 0 AND began < t THEN greatest(began, coalesce(t0, began)) ELSE coalesce(t0, t) END"
)

_BUCKET_NAMES = {
    "histogram": ("bucket_counts", "explicit_bounds"),
    "exponential_histogram": (
        "scale",
        "zero_count",
        "zero_threshold",
        "positive_offset",
        "positive_bucket_counts",
        "negative_offset",
        "negative_bucket_counts",
    ),
}
_BUCKET_COLUMNS = {shape: ", ".join(names) for shape, names in _BUCKET_NAMES.items()}


def _statement(scope: Scope, text: str, **extra: Any) -> Statement:
    """Join SQL with those of the parameters that it names."""
    known: dict[str, Any] = {
        "name": scope.name,
        "shape": scope.shape,
        "service": scope.service,
        "start": scope.within.from_unix_ns,
        "stop": scope.within.to_unix_ns,
        "step": scope.step_ns,
        "read_from": scope.read.from_unix_ns,
        "groups_max": scope.groups_max,
        **extra,
        **{f"label{index}": attribute_pointer(name) for index, name in enumerate(scope.group_by)},
    }
    named = set(re.findall(r"\$([a-z_0-9]+)", text))
    return Statement(text, {name: value for name, value in known.items() if name in named})


def _labelled(scope: Scope, columns: str) -> str:
    labels = "".join(f"{_label(index, name)} AS g{index}, " for index, name in enumerate(scope.group_by))
    return f"""labelled AS (
        SELECT {labels}time_unix_ns AS t, series, start_time_unix_ns AS began, temporality{columns and ", " + columns}
        FROM metrics WHERE time_unix_ns >= $read_from AND time_unix_ns < $stop AND name = $name AND {SHAPE} = $shape
          AND ($service = '' OR service = $service))"""


def _points(scope: Scope, columns: str) -> str:
    """Give the points with their labels; where there are too many groups, those with the most points, none by half."""
    if not scope.group_by:
        return f"{_labelled(scope, columns)}, points AS (SELECT * FROM labelled)"
    names = scope.labels[:-2]
    return f"""{_labelled(scope, columns)},
        groups AS (SELECT {names} FROM labelled GROUP BY ALL ORDER BY count(*) DESC, {names} LIMIT $groups_max),
        points AS (SELECT labelled.* FROM labelled SEMI JOIN groups USING ({names}))"""


def _label(index: int, name: str) -> str:
    column = _COLUMN_LABELS.get(name)
    if column:
        return f"coalesce({column}, '')"
    pointer = f"$label{index}"
    return (
        f"coalesce(json_extract_string(attributes, {pointer}), json_extract_string(resource_attributes, {pointer}), '')"
    )


def _steps(scope: Scope, more: str = "") -> str:
    """Pair each point with the one before it; `whole` where all of its value was added since then (delta, reset)."""
    before = more or "lag(x) OVER course AS x0"
    return f"""paired AS (
            SELECT *, lag(t) OVER course AS t0, lag(v) OVER course AS v0, lag(began) OVER course AS began0, {before}
            FROM points WHERE v IS NOT NULL WINDOW course AS (PARTITION BY {scope.labels}series ORDER BY t)),
        steps AS (
            SELECT *, CASE
                WHEN temporality = 1 THEN TRUE
                WHEN t0 IS NULL THEN began >= $read_from AND began < t
                ELSE v < v0 OR (began IS DISTINCT FROM began0 AND began >= t0 AND began < t) END AS whole
            FROM paired)"""


def _spread(source: str) -> str:
    """Cut what was added in (begun, t] into the steps that it lies in; `share` is the part of each."""
    return f"""spread AS (
        SELECT *, CASE WHEN begun >= t THEN 1.0 ELSE greatest(0, least(t, $start + (bucket + 1) * $step)
                       - greatest(begun, $start + bucket * $step)) / (t - begun)::DOUBLE END AS share
        FROM (SELECT *, unnest(range((greatest(least(begun, t - 1) - $start, 0)) // $step,
                                     (t - 1 - $start) // $step + 1)) AS bucket FROM {source}))"""


def _seconds(scope: Scope) -> str:
    """Give the length of a step; of a group's last one only the part that its points reach, if that is a quarter."""
    over = f"PARTITION BY {scope.labels[:-2]}" if scope.group_by else ""
    reached = f"(max(t) OVER ({over}) - ($start + bucket * $step))"
    return f"""CASE WHEN {reached} >= $step THEN $step WHEN {reached} >= $step // 4 THEN {reached} ELSE 0 END / 1e9"""


def _intervals(scope: Scope) -> str:
    head = f"SELECT {scope.labels}t, begun, sign * n AS n"
    if scope.shape == "histogram":
        return f"""{head},
            CASE WHEN i > 0 THEN explicit_bounds[i] ELSE least(0, explicit_bounds[1]) END AS low,
            explicit_bounds[least(i + 1, len(explicit_bounds))] AS high
            FROM (SELECT *, unnest(bucket_counts)::DOUBLE AS n, unnest(range(len(bucket_counts))) AS i FROM signed
                  WHERE len(explicit_bounds) > 0 AND len(bucket_counts) = len(explicit_bounds) + 1) WHERE n > 0"""
    width = "pow(2.0, -greatest(-20, least(20, common)))"

    def power(index: str) -> str:
        return f"pow(2.0, greatest(-1074.0, least(1023.0, {width} * ({index}))))"

    def side(name: str, low: str, high: str) -> str:
        return f"""{head}, {low} AS low, {high} AS high
            FROM (SELECT *, floor((j + {name}_offset) / pow(2.0, scale - common)) AS i
                  FROM (SELECT *, unnest({name}_bucket_counts)::DOUBLE AS n,
                               unnest(range(len({name}_bucket_counts))) AS j FROM signed) WHERE n > 0)"""

    return f"""{side("positive", power("i"), power("i + 1"))}
        UNION ALL {side("negative", "-" + power("i + 1"), "-" + power("i"))}
        UNION ALL {head}, -coalesce(zero_threshold, 0), coalesce(zero_threshold, 0)
            FROM (SELECT *, zero_count::DOUBLE AS n FROM signed) WHERE n > 0"""
