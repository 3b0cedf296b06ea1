"""Watchkeeper's own ranker: right causes, their evidence, what it rules out, when it abstains."""

from dataclasses import replace

import numpy as np
import pytest
from tests.diagnose.rank.incidents import DURING, STEP_NS, chain, node_id, series, window

from watchkeeper.diagnose.base import IndicatorKind
from watchkeeper.diagnose.rank.blame import BlameRanker
from watchkeeper.diagnose.window import Aspect, Series
from watchkeeper.signals.topology import Node, NodeKind


def test_the_slow_one_at_the_end_of_the_chain_is_blamed_with_evidence():
    ranking = BlameRanker().rank(chain())
    first = ranking.causes[0]
    assert (first.node, first.verdict, ranking.abstains) == (node_id("store"), "supported", False)
    assert first.confidence > 0.5
    assert first.indicators[0].name == "latency"
    assert first.indicators[0].kind is IndicatorKind.METRIC
    texts = " ".join(proof.text for proof in first.evidence_for)
    assert "latency of store rose from 20 ms to 228 ms" in texts
    assert "web, where the incident is felt, depends on it through cart" in texts
    assert first.evidence_for[0].points


def test_who_only_waits_is_told_what_it_waits_for():
    ranking = BlameRanker().rank(chain())
    cart = next(cause for cause in ranking.causes if cause.node == node_id("cart"))
    assert any("waits for store" in proof.text for proof in cart.evidence_against)
    assert "within its usual course" in dict(ranking.ruled_out)[node_id("mail")]


def test_each_proof_has_an_id_of_its_own():
    ranking = BlameRanker().rank(chain())
    ids = [proof.id for cause in ranking.causes for proof in (*cause.evidence_for, *cause.evidence_against)]
    assert len(ids) == len(set(ids)) > 3


def test_it_abstains_when_nothing_happened_and_says_what_is_missing():
    ranking = BlameRanker().rank(chain(quiet=True))
    assert ranking.abstains
    assert ranking.missing
    assert "too thin" in ranking.why
    assert all(cause.verdict != "supported" for cause in ranking.causes)


def test_a_caller_that_grew_on_its_own_is_not_excused_by_a_callee_that_hardly_did():
    given = window(
        series("web", "latency", Aspect.LATENCY, 0.1, 0.9, seed=1),
        series("store", "latency", Aspect.LATENCY, 0.05, 0.06, seed=2),
        calls=(("web", "store"),),
        symptom="web",
    )
    assert BlameRanker().rank(given).causes[0].node == node_id("web")


def test_what_was_high_before_the_onset_is_not_blamed():
    old = series("batch", "latency", Aspect.LATENCY, 0.1, 3.0, seed=5)
    old.values[-DURING * 3 :] = 3.0
    given = chain()
    given = replace(given, nodes=(*given.nodes, old.node), series=(*given.series, old))
    ranking = BlameRanker().rank(given)
    batch = next(cause for cause in ranking.causes if cause.node == old.node)
    assert ranking.causes[0].node == node_id("store")
    assert batch.score == pytest.approx(0.0, abs=0.05)


def test_failures_are_followed_to_where_they_begin():
    def availability(name, during, seed):
        one = series(name, "availability", Aspect.ERRORS, 100.0, 100.0, seed=seed, unit="%")
        one.values[:] = 100.0
        one.values[-DURING:] = during + np.random.default_rng(seed).normal(0, 0.2, DURING)
        return one

    given = window(
        availability("web", 95.0, 1),
        availability("cart", 92.0, 2),
        availability("store", 93.0, 3),
        availability("mail", 100.0, 4),
        calls=(("web", "cart"), ("cart", "store"), ("web", "mail")),
        symptom="web",
    )
    ranking = BlameRanker().rank(given)
    assert (ranking.causes[0].node, ranking.fault_kind) == (node_id("store"), "errors")


def test_an_outside_view_gives_way_to_the_service_behind_it():
    given = chain()
    view = replace(given.series[2], node="external:store.example", values=given.series[2].values * 1.5)
    seen = Node(NodeKind.EXTERNAL, "store.example")
    edges = (*given.topology.edges, replace(given.topology.edges[1], target=seen.id))
    topology = replace(given.topology, nodes=(*given.topology.nodes, seen), edges=edges)
    given = replace(given, nodes=(*given.nodes, seen.id), series=(*given.series, view), topology=topology)
    ranking = BlameRanker().rank(given)
    outside = next(cause for cause in ranking.causes if cause.node == seen.id)
    assert ranking.causes[0].node == node_id("store")
    assert any("Only its callers see it" in proof.text for proof in outside.evidence_against)


def test_a_callee_never_seen_before_speaks_against_its_caller():
    given = chain()
    times = given.series[0].times_unix_ns[-DURING:]
    new = Series(node_id("invalid"), "requests", Aspect.TRAFFIC, times, np.full(DURING, 5.0))
    edges = (*given.topology.edges, replace(given.topology.edges[1], source=node_id("store"), target=new.node))
    given = replace(
        given,
        nodes=(*given.nodes, new.node),
        series=(*given.series, new),
        topology=replace(given.topology, edges=edges, nodes=(*given.topology.nodes, Node(NodeKind.SERVICE, "invalid"))),
    )
    first = BlameRanker().rank(given).causes[0]
    assert first.node == node_id("store")
    assert any("began to call invalid" in proof.text for proof in first.evidence_for)


def test_memory_that_doubled_comes_before_the_processor_time_it_takes():
    given = window(
        series("cart", "cpu", Aspect.CPU, 1.0, 90.0, seed=1),
        series("cart", "mem", Aspect.MEMORY, 100.0, 400.0, seed=2),
        series("web", "cpu", Aspect.CPU, 5.0, 5.0, seed=3),
    )
    indicators = BlameRanker().rank(given).causes[0].indicators
    assert [one.name for one in indicators] == ["mem", "cpu"]


def test_a_later_start_is_told():
    given = chain()
    late = series("mail", "latency", Aspect.LATENCY, 0.05, 0.05, seed=4)
    late.values[-5:] += 0.05
    given = replace(given, series=(*given.series[:3], late))
    mail = next(cause for cause in BlameRanker().rank(given).causes if cause.node == late.node)
    told = [proof.text for proof in mail.evidence_against]
    assert any(f"{5 * STEP_NS // (60 * 10**9)} min after that of store" in text for text in told)
