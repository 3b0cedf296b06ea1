"""The default ranker: who leads when, that nothing said is lost, and what changes and alerts alone add."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.diagnose.traced_shop import CART, FRONT, NODES, cpu, shop, steady

from watchkeeper.diagnose.base import Cause, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.rank.blame import BlameRanker
from watchkeeper.diagnose.rank.changes import ODDS, weighed_by_changes
from watchkeeper.diagnose.rank.combined import CombinedRanker, combined
from watchkeeper.diagnose.rank.routed import RoutedRanker
from watchkeeper.diagnose.window import Change, IncidentWindow

BUSY = tuple(cpu(node, 1.0, 80.0 if node == CART else 1.0) for node in NODES)
WINDOW = shop(own_ms=200, wait_ms=60).window(BUSY)


def opinion(first: str, second: str, confidence: float, *, abstains: bool = False) -> Ranking:
    def cause(node: str, score: float, sure: float) -> Cause:
        return Cause(node, score, sure, evidence_for=(Proof("1", f"of {node}"),), why=f"why {node}")

    return Ranking((cause(first, 2.0, confidence), cause(second, 1.0, 1.0 - confidence)), abstains=abstains)


PAIR = IncidentWindow(0, 10**12, 2 * 10**12, nodes=("a", "b"))


@pytest.mark.parametrize(
    ("events", "metrics", "first", "abstains"),
    [
        (opinion("a", "b", 0.6), opinion("b", "a", 0.9), "a", False),
        (opinion("a", "b", 0.6, abstains=True), opinion("b", "a", 0.9), "b", False),
        (opinion("a", "b", 0.4, abstains=True), opinion("b", "a", 0.3, abstains=True), "a", True),
        (opinion("a", "b", 0.2, abstains=True), opinion("b", "a", 0.45, abstains=True), "b", True),
    ],
    ids=["events lead", "metrics lead", "mixed, events surer", "mixed, metrics surer"],
)
def test_who_leads(events: Ranking, metrics: Ranking, first: str, abstains: bool) -> None:
    ranking = combined(PAIR, events, metrics)
    assert (ranking.nodes()[0], ranking.abstains) == (first, abstains)
    assert sorted(ranking.nodes()) == ["a", "b"]


def test_the_proofs_of_both_stand_with_ids_of_their_own() -> None:
    ranking = combined(PAIR, opinion("a", "b", 0.6), opinion("b", "a", 0.9))
    for cause in ranking.causes:
        assert len(cause.evidence_for) == 2
        assert len({proof.id for proof in cause.evidence_for}) == 2


def test_metrics_alone_are_ranked_as_blame_ranks_them() -> None:
    window = replace(WINDOW, events=(), gaps=())
    assert CombinedRanker().rank(window) == BlameRanker().rank(window)


def test_where_there_are_events_they_lead() -> None:
    assert CombinedRanker().rank(WINDOW).nodes() == RoutedRanker().rank(WINDOW).nodes()


def test_it_abstains_when_all_is_as_usual() -> None:
    assert CombinedRanker().rank(shop().window(steady())).abstains


def changed(node: str, before_s: float, window: IncidentWindow = PAIR) -> IncidentWindow:
    at = window.onset_unix_ns - int(before_s * 1e9)
    return replace(window, changes=(Change("c1", "deploy", node, f"{node} 2.0", at),))


def test_a_change_near_the_onset_raises_the_odds_of_its_node_and_is_told() -> None:
    before = opinion("a", "b", 0.55)
    after = weighed_by_changes(changed("b", 60.0), before)
    assert after.nodes() == ["b", "a"]
    first = after.causes[0]
    assert first.confidence == pytest.approx(ODDS * 0.45 / (ODDS * 0.45 + 0.55))
    assert first.indicators[0].kind is IndicatorKind.CHANGE
    assert "b 2.0" in first.evidence_for[0].text
    assert first.verdict == "supported"


@pytest.mark.parametrize("before_s", [3 * 3600.0, -600.0], ids=["hours before", "long after"])
def test_a_change_at_another_time_does_nothing(before_s: float) -> None:
    before = opinion("a", "b", 0.6)
    assert weighed_by_changes(changed("b", before_s), before) == before


def test_a_change_alone_blames_nobody() -> None:
    quiet = Ranking((Cause("a", 0.0), Cause("b", 0.0)), abstains=True)
    assert weighed_by_changes(changed("b", 60.0), quiet) == quiet


def test_a_change_lets_a_hesitant_ranking_speak() -> None:
    hesitant = opinion("a", "b", 0.4, abstains=True)
    after = weighed_by_changes(changed("a", 5.0), hesitant)
    assert not after.abstains
    assert after.missing == ()
    assert weighed_by_changes(changed("a", 5.0), opinion("a", "b", 0.1, abstains=True)).abstains


def test_the_diagnoser_weighs_changes_too() -> None:
    ranking = Diagnoser().diagnose(changed(FRONT, 10.0, WINDOW))
    proofs = [proof.id for cause in ranking.causes for proof in (*cause.evidence_for, *cause.evidence_against)]
    assert proofs == [f"E{place}" for place in range(1, len(proofs) + 1)]
    assert all(cause.confidence < 1.0 for cause in ranking.causes)
    front = next(cause for cause in ranking.causes if cause.node == FRONT)
    assert front.indicators[0].kind is IndicatorKind.CHANGE
