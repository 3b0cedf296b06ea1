"""Anomaly detection, localization, category and mitigation by hand: what each figure counts, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.bench.base import Item, Outcome, Split
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.protocol import run_split
from watchkeeper.bench.tasks import anomaly_detection, category, localization, mitigation
from watchkeeper.diagnose.base import Cause, Ranking

EVENTS = {"step_s": 60.0, "buffer_steps": 0, "per_day": 0.0, "close_share": 0.5, "gap_s": 0.0}


def outcome(items, answers, threshold=None, **facts):
    return Outcome(Split("one", (), tuple(items), facts=facts), (), tuple(answers), threshold)


def values(measured):
    return {name: each.value for name, each in measured.figures.items()}


def test_what_is_flagged_is_above_the_threshold_in_force():
    items = [Item("a", np.zeros(4), np.array([True, False, True, False]), ("w", "x", "y", "z"))]
    told = anomaly_detection.measure([outcome(items, [np.array([3.0, 2.0, 1.0, 0.0])], threshold=2.0)])
    assert values(told)["precision"] == 1.0  # 2.0 itself is not flagged
    assert values(told)["f1"] == pytest.approx(2 / 3)
    assert values(told)["pr_auc"] == pytest.approx((1 + 2 / 3) / 2)
    assert told.cases == {"w": {"right": 1.0}, "x": {"right": 1.0}, "y": {"right": 0.0}, "z": {"right": 1.0}}


def test_draws_of_the_same_cases_are_averaged_and_others_pooled():
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    item = Item("a", np.zeros(2), np.array([True, False]))
    drawn = [outcome([item], [each], 0.5, redrawn=True) for each in (right, wrong)]
    assert values(anomaly_detection.measure(drawn))["f1"] == 0.5
    pooled = [outcome([item], [each], 0.5) for each in (right, wrong)]
    assert values(anomaly_detection.measure(pooled))["roc_auc"] == 0.5


class Summed:
    def fit(self, examples, context):
        list(examples)

    def answer(self, given):
        return given.sum(axis=1)


def test_events_are_found_at_the_threshold_of_the_validation_part():
    true = np.zeros(200, bool)
    true[[50, 51, 52, 120, 121]] = True
    steps = np.zeros((200, 1))
    steps[[51, 52, 150], 0] = [9.0, 9.0, 8.0]  # the first event a step late, the second never, one false incident
    calm = Item("held", np.full((200, 1), 2.0), np.zeros(200, bool))
    split = Split("machine", (calm,), (Item("test", steps, true),), (calm,), facts=EVENTS)
    outcome_, _, _ = run_split(Summed, split, FORMS.get("series"), 0)
    told = values(anomaly_detection.measure([outcome_]))
    assert (told["precision"], told["recall"], told["f1"]) == (0.5, 0.5, 0.5)
    assert told["delay_s"] == 60.0
    assert told["false_per_day"] == pytest.approx(1440 / 200)
    assert told["pr_auc"] == pytest.approx(2 / 5 * 1 + 3 / 5 * 5 / 200)
    assert told["vus_pr"] == pytest.approx(
        0.4 * 0.5 * 1 + 0.8 * 5 / 200
    )  # a half of the events exists at the first step


def test_localization_counts_places_ties_by_chance_and_silence_where_nothing_is_wrong():
    items = [Item(str(at), None, frozenset({"cart"})) for at in range(4)] + [
        Item("calm", None, frozenset()),
        Item("quiet", None, frozenset()),
    ]
    answers = [
        [("cart", 2.0), ("front", 1.0)],
        [("front", 2.0), ("cart", 1.0)],
        [("front", 1.0), ("cart", 1.0)],
        [("front", 1.0)],
        [],
        Ranking((Cause("cart", 1.0),)),
    ]
    told = values(localization.measure([outcome(items, answers)]))
    assert told["at_1"] == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert told["at_3"] == told["at_5"] == 0.75
    assert told["average_at_5"] == pytest.approx((1.0 + 0.8 + 0.9 + 0.0) / 4)
    assert told["mrr"] == pytest.approx((1 + 0.5 + 0.75 + 0) / 4)
    assert told["specificity"] == 0.5
    assert told["answered"] == 1.0


def test_category_is_the_mean_over_classes_and_the_calibration_of_the_class_told():
    items = [Item(str(at), None, truth) for at, truth in enumerate("aaab")]
    sure = {"a": 0.8, "b": 0.2}
    told = values(category.measure([outcome(items, [sure] * 4)]))
    assert told["accuracy"] == 0.75
    assert told["macro_f1"] == pytest.approx((6 / 7 + 0) / 2)  # always the usual class: the rare one counts as much
    assert told["calibration_error"] == pytest.approx(0.05)
    assert told["brier"] == pytest.approx((3 * (0.04 + 0.04) + (0.64 + 0.64)) / 4)


def test_mitigation_is_the_rank_of_the_first_right_solution():
    items = [Item(str(at), None, frozenset({"x", "y"})) for at in range(4)]
    told = values(mitigation.measure([outcome(items, [["x"], ["a", "y", "x"], ["a", "b", "c", "x"], []])]))
    assert told == {
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 4 + 0) / 4),
        "match_at_1": 0.25,
        "match_at_3": 0.5,
    }
