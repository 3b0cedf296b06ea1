"""Metric series against numbers worked out by hand, and percentiles against the values that were counted."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from watchkeeper.errors import QueryError
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.metric_quantiles import interval_quantile
from watchkeeper.store.reads.metrics import (
    POINTS_MAX,
    SERIES_MAX,
    SeriesRequest,
    choose_step,
    list_metrics,
    metric_series,
)

SECOND = 1_000_000_000
START = 1_763_699_400 * SECOND
DELTA, CUMULATIVE = 1, 2


def points(tables, kind, values, *, every_s=10, series=1, offset_s=0, **common):
    tables.metrics(
        *[
            {
                "time_unix_ns": START + (offset_s + index * every_s) * SECOND,
                "name": "m",
                "kind": kind,
                "series": series,
                "start_time_unix_ns": START - 3600 * SECOND,
                **common,
                **(value if isinstance(value, dict) else {"value_double": value}),
            }
            for index, value in enumerate(values)
            if value is not None
        ]
    )


def series(tables, seconds=60, step_s=10, **request):
    answer = metric_series(
        tables, SeriesRequest(name="m", step_ns=step_s * SECOND, **request), TimeRange(START, START + seconds * SECOND)
    )
    return answer, {tuple(item["labels"].values()): item["values"] for item in answer["items"]}


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("avg", [2, 5]),
        ("min", [1, 4]),
        ("max", [3, 6]),
        ("last", [3, 6]),
        ("count", [2, 2]),
        ("sum", [3, 6]),
        ("p50", [2, 5]),
        ("", [2, 5]),
    ],
)
def test_a_gauge(tables, aggregation, expected):
    points(tables, "gauge", [1, 3, 4, 6, math.nan], every_s=5)
    answer, found = series(tables, seconds=30, aggregation=aggregation)
    assert found == {(): expected}
    assert answer["items"][0]["times_unix_ns"] == [str(START), str(START + 10 * SECOND)]
    assert (answer["kind"], answer["step_ns"]) == ("gauge", str(10 * SECOND))


def test_the_sum_of_gauges_adds_up_the_last_of_each_series(tables):
    points(tables, "gauge", [1, 2], every_s=5, series=1)
    points(tables, "gauge", [{"value_int": 10}, {"value_int": 20}], every_s=5, series=2)
    assert series(tables, seconds=10, aggregation="sum")[1] == {(): [22]}


def counter(tables, values, **options):
    points(tables, "sum", values, **{"is_monotonic": True, "temporality": CUMULATIVE, **options})


def test_a_counter_becomes_a_rate_and_a_reset_is_no_fall(tables):
    counter(tables, [100, 110, 130, 5, 25], every_s=10)
    answer, found = series(tables, seconds=60)
    assert answer["agg"] == "rate"
    assert found == {(): [1.0, 2.0, 0.5, 2.0]}
    assert series(tables, aggregation="sum")[1] == {(): [10, 20, 5, 20]}


def test_increases_are_spread_over_steps_shorter_than_the_export_interval(tables):
    counter(tables, [0, 60, 180], every_s=60)
    found = series(tables, seconds=130, step_s=10)[1]
    assert found[()] == pytest.approx([1.0] * 6 + [2.0] * 6)


def test_series_that_export_at_different_moments_add_up(tables):
    counter(tables, [0, 10, 20, 30, 40], series=1)
    counter(tables, [0, 20, 40, 60, 80], series=2, offset_s=-3)
    assert series(tables, seconds=41)[1][()][:3] == pytest.approx([3.0, 3.0, 3.0])


def test_the_point_before_the_range_gives_the_first_step(tables):
    counter(tables, [0, 10, 20, 30], offset_s=-20)
    assert series(tables, seconds=15)[1] == {(): [1.0]}


def test_a_counter_that_began_within_the_range_counts_from_zero(tables):
    counter(tables, [30, 40], offset_s=20, start_time_unix_ns=START + 10 * SECOND)
    assert series(tables, seconds=60, aggregation="sum")[1] == {(): [30, 10]}


def test_a_restart_that_tells_its_start_is_a_reset_even_when_the_value_rose(tables):
    counter(tables, [5], offset_s=0)
    counter(tables, [20], offset_s=20, start_time_unix_ns=START + 10 * SECOND)
    assert series(tables, aggregation="sum")[1] == {(): [20]}


def test_delta_counters(tables):
    tables.metrics(
        *[
            {
                "time_unix_ns": START + (index + 1) * 10 * SECOND,
                "start_time_unix_ns": START + index * 10 * SECOND,
                "name": "m",
                "kind": "sum",
                "is_monotonic": True,
                "temporality": DELTA,
                "series": 1,
                "value_int": value,
            }
            for index, value in enumerate([5, 10, 20])
        ]
    )
    assert series(tables, seconds=31)[1] == {(): [0.5, 1.0, 2.0]}


def test_an_updown_counter_is_no_counter(tables):
    points(tables, "sum", [5, 3, 8], is_monotonic=False, temporality=CUMULATIVE)
    answer, found = series(tables)
    assert (answer["agg"], found) == ("sum", {(): [5, 3, 8]})
    with pytest.raises(QueryError, match="rate cannot be asked of m, a updown"):
        series(tables, aggregation="rate")


BOUNDS = [0.1, 0.5, 1.0]


def histogram(tables, counts, *, temporality=CUMULATIVE, bounds=BOUNDS, **options):
    points(
        tables,
        "histogram",
        [
            {
                "bucket_counts": each,
                "explicit_bounds": bounds,
                "count": sum(each),
                "sum": float(sum(each)) / 2,
                "min": 0.01,
                "max": 0.9,
            }
            for each in counts
        ],
        temporality=temporality,
        **options,
    )


def test_histograms_are_merged_before_the_percentile(tables):
    histogram(tables, [[0, 0, 0, 0], [10, 0, 0, 0]], series=1)
    histogram(tables, [[0, 5, 0, 0], [0, 15, 0, 0]], series=2)
    assert series(tables, aggregation="p50")[1][()] == pytest.approx([0.1])
    assert series(tables, aggregation="p90")[1][()] == pytest.approx([0.1 + 0.4 * 0.8])
    assert series(tables, aggregation="count")[1][()] == pytest.approx([20])
    assert series(tables, aggregation="rate")[1][()] == pytest.approx([2])
    assert series(tables, aggregation="avg")[1][()] == pytest.approx([0.5])
    assert series(tables, aggregation="max")[1][()] == [0.9, 0.9]
    with pytest.raises(QueryError, match="last cannot"):
        series(tables, aggregation="last")


def test_a_percentile_is_of_the_step_alone_not_of_all_time(tables):
    histogram(tables, [[1000, 0, 0, 0], [1000, 0, 10, 0], [1010, 0, 10, 0], [4, 0, 0, 0]])
    found = series(tables, aggregation="p50")[1][()]
    assert found == pytest.approx([0.75, 0.05, 0.05])


def test_the_last_bucket_has_no_end_and_gives_its_beginning(tables):
    histogram(tables, [[0, 0, 0, 0], [0, 0, 0, 7]])
    assert series(tables, aggregation="p99")[1][()] == [1.0]


def test_histograms_with_different_bounds_merge_too(tables):
    histogram(tables, [[10, 0]], bounds=[1.0], temporality=DELTA, series=1, offset_s=5, start_time_unix_ns=START)
    histogram(
        tables, [[0, 10, 0]], bounds=[1.0, 2.0], temporality=DELTA, series=2, offset_s=5, start_time_unix_ns=START
    )
    assert series(tables, aggregation="p50")[1][()] == pytest.approx([1.0])
    assert series(tables, aggregation="p95")[1][()] == pytest.approx([1.9])


def exponential(values, scale):
    base = 2 ** (2**-scale)
    positive = [math.ceil(math.log(v, base)) - 1 for v in values if v > 0]
    negative = [math.ceil(math.log(-v, base)) - 1 for v in values if v < 0]

    def side(indexes):
        if not indexes:
            return 0, []
        low = min(indexes)
        return low, [indexes.count(low + i) for i in range(max(indexes) - low + 1)]

    positive_offset, positive_counts = side(positive)
    negative_offset, negative_counts = side(negative)
    return {
        "scale": scale,
        "zero_count": values.count(0.0),
        "zero_threshold": 0.0,
        "count": len(values),
        "sum": sum(values),
        "positive_offset": positive_offset,
        "positive_bucket_counts": positive_counts,
        "negative_offset": negative_offset,
        "negative_bucket_counts": negative_counts,
    }


@pytest.mark.parametrize("quantile", ["p50", "p90", "p99"])
def test_exponential_histograms_come_near_the_true_percentile(tables, quantile):
    chance = random.Random(7)
    before = [chance.lognormvariate(0, 1) * 50 for _ in range(200)]
    during = [chance.lognormvariate(0, 1) for _ in range(500)]
    points(
        tables,
        "exponential_histogram",
        [exponential(before, 4), exponential([*before, *during], 3)],
        temporality=CUMULATIVE,
    )
    (value,) = series(tables, aggregation=quantile)[1][()]
    assert value == pytest.approx(np.quantile(during, float(quantile[1:]) / 100), rel=0.15)


def test_exponential_histograms_of_negative_and_zero_values(tables):
    values = [-7.0, -3.0, 0.0, 0.0, 0.0, 3.0, 7.0]
    points(tables, "exponential_histogram", [exponential(values, 2)], temporality=DELTA, offset_s=5)
    assert series(tables, aggregation="p50")[1][()] == [0.0]
    assert series(tables, aggregation="p99")[1][()][0] == pytest.approx(7.0, rel=0.2)


def test_hostile_exponents_do_no_harm(tables):
    points(
        tables,
        "exponential_histogram",
        [
            {
                "scale": -(2**31),
                "count": 1,
                "positive_offset": 2**31 - 1,
                "positive_bucket_counts": [1],
                "zero_count": 0,
            },
            {
                "scale": 2**31 - 1,
                "count": 1,
                "positive_offset": -(2**31),
                "positive_bucket_counts": [1],
                "zero_count": 2,
            },
        ],
        temporality=DELTA,
        offset_s=5,
    )
    series(tables, aggregation="p50")


def test_summaries_give_their_own_quantiles(tables):
    points(
        tables,
        "summary",
        [{"count": 10 * i, "sum": 20.0 * i, "quantiles": [0.5, 0.99], "quantile_values": [1.0, 7.0]} for i in range(3)],
    )
    assert series(tables, aggregation="p99")[1][()] == [7, 7, 7]
    assert series(tables, aggregation="p90")[1] == {}
    assert series(tables, aggregation="avg")[1][()] == pytest.approx([2, 2])


def test_series_are_grouped_by_attribute_resource_and_service(tables):
    for index, (service, host) in enumerate([("a", "n1"), ("a", "n2"), ("b", "n1")]):
        points(
            tables,
            "gauge",
            [index],
            series=index,
            service=service,
            attributes={"route": "/x"},
            resource_attributes={"host": host},
        )
    assert series(tables, group_by=("service",))[1] == {("a",): [0.5], ("b",): [2]}
    assert series(tables, group_by=("service", "host"))[1] == {("a", "n1"): [0], ("a", "n2"): [1], ("b", "n1"): [2]}
    assert series(tables, group_by=("missing",))[1] == {("",): [1]}
    assert series(tables, service="b")[1] == {(): [2]}
    with pytest.raises(QueryError, match="group_by"):
        series(tables, group_by=tuple("abcdef"))


def test_too_many_series_are_told(tables):
    for index in range(SERIES_MAX + 5):
        points(tables, "gauge", [index], series=index, attributes={"n": index})
    answer, found = series(tables, group_by=("n",))
    assert (len(found), answer["truncated"], answer["series_total"]) == (SERIES_MAX, True, SERIES_MAX + 5)
    assert series(tables)[0]["truncated"] is False


@pytest.mark.parametrize("seconds", [1, 59, 3600, 86_400, 30 * 86_400, 10 * 365 * 86_400])
@pytest.mark.parametrize("asked_s", [0, 1, 7, 10**6])
def test_a_step_gives_at_most_300_points(seconds, asked_s):
    step = choose_step(TimeRange(START, START + seconds * SECOND), asked_s * SECOND)
    assert step >= asked_s * SECOND
    assert seconds * SECOND / step <= POINTS_MAX - 1


def test_an_unknown_metric_has_no_series(tables):
    assert series(tables)[0]["items"] == []


def test_the_catalogue(tables):
    points(tables, "gauge", [1, 2], service="a", unit="By", description="Memory in use", attributes={"b": 1, "a": 2})
    counter(tables, [1], service="b", series=3)
    gauge, counted = list_metrics(tables, TimeRange(START, START + 600 * SECOND))
    assert (counted["kind"], counted["aggregations"][0]) == ("gauge", "avg") or (
        gauge["kind"],
        gauge["aggregations"][0],
    ) == ("sum", "rate")
    described = list_metrics(tables, TimeRange(START, START + 600 * SECOND), query="memory")
    assert [(m["name"], m["unit"], m["series"], m["services"], m["last_unix_ns"]) for m in described] == [
        ("m", "By", 1, ["a"], str(START + 10 * SECOND))
    ]
    assert described[0]["attributes"] == ["a", "b"]
    assert list_metrics(tables, TimeRange(START, START + 600 * SECOND), service="c") == []


def test_quantiles_of_nothing_and_of_points():
    empty = np.array([])
    assert interval_quantile(empty, empty, empty, 0.5) is None
    assert interval_quantile(np.array([1.0]), np.array([2.0]), np.array([0.0]), 0.5) is None
    three = np.array([1.0, 2.0, 3.0])
    assert interval_quantile(three, three, np.ones(3), 0.5) == 2.0
    assert interval_quantile(np.array([0.0, 5.0]), np.array([10.0, 5.0]), np.array([10.0, 10.0]), 0.5) == 5.0


def test_what_is_taken_off_leaves_no_trace():
    lows, highs = np.array([0.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0])
    assert interval_quantile(lows, highs, np.array([100.0, 10.0, -100.0]), 0.5) == pytest.approx(1.5)
