"""What is told of spans and lines together: continuations, own time, waits, and their windows."""

import numpy as np
import pytest
from tests.diagnose.traced_shop import CART, FRONT, START, STORE, S, Shop

from watchkeeper.diagnose.trace_events import Name, Observed, count, weighted_median


def one_request(**told: object) -> dict[str, dict[tuple[str, str], float]]:
    made = Shop()
    made.request(0, **told)  # type: ignore[arg-type]
    window = made.window()
    found: dict[str, dict[tuple[str, str], float]] = {}
    for events in window.events:
        for row, key in enumerate(zip(events.nodes, events.subjects, strict=True)):
            value = events.counts[row].sum() if events.duration_s is None else np.nanmedian(events.duration_s[row])
            found.setdefault(events.kind, {})[key] = float(value)
    return found


def test_lines_follow_each_other_from_the_start_of_their_span_to_its_end() -> None:
    steps = one_request()["step"]
    assert steps[CART, "Cart/Get start → read cart"] == 1
    assert steps[CART, "read cart → call store start"] == 1
    assert steps[CART, "read cart → cart read"] == 1
    assert steps[CART, "cart read → end"] == 1
    assert steps[CART, "read cart"] == 1


def test_a_line_that_does_not_come_leaves_the_end() -> None:
    steps = one_request(lines=("read cart",))["step"]
    assert steps[CART, "read cart → end"] == 1
    assert (CART, "read cart → cart read") not in steps


def test_own_time_is_without_the_children_and_waits_are_beyond_the_callee() -> None:
    found = one_request(own_ms=5, wait_ms=2)
    assert found["self"][STORE, "select"] == pytest.approx(0.012)
    assert found["self"][CART, "Cart/Get"] == pytest.approx(0.011)
    assert (FRONT, "call cart") not in found["self"]
    assert found["wait"][CART, "Cart/Get"] == pytest.approx(0.004)
    assert found["wait"][STORE, "select"] == pytest.approx(0.002)


def test_windows_hold_what_began_in_them_and_gaps_between_them_hold_nothing() -> None:
    times = START + S * np.array([0, 9, 10, 25, 31])
    happened = Observed("log", [Name(CART, "x")], np.zeros(5, np.int64), times, np.full(5, np.nan), np.zeros(5, bool))
    (counted,) = count([happened], START + S * np.array([0, 10, 30]), 10)
    assert counted.counts.tolist() == [[2, 1, 1]]
    assert counted.duration_s is None


def test_nothing_observed_counts_as_nothing() -> None:
    empty = Observed("log", [], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
    assert count([empty], START + S * np.arange(3), 1) == ()


def test_the_weighted_median_leaves_out_what_was_not_measured() -> None:
    assert weighted_median(np.array([np.nan, 4.0]), np.array([9, 1])) == 4.0
    assert np.isnan(weighted_median(np.array([np.nan]), np.array([3])))
