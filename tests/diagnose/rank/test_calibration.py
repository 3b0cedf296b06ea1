"""Confidence: a curve that rises with the strength of a ranking."""

import numpy as np
import pytest

from watchkeeper.diagnose.rank.calibration import FLOOR, confidence, features, fit_curve


def test_stronger_and_clearer_rankings_are_surer():
    assert confidence(0.0, 0.0) < FLOOR < confidence(10.0, 5.0)
    assert confidence(2.0, 1.0) < confidence(4.0, 2.0) <= confidence(4.0, 1.0) < 1.0


def test_a_clearer_lead_never_makes_less_sure():
    given = [features(score, other) for score, other in ((4.0, 0.0), (1.0, 0.0), (4.0, 4.0), (1.0, 0.9))]
    curve = fit_curve(given, [0, 0, 1, 0])
    assert curve.margin == 0.0
    assert confidence(4.0, 2.0, curve) <= confidence(4.0, 1.0, curve)


def test_a_fit_finds_the_chances_that_made_the_data():
    random = np.random.default_rng(3)
    first = np.expm1(random.uniform(0.0, 10.0 / 3.0, 4_000))
    given = [features(one, one / 2) for one in first]
    right = random.random(4_000) < 1.0 / (1.0 + np.exp(-(3.0 * np.log1p(first) - 5.0)))
    curve = fit_curve(given, right)
    middle = float(np.expm1(5.0 / 3.0))
    assert confidence(middle, middle / 2, curve) == pytest.approx(0.5, abs=0.1)
    assert confidence(15.0, 7.5, curve) > 0.85
    assert confidence(0.5, 0.25, curve) < 0.15


def test_a_fit_of_cases_that_are_all_told_apart_stays_finite():
    given = [features(score, 0.0) for score in (0.1, 0.2, 9.0, 10.0)]
    curve = fit_curve(given, [0, 0, 1, 1])
    assert all(np.isfinite(curve))
    assert confidence(0.1, 0.0, curve) < 0.5 < confidence(10.0, 0.0, curve) < 0.9999
