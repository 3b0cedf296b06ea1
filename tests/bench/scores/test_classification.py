"""Scores of classes, against values computed by hand."""

import numpy as np
import pytest

from watchkeeper.bench.scores.classification import accuracy, brier, calibration_error, confusion, macro_f1, scored


def test_scores_by_hand():
    truth, told = ["a", "a", "a", "b", "b", "c"], ["a", "a", "b", "b", "c", "c"]
    assert accuracy(truth, told) == pytest.approx(4 / 6)
    assert confusion(truth, told, ["a", "b", "c"]).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert macro_f1(truth, told) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert macro_f1(["a", "b"], ["c", "c"]) == 0.0


def test_the_interval_holds_the_figure_and_closes_with_certainty():
    random = np.random.default_rng(0)
    truth = random.choice(["a", "b"], 200).tolist()
    told = [each if random.random() < 0.8 else "a" for each in truth]
    one = scored(truth, told, draws=300)
    assert one.accuracy_low < one.accuracy < one.accuracy_high
    assert one.macro_f1_low < one.macro_f1 < one.macro_f1_high
    sure = scored(truth, truth, draws=50)
    assert (sure.macro_f1_low, sure.macro_f1_high) == (1.0, 1.0)


def test_calibration_and_brier_by_hand():
    right = np.array([True, True, False, True])
    assert calibration_error(np.array([0.95, 0.95, 0.95, 0.95]), right) == pytest.approx(0.2)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0.0
    assert brier(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1])) == pytest.approx(0.25)
