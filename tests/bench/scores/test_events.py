"""Incidents against events."""

import numpy as np
import pytest

from watchkeeper.bench.scores.events import (
    EventCounts,
    count_events,
    event_intervals,
    event_score,
    incidents,
    point_adjusted_f1,
    threshold_for_budget,
)


def pairs(found):
    return list(zip(found.begins.tolist(), found.ends.tolist(), strict=True))


def test_incidents_open_at_the_threshold_and_close_well_under_it():
    score = [0, 6, 10, 6, 4, 0, 6, 0, 11, 0]
    assert pairs(incidents(score, 10)) == [(2, 3), (8, 8)]
    assert pairs(incidents(score, 10, close_share=0.3)) == [(2, 4), (8, 8)]
    assert pairs(incidents(score, 10, gap_steps=4)) == [(2, 8)]
    assert pairs(incidents(score, 12)) == []


def test_what_comes_later_does_not_move_the_begin_of_an_incident():
    score = np.random.default_rng(0).random(400)
    whole = incidents(score, 0.9, gap_steps=3).begins
    for cut in range(20, 400, 20):
        part = incidents(score[:cut], 0.9, gap_steps=3).begins
        assert part.tolist() == whole[whole < cut].tolist()


def test_events_and_incidents_are_counted_once_each():
    label = np.zeros(1440, int)
    label[100:120] = label[300:320] = label[500:510] = 1
    score = np.zeros(1440)
    score[[105, 115, 299, 300, 900]] = 1
    counts = count_events(incidents(score, 1), label, 60.0)
    assert (counts.events, counts.found, counts.incidents, counts.right) == (3, 2, 4, 3)
    assert counts.delays_steps == (5, 0)
    assert counts.days == pytest.approx(1.0)
    scored = event_score([counts], 60.0)
    assert scored == pytest.approx((0.75, 2 / 3, 2 * 0.75 * (2 / 3) / (0.75 + 2 / 3), 1.0, 150.0))


def test_no_incident_is_no_division_by_zero():
    counts = count_events(incidents(np.zeros(10), 1), [0] * 9 + [1], 60.0)
    assert event_score([counts], 60.0) == (0.0, 0.0, 0.0, 0.0, float("inf"))


def test_intervals_draw_machines_whole():
    good, bad = EventCounts(4, 4, 4, 4, 1.0, (1, 2, 3, 4)), EventCounts(4, 0, 6, 0, 1.0, ())
    told = event_intervals([good, bad], 60.0)
    assert told["recall"] == (0.5, 0.0, 1.0)
    assert told["false_per_day"] == (3.0, 0.0, 6.0)
    assert told["median_delay_s"] == (150.0, 150.0, float("inf"))
    assert event_intervals([good], 60.0) == {}
    many = event_intervals([good, bad] * 50, 60.0)["recall"]
    assert many.mean == 0.5
    assert 0.35 < many.low < 0.45
    assert 0.55 < many.high < 0.65


def test_the_budget_is_kept_on_the_scores_it_was_set_by():
    score = np.random.default_rng(1).gamma(1.0, size=14_400)
    for per_day in (0.0, 0.25, 2.0):
        threshold = threshold_for_budget(score, 60.0, per_day)
        told = len(incidents(score, threshold).begins)
        assert told <= per_day * 10
        assert told >= per_day * 10 * 0.5


def test_a_random_score_is_point_adjusted_to_much_and_really_worth_little():
    label = np.zeros(20_000, int)
    for begin in range(1000, 20_000, 2000):
        label[begin : begin + 200] = 1
    score = np.random.default_rng(2).random(20_000)
    assert point_adjusted_f1(score, label) > 0.8
    assert point_adjusted_f1(label, label) == 1.0


def test_an_incident_that_never_closes_finds_nothing():
    label = np.zeros(1440, int)
    label[100:120] = label[500:510] = 1
    counts = count_events(incidents(np.ones(1440), 1), label, 60.0)
    assert (counts.found, counts.incidents, counts.right) == (0, 1, 0)
