"""Scores of what is flagged, against values computed by hand and by the direct reading of their definitions."""

import numpy as np
import pytest

from watchkeeper.bench.scores.flags import areas, flagged_figures, precision_recall


def test_flags_by_hand():
    found = np.array([True, True, True, False, False, False])
    true = np.array([True, True, False, True, False, False])
    told = {name: each.value for name, each in flagged_figures(found, true).items()}
    assert told == {
        "f1": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "false_alarms": pytest.approx(1 / 3),
    }


def test_f1_is_of_the_anomalous_and_not_of_the_many_normal_ones():
    true = np.arange(1_000) % 50 == 0
    nothing = {name: each.value for name, each in flagged_figures(np.zeros(1_000, bool), true).items()}
    assert nothing == {"f1": 0.0, "precision": 0.0, "recall": 0.0, "false_alarms": 0.0}
    everything = flagged_figures(np.ones(1_000, bool), true)
    assert everything["f1"].value == pytest.approx(2 * 0.02 / 1.02)
    assert (everything["recall"].value, everything["false_alarms"].value) == (1.0, 1.0)


def test_areas_by_hand():
    scores, true = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, True, False, True])
    told = areas(scores, true)
    assert told["pr_auc"].value == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert told["roc_auc"].value == pytest.approx(3 / 6)  # of six pairs three are the right way round


def test_equal_scores_are_taken_together_and_order_of_rows_earns_nothing():
    true = np.array([True, True, False, False])
    for order in ([0, 1, 2, 3], [2, 3, 0, 1], [3, 0, 2, 1]):
        told = areas(np.ones(4), true[order])
        assert (told["pr_auc"].value, told["roc_auc"].value) == (0.5, 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_areas_are_their_definitions(seed):
    random = np.random.default_rng(seed)
    true = np.r_[True, False, random.random(40) < 0.3]
    scores = np.round(random.random(42) + 0.5 * true, 1)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[true] for b in scores[~true]]
    points = [((scores >= at) & true).sum() / (scores >= at).sum() for at in sorted(set(scores), reverse=True)]
    recalls = [((scores >= at) & true).sum() / true.sum() for at in sorted(set(scores), reverse=True)]
    told = areas(scores, true)
    assert told["roc_auc"].value == pytest.approx(np.mean(pairs))
    assert told["pr_auc"].value == pytest.approx(np.dot(np.diff(recalls, prepend=0.0), points))
    np.testing.assert_allclose(precision_recall(scores, true), np.column_stack([recalls, points]))


def test_the_interval_holds_the_figure_and_narrows_with_cases():
    random = np.random.default_rng(0)
    widths = []
    for count in (200, 5_000):
        true = random.random(count) < 0.3
        scores = random.normal(size=count) + true
        told = {**areas(scores, true), **flagged_figures(scores > 0.5, true)}
        assert all(each.low < each.value < each.high for each in told.values())
        widths.append({name: each.high - each.low for name, each in told.items()})
    assert all(widths[1][name] < 0.5 * widths[0][name] for name in widths[0])


@pytest.mark.parametrize("true", [[True, True], [False, False]])
def test_areas_of_one_kind_are_refused(true):
    with pytest.raises(ValueError, match="true and false cases"):
        areas(np.array([1.0, 2.0]), np.array(true))


def test_a_curve_of_many_scores_takes_one_pass():
    """Half a million distinct scores: what was a sum over all for each of them would take minutes."""
    random = np.random.default_rng(1)
    points = precision_recall(random.random(500_000), random.random(500_000) < 0.03)
    assert len(points) == 500_000
    assert points[-1] == (1.0, pytest.approx(0.03, rel=0.05))
