"""Scores of rankings; ties by expectation over every order."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.bench.scores.ranking import MISSED, indicators_scored, nodes_scored, rank_score, summary
from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Ranking


def brute_force(scored, truth):
    """Mean over every order that the scores allow."""
    orders = [
        order
        for order in itertools.permutations(scored)
        if all(one[1] >= two[1] for one, two in itertools.pairwise(order))
    ]
    places = [next(place for place, one in enumerate(order) if one[0] in truth) for order in orders]
    at = [sum(place < k for place in places) / len(places) for k in range(1, 6)]
    return at, sum(1 / (place + 1) for place in places) / len(places)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.data())
def test_ties_count_as_the_mean_over_every_order(scores, data):
    scored = [(name, float(score)) for name, score in enumerate(scores)]
    truth = data.draw(st.sets(st.sampled_from(range(len(scores))), min_size=1))
    at, reciprocal = brute_force(scored, truth)
    found = rank_score(scored, truth)
    assert found.at == pytest.approx(at)
    assert found.reciprocal == pytest.approx(reciprocal)


def test_a_truth_that_is_not_ranked_is_missed():
    assert rank_score([("a", 1.0)], {"b"}) == MISSED
    assert rank_score([], {"b"}) == MISSED


def test_average_at_5_is_that_of_the_literature():
    assert rank_score([("a", 3.0), ("b", 2.0), ("c", 1.0)], {"b"}).average_at_5 == pytest.approx(0.8)


def test_the_figures_of_many():
    scores = [rank_score([("a", 2.0), ("b", 1.0)], {name}) for name in ("a", "a", "a", "b")]
    told = summary(scores)
    assert (told["at_1"], told["at_3"], told["mrr"]) == (0.75, 1.0, 0.875)
    low, high = (float(end) for end in str(told["at_1_95"]).split("-"))
    assert low < 0.75 < high <= 1.0
    assert math.isnan(float(summary([])["at_1"]))


def test_nodes_and_pairs_of_a_ranking():
    metric = Indicator(IndicatorKind.METRIC, "cpu", 2.0)
    ranking = Ranking((Cause("service:a", 2.0, indicators=(metric,)), Cause("service:b", 1.0)))
    assert nodes_scored(ranking) == [("service:a", 2.0), ("service:b", 1.0)]
    assert indicators_scored(ranking) == [(("service:a", "cpu"), 2.0)]
