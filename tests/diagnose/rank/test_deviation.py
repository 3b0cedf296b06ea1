"""How far a metric left its usual course: directions, scales, what came before."""

from dataclasses import replace

import numpy as np
import pytest
from tests.diagnose.rank.incidents import BEFORE, DURING, STEP_NS, series, window

from watchkeeper.diagnose.rank.deviation import agreement, deviation, lower_is_worse
from watchkeeper.diagnose.window import Aspect


def of(one):
    return deviation(one, window(one))


def test_a_rise_is_told_in_usual_changes_and_as_a_part_of_the_level():
    found = of(series("a", "latency", Aspect.LATENCY, 0.1, 0.2, seed=1))
    assert (found.sign, found.node) == (1, "service:a")
    assert found.z > 10
    assert found.growth == pytest.approx(1.0, abs=0.2)
    assert found.usual == pytest.approx(0.1, rel=0.05)
    assert found.began_unix_ns == BEFORE * STEP_NS


def test_a_latency_that_falls_is_no_deviation():
    assert of(series("a", "latency", Aspect.LATENCY, 0.2, 0.1, seed=1)).z == 0.0


@pytest.mark.parametrize(
    ("name", "worse"),
    [("availability", True), ("success_rate", True), ("free_bytes", True), ("errors", False), ("latency", False)],
)
def test_words_that_tell_the_bad_side(name, worse):
    assert lower_is_worse(series("a", name, Aspect.ERRORS, 1.0, 1.0, seed=1)) is worse


def test_availability_counts_the_part_of_requests_that_fail():
    one = series("a", "availability", Aspect.ERRORS, 1.0, 1.0, seed=1)
    one.values[:] = 1.0
    one.values[-DURING:] = 0.9
    found = of(one)
    assert found.growth == pytest.approx(0.1)
    assert (found.sign, found.during) == (-1, pytest.approx(0.9))
    assert of(replace(one, values=one.values * 100.0)).z == pytest.approx(found.z)


def test_what_happens_now_and_then_is_usual():
    steady = series("a", "latency", Aspect.LATENCY, 0.1, 0.2, seed=1)
    restless = replace(steady, values=steady.values.copy())
    for start in range(5, BEFORE - 10, 20):
        restless.values[start : start + 10] += 0.1
    assert of(restless).z < of(steady).z / 4


def test_too_few_points_give_nothing():
    one = series("a", "latency", Aspect.LATENCY, 0.1, 0.2, seed=1)
    short = replace(one, values=one.values.copy())
    short.values[: BEFORE - 3] = np.nan
    silent = replace(one, values=one.values.copy())
    silent.values[-DURING:] = np.nan
    assert of(short) is None
    assert of(silent) is None


def test_a_constant_that_stays_does_not_deviate_and_one_that_moves_does():
    one = series("a", "queue", Aspect.QUEUE, 0.0, 0.0, seed=1)
    assert of(one).z == 0.0
    moved = replace(one, values=np.concatenate([np.zeros(BEFORE), np.ones(DURING)]))
    assert of(moved).z > 900


def test_courses_that_agree_and_those_that_do_not():
    first = series("a", "latency", Aspect.LATENCY, 0.1, 0.2, seed=1)
    early, late = (replace(first, values=first.values.copy()) for _ in range(2))
    early.values[-DURING // 2 :] = 0.1
    late.values[-DURING : -DURING // 2] = 0.1
    assert agreement(of(first), of(series("b", "latency", Aspect.LATENCY, 0.3, 0.6, seed=2))) > 0.9
    assert agreement(of(early), of(late)) < 0.4
    shifted = replace(first, times_unix_ns=first.times_unix_ns + STEP_NS // 3)
    assert agreement(of(first), of(shifted)) > 0.9
