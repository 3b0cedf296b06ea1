"""Scores of risks by hand."""

import math

import numpy as np
import pytest

from watchkeeper.bench.base import Item, Outcome, Split
from watchkeeper.bench.data.fleets import Fate
from watchkeeper.bench.scores.risk import chosen, reliability, risk_figures, saved
from watchkeeper.bench.tasks import failure_prediction, failure_prevention
from watchkeeper.bench.tasks.failure_prediction import nasa_score


def test_areas_and_calibration_of_four_rows():
    risks, true = np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False])
    told = risk_figures(risks, true, np.arange(4), draws=0)
    assert told["auroc"].value == pytest.approx(3 / 4)  # of four pairs, one is the wrong way round
    assert told["pr_auc"].value == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert told["brier"].value == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    assert told["ece"].value == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)


def test_equal_risks_tell_nothing():
    true = np.arange(1_000) % 50 == 0
    told = risk_figures(np.full(1_000, 0.02), true, np.arange(1_000), draws=0)
    assert told["auroc"].value == pytest.approx(0.5)
    assert told["lift_1pct"].value == pytest.approx(1.0)
    assert told["pr_auc"].value == pytest.approx(0.02)


def test_lift_is_the_share_found_among_the_riskiest_hundredth():
    risks, true = np.arange(1_000.0), np.zeros(1_000, bool)
    true[[999, 998, 997, 995, 10, 20, 30, 40, 50, 60]] = True
    told = risk_figures(risks, true, np.arange(1_000), draws=0)
    assert told["lift_1pct"].value == pytest.approx((4 / 10) / (10 / 1_000))
    assert "brier" not in told  # numbers up to 999 are no probabilities


def test_one_part_seen_often_widens_the_interval():
    random = np.random.default_rng(0)
    true = np.repeat(random.random(60) < 0.3, 20)
    risks = np.repeat(random.random(60), 20) + 0.3 * true
    alone = risk_figures(risks, true, np.arange(1_200))["auroc"]
    together = risk_figures(risks, true, np.repeat(np.arange(60), 20))["auroc"]
    assert alone.value == together.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_only_one_kind_is_refused():
    with pytest.raises(ValueError, match="both kinds"):
        risk_figures(np.zeros(3), np.zeros(3, bool), np.arange(3))


def test_reliability_and_what_draining_saves():
    risks, true = np.linspace(0, 1, 40), np.arange(40) >= 30
    assert reliability(risks, true, bins=4)[-1] == (pytest.approx(risks[30:].mean()), 1.0)
    drained = chosen(risks, 5, np.random.default_rng(0))
    assert drained.sum() == 5
    assert drained[35:].all()
    assert saved(drained, true, np.arange(40), draws=0).value == 0.5


def test_late_is_worse_than_early():
    assert nasa_score(10.0) == pytest.approx(math.e - 1)
    assert nasa_score(-13.0) == pytest.approx(math.e - 1)
    assert nasa_score(10.0) > nasa_score(-10.0)


def outcome(answers, truths, **facts):
    items = tuple(Item(str(at), None, truth) for at, truth in enumerate(truths))
    return Outcome(Split("one", (), items, facts=facts), (), tuple(answers))


def test_time_left_is_scored_by_its_error():
    told = failure_prediction.measure([outcome([13.0, 4.0], [10.0, 8.0])]).figures
    assert told["rmse"].value == pytest.approx(math.sqrt((9 + 16) / 2))
    assert told["nasa_score"].value == pytest.approx(math.exp(0.3) - 1 + math.exp(4 / 13) - 1)


def test_limits_are_forewarned_falsely_told_and_missed():
    truths = [("a", 500.0, 0.8), ("a", 100.0, 0.2), ("b", 50.0, 0.5), ("c", math.inf, 0.5), ("d", math.inf, 0.5)]
    told = failure_prediction.measure([outcome([None, 80.0, None, None, 10.0], truths, horizon_s=1_000.0)]).figures
    assert told["forewarned"].value == 0.5
    assert told["lead_share"].value == 0.2
    assert told["time_error"].value == pytest.approx(0.2)
    assert told["false_predictions"].value == 0.5
    assert told["balanced"] == (0.5, 0.0, 1.0)


def test_who_always_tells_of_a_limit_gets_a_half():
    truths = [("a", 500.0, 0.8), ("b", 50.0, 0.5), ("c", math.inf, 0.5), ("d", math.inf, 0.5)]
    for always in (10.0, None):
        told = failure_prediction.measure([outcome([always] * 4, truths, horizon_s=1_000.0)]).figures
        assert told["balanced"] == (0.5, 0.5, 0.5)
    only = failure_prediction.measure([outcome([10.0], truths[:1], horizon_s=1_000.0)]).figures
    assert "false_predictions" not in only
    assert math.isnan(only["balanced"].value)


def test_drains_avert_what_was_riskiest():
    failed = np.zeros(200, bool)
    failed[[3, 7]] = True
    risks = np.zeros(200)
    risks[3], risks[5] = 0.9, 0.8
    fate = Fate(failed, np.arange(200), np.where(failed, 3.0, np.nan))
    told = failure_prevention.measure([outcome([risks], [fate], columns=())])
    assert told.figures["averted_1pct"].value == 0.5
    assert told.figures["drains_per_failure"].value == 2.0
    assert told.curves["averted"][-1] == (1.0, 1.0)


def test_gates_are_scored_by_rank_and_by_what_they_hold():
    answers = [[("a", 5.0), ("b", 1.0)], [("a", 2.0), ("b", 3.0)]]
    one = outcome(answers, [frozenset({"a"}), frozenset({"a"})])
    told = failure_prevention.measure([Outcome(one.split, (), one.answers, threshold=2.5)]).figures
    assert (told["at_1"].value, told["mrr"].value) == (0.5, 0.75)
    assert (told["held"].value, told["held_wrongly"].value) == (0.5, 0.5)
