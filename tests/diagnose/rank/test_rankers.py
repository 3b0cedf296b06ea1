"""What holds for every ranker over metrics, whatever it finds."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.diagnose.rank.incidents import BEFORE, chain, node_id, series, window, with_values

from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.rank.registry import RANKERS, SIMPLE, ranker
from watchkeeper.diagnose.window import Aspect, EventCounts, IncidentWindow

METRIC_RANKERS = (*SIMPLE, "blame")


def scores(ranking):
    return {cause.node: cause.score for cause in ranking.causes}


@pytest.mark.parametrize("name", METRIC_RANKERS)
def test_every_candidate_comes_once_highest_score_first(name):
    ranking = ranker(name).rank(chain())
    assert sorted(ranking.nodes()) == sorted(chain().nodes)
    assert [cause.score for cause in ranking.causes] == sorted(scores(ranking).values(), reverse=True)


@pytest.mark.parametrize("name", METRIC_RANKERS)
@settings(max_examples=20, deadline=None)
@given(factors=st.lists(st.sampled_from([1.0, 2.0**20, 2.0**-20]), min_size=4, max_size=4))
def test_units_do_not_matter(name, factors):
    moved = with_values(chain(), lambda place, values: values * factors[place])
    expected, found = ranker(name).rank(chain()), ranker(name).rank(moved)
    assert found.nodes() == expected.nodes()
    assert scores(found) == scores(expected)
    assert found.abstains == expected.abstains


@pytest.mark.parametrize("name", METRIC_RANKERS)
@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(name, random):
    given_window = chain()
    nodes, rows = list(given_window.nodes), list(given_window.series)
    edges = list(given_window.topology.edges)
    for each in (nodes, rows, edges):
        random.shuffle(each)
    topology = replace(given_window.topology, edges=tuple(edges))
    shuffled = replace(given_window, nodes=tuple(nodes), series=tuple(rows), topology=topology)
    expected, found = ranker(name).rank(given_window), ranker(name).rank(shuffled)
    assert found.nodes() == expected.nodes()
    assert scores(found) == pytest.approx(scores(expected), abs=1e-9)


@pytest.mark.parametrize("name", METRIC_RANKERS)
def test_names_do_not_matter(name):
    renamed = {"web": "n3", "cart": "n1", "store": "n9", "mail": "n5"}

    def other(node):
        return node_id(renamed[node.partition(":")[2]])

    first = chain()
    second = window(
        *(replace(one, node=other(one.node)) for one in first.series),
        calls=tuple(
            (renamed[edge.source.partition(":")[2]], renamed[edge.target.partition(":")[2]])
            for edge in first.topology.edges
        ),
        symptom=renamed["web"],
    )
    expected = {other(node): score for node, score in scores(ranker(name).rank(first)).items()}
    assert scores(ranker(name).rank(second)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", METRIC_RANKERS)
def test_holes_constants_and_short_series_are_borne(name):
    def spoil(place, values):
        if place == 0:
            values[::7] = np.nan
        if place == 1:
            values[:] = 5.0
        if place == 2:
            values[:] = np.nan
        if place == 3:
            values[: BEFORE - 2] = np.nan
        return values

    constant_zero = series("mail", "queue", Aspect.QUEUE, 0.0, 0.0, seed=9)
    spoilt = with_values(chain(), spoil)
    spoilt = replace(spoilt, series=(*spoilt.series, constant_zero))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ranking = ranker(name).rank(spoilt)
    assert sorted(ranking.nodes()) == sorted(spoilt.nodes)
    assert all(np.isfinite(cause.score) for cause in ranking.causes)


PARTIAL = {
    "empty": IncidentWindow(0, 10, 20, ()),
    "nodes_only": IncidentWindow(0, 10, 20, ("service:a", "service:b")),
    "one_node": IncidentWindow(0, 10, 20, ("service:a",), symptom="service:a"),
    "logs_only": IncidentWindow(
        0,
        10,
        20,
        ("service:a",),
        events=(
            EventCounts(
                "log",
                ("service:a",),
                ("x",),
                np.ones((1, 2), np.int64),
                np.zeros((1, 2), np.int64),
                np.array([0, 10]),
                1.0,
            ),
        ),
    ),
    "series_of_others": replace(chain(), nodes=("service:elsewhere",)),
    "no_topology": replace(chain(), topology=IncidentWindow(0, 1, 2, ()).topology),
    "symptom_unknown": replace(chain(), symptom="service:nowhere"),
}


@pytest.mark.parametrize("which", PARTIAL)
def test_the_diagnoser_always_answers(which):
    ranking = Diagnoser().diagnose(PARTIAL[which])
    assert sorted(ranking.nodes()) == sorted(PARTIAL[which].nodes)
    if not PARTIAL[which].series or which == "series_of_others":
        assert ranking.abstains
        assert ranking.missing


@pytest.mark.parametrize("name", ["loudest", "robust", "pagerank", "traversal", "blame"])
def test_nothing_known_is_told(name):
    ranking = ranker(name).rank(PARTIAL["nodes_only"])
    assert ranking.abstains
    assert ranking.missing


def test_all_rankers_can_be_made():
    assert {"random", "loudest", "robust", "pagerank", "traversal", "blame"} <= set(RANKERS)
    assert all(hasattr(RANKERS.get(name), "rank") for name in RANKERS)
