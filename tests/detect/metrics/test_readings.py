"""Readings: counters to rates, histograms to quantiles; restarts, late, repeated and empty points say nothing."""

from __future__ import annotations

from typing import Any

import metric_traffic as traffic
import numpy as np
import pytest

from watchkeeper.detect.metrics import buckets


def _values(points: list[traffic.Point], *, together: bool) -> tuple[np.ndarray, Any]:
    own = traffic.detector()
    for some in [points] if together else [[one] for one in points]:
        own.learn(traffic.metric_batch(some))
    rows = own.channels.live()
    return np.array([[value for _, value in own.bank.points(row)] for row in rows.tolist()], object), own


@pytest.mark.parametrize("together", [False, True])
def test_a_counter_becomes_a_rate_and_its_restart_says_nothing(together: bool) -> None:
    more = {"kind": "sum", "is_monotonic": True, "temporality": 2}
    totals = [100, 150, 250, 30, 80, 80]
    points = [traffic.point(10.0 * at, "a", "requests", float(total), **more) for at, total in enumerate(totals)]
    values, own = _values(points, together=together)
    assert values.tolist() == [[5.0, 10.0, 5.0, 0.0]]
    assert own.told.restarts == 1


@pytest.mark.parametrize("together", [False, True])
def test_late_repeated_flagged_and_infinite_points_are_left_out(together: bool) -> None:
    points = [
        traffic.point(0, "a", "g", 1.0),
        traffic.point(10, "a", "g", 2.0),
        traffic.point(10, "a", "g", 9.0),
        traffic.point(5, "a", "g", 9.0),
        traffic.point(20, "a", "g", float("nan")),
        traffic.point(30, "a", "g", float("inf")),
        traffic.point(40, "a", "g", 9.0, flags=1),
        traffic.point(50, "a", "g", 3.0),
    ]
    values, own = _values(points, together=together)
    assert values.tolist() == [[1.0, 2.0, 3.0]]
    assert (own.told.late, own.told.empty) == (2, 3)


@pytest.mark.parametrize("together", [False, True])
def test_a_cumulative_histogram_gives_rate_mean_and_quantiles_of_the_interval(together: bool) -> None:
    def at(second: float, counts: list[int], total: float) -> traffic.Point:
        more = {"kind": "histogram", "temporality": 2, "unit": "s", "explicit_bounds": [1.0, 2.0]}
        return traffic.point(second, "a", "d", None, **more, bucket_counts=counts, count=sum(counts), sum=total)

    points = [at(0, [5, 5, 5], 9.0), at(10, [5, 25, 5], 39.0), at(20, [5, 27, 5], 42.0)]
    values, _ = _values(points, together=together)
    assert [list(map(float, one)) for one in values] == [[2.0, pytest.approx(0.2)], [1.5], [1.5], [pytest.approx(1.99)]]


def test_an_exponential_histogram_has_the_quantiles_of_its_buckets() -> None:
    counts, bounds = buckets.exponential(0, 0.0, 1, np.array([10.0, 10.0]), 0, np.empty(0))
    assert bounds.tolist() == [2.0, 4.0, 8.0]
    assert buckets.quantiles(counts[None], bounds[None], (0.25, 0.5, 1.0)).tolist() == [[3.0, 4.0, 8.0]]
    more = {"kind": "exponential_histogram", "temporality": 2, "scale": 0, "zero_count": 0, "positive_offset": 1}
    points = [
        traffic.point(0, "a", "d", None, **more, positive_bucket_counts=[1, 1], count=2, sum=9.0),
        traffic.point(10, "a", "d", None, **more, positive_bucket_counts=[11, 11], count=22, sum=99.0),
    ]
    values, _ = _values(points, together=True)
    assert [list(map(float, one)) for one in values] == [[2.0], [4.5], [4.0], [pytest.approx(7.92)]]
