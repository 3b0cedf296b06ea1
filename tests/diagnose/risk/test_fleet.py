"""What is known of a fleet at a moment: counts by hand, and that nothing later is looked at."""

from dataclasses import replace

import numpy as np
import pytest

from watchkeeper.bench.cases import titan
from watchkeeper.bench.data.fleets import month_s, rows_of
from watchkeeper.datasets.read import locate
from watchkeeper.diagnose.risk.fleet import DAY_S, LONG_AGO_DAYS, Fleet, known_at
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings


def drawn(seed=3, parts=120, stays=300, failures=80):
    random = np.random.default_rng(seed)
    part = random.integers(0, parts, stays)
    begin = random.uniform(0, 900, stays) * DAY_S
    removed = begin + random.exponential(300, stays) * DAY_S
    removed[random.random(stays) < 0.3] = np.inf
    place = np.column_stack([random.integers(0, 4, stays), random.integers(0, 3, stays)])
    which = random.integers(0, stays, failures)
    return Fleet(
        part=part,
        place=place,
        installed_s=begin,
        removed_s=removed,
        failed_part=part[which],
        failed_s=begin[which] + random.exponential(200, failures) * DAY_S,
        failed_kind=random.integers(0, 2, failures),
        failed_place=place[which],
        made_s=np.where(random.random(parts) < 0.9, random.uniform(-400, 0, parts) * DAY_S, np.nan),
        serial=random.permutation(parts),
        levels=("rack", "slot"),
        kinds=("hard", "soft"),
    )


def two():
    """Two parts in one rack; the first failed once, ten days before day 100, and was put in again."""
    day = DAY_S
    return Fleet(
        part=np.array([0, 0, 1]),
        place=np.array([[7, 0], [7, 0], [7, 1]]),
        installed_s=np.array([0.0, 95 * day, 40 * day]),
        removed_s=np.array([90 * day, np.inf, 130 * day]),
        failed_part=np.array([0, 1]),
        failed_s=np.array([90 * day, 130 * day]),
        failed_kind=np.array([1, 0]),
        failed_place=np.array([[7, 0], [7, 1]]),
        made_s=np.array([-20 * day, np.nan]),
        serial=np.array([10, 11]),
        levels=("rack", "slot"),
        kinds=("hard", "soft"),
    )


def test_rows_are_those_in_service_and_count_what_was():
    known = known_at(two(), 100 * DAY_S)
    column = {name: known.rows[:, at] for at, name in enumerate(known.columns)}
    assert list(known.part) == [0, 1]
    assert list(column["days_since_first_installed"]) == [100, 60]
    assert list(column["days_since_installed"]) == [5, 60]
    assert list(column["days_since_made"]) == [120, -1]
    assert list(column["stays_before"]) == [1, 0]
    assert list(column["own_failures_soft"]) == [1, 0]
    assert list(column["own_failures_hard"]) == [0, 0]
    assert list(column["days_since_own_failure"]) == [10, LONG_AGO_DAYS]
    assert list(column["unit_rack_30d"]) == [0.5, 0.5]  # one failure, two parts in the rack
    assert list(column["unit_slot_30d"]) == [1, 0]
    assert list(column["unit_slot_days_since"]) == [10, LONG_AGO_DAYS]
    assert list(column["made_together_64_30d"]) == [0, 1]  # the other of the two failed, not oneself
    assert list(column["fleet_30d"]) == [0.5, 0.5]


def test_a_part_that_failed_is_out_until_it_is_put_in_again():
    assert list(known_at(two(), 92 * DAY_S).part) == [1]


def test_failures_are_looked_for_after_the_moment_and_until_the_end_of_the_horizon():
    part = np.array([0, 1])
    assert list(two().fails(part, 90 * DAY_S, 130 * DAY_S)) == [False, True]
    assert list(two().fails(part, 89 * DAY_S, 129 * DAY_S)) == [True, False]


@pytest.mark.parametrize("day", [200, 500, 800])
def test_rows_are_the_same_when_all_that_came_later_is_cut_off(day):
    fleet = drawn()
    whole, cut = known_at(fleet, day * DAY_S), known_at(fleet.until(day * DAY_S), day * DAY_S)
    assert len(whole.part) > 20
    assert np.array_equal(whole.part, cut.part)
    assert np.array_equal(whole.rows, cut.rows)


@pytest.mark.parametrize("day", [200, 500, 800])
def test_rows_are_the_same_whatever_comes_later(day):
    fleet, moment = drawn(), day * DAY_S
    random = np.random.default_rng(day)
    later, coming = fleet.installed_s > moment, fleet.failed_s > moment
    other = replace(
        fleet,
        installed_s=np.where(later, moment + random.uniform(1, 9e6, len(later)), fleet.installed_s),
        removed_s=np.where(fleet.removed_s > moment, moment + random.uniform(1, 9e6, len(later)), fleet.removed_s),
        place=np.where(later[:, None], 0, fleet.place),
        failed_s=np.where(coming, moment + random.uniform(1, 9e6, len(coming)), fleet.failed_s),
        failed_kind=np.where(coming, 0, fleet.failed_kind),
    )
    assert later.any()
    assert coming.any()
    assert np.array_equal(known_at(fleet, moment).rows, known_at(other, moment).rows)


def test_the_order_of_stays_and_failures_does_not_count():
    fleet = drawn()
    stays, failures = np.argsort(fleet.place[:, 0], kind="stable"), np.argsort(-fleet.failed_s)
    other = replace(
        fleet,
        **{name: getattr(fleet, name)[stays] for name in ("part", "place", "installed_s", "removed_s")},
        **{name: getattr(fleet, name)[failures] for name in ("failed_part", "failed_s", "failed_kind", "failed_place")},
    )
    assert np.array_equal(known_at(fleet, 500 * DAY_S).rows, known_at(other, 500 * DAY_S).rows)


def test_the_serial_number_tells_the_week_of_manufacture():
    assert titan.made_s("0323712007755") == np.datetime64("2012-09-10").astype("datetime64[s]").astype(int)
    assert np.isnan(titan.made_s("0399912007755"))


@pytest.mark.data
def test_titan_is_complete_and_its_rows_do_not_look_ahead():
    path = Settings().path("data")
    try:
        locate("titan_gpu", path)
    except DataSetError as absent:
        pytest.skip(str(absent))
    fleet = titan.fleet(path)
    assert (len(fleet.made_s), len(fleet.failed_s)) == (30_207, 6_367)
    moment = month_s(2017, 4)
    whole, cut = rows_of(fleet, moment), rows_of(fleet.until(moment), moment)
    told = [name for name in whole.column_names if name not in {"failed", "days_left"}]
    assert whole.select(told).equals(cut.select(told))
    assert whole["failed"].to_numpy().sum() > 50
    assert cut["failed"].to_numpy().sum() == 0
