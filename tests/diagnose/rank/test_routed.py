"""The routed ranker: the right service for each kind of fault, with proofs, and silence when all is as usual."""

from dataclasses import replace

import pytest
from tests.diagnose.traced_shop import CART, FRONT, NODES, STORE, cpu, shop, steady

from watchkeeper.diagnose.base import IndicatorKind
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.rank.routed import RoutedRanker
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series

BUSY = tuple(cpu(node, 1.0, 80.0 if node == CART else 1.0) for node in NODES)
FAULTS = {
    "return": shop(lines=("read cart", "no cart of that name")).window(steady()),
    "exception": shop(lines=("read cart",)).window(steady()),
    "delay": shop(wait_ms=800).window(steady()),
    "cpu": shop(own_ms=200, wait_ms=60).window(BUSY),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_of_fault_is_named_with_its_service_and_proof(kind: str) -> None:
    ranking = RoutedRanker().rank(FAULTS[kind])
    assert (ranking.fault_kind, ranking.nodes()[0], ranking.abstains) == (kind, CART, False)
    first = ranking.causes[0]
    assert first.verdict == "supported"
    assert 0.5 < first.confidence <= 1.0
    assert first.evidence_for
    proofs = [proof.id for cause in ranking.causes for proof in (*cause.evidence_for, *cause.evidence_against)]
    assert len(proofs) == len(set(proofs))


def test_the_indicator_is_the_region_or_the_resource() -> None:
    named = {kind: RoutedRanker().rank(window).causes[0].indicators[0] for kind, window in FAULTS.items()}
    assert named["return"].name == named["exception"].name == "read cart → cart read"
    assert named["return"].kind is IndicatorKind.LOG_TEMPLATE
    assert (named["cpu"].kind, named["cpu"].name) == (IndicatorKind.METRIC, "container.cpu.usage")
    assert named["delay"].name == "network latency"


def test_every_node_is_ranked_once_and_what_is_ruled_out_has_a_reason() -> None:
    ranking = RoutedRanker().rank(FAULTS["cpu"])
    assert sorted(ranking.nodes()) == sorted(NODES)
    assert CART not in dict(ranking.ruled_out)
    assert all(reason for _, reason in ranking.ruled_out)


def test_it_abstains_when_all_is_as_usual() -> None:
    ranking = RoutedRanker().rank(shop().window(steady()))
    assert ranking.abstains
    assert ranking.fault_kind == ""


def test_nothing_known_is_told_as_missing() -> None:
    window = FAULTS["cpu"]
    ranking = RoutedRanker().rank(replace(window, events=(), gaps=(), series=()))
    assert ranking.abstains
    assert len(ranking.missing) == 3


def test_it_works_on_metrics_alone_and_on_traces_alone() -> None:
    window = FAULTS["cpu"]
    metrics = RoutedRanker().rank(replace(window, events=(), gaps=()))
    assert (metrics.nodes()[0], metrics.fault_kind) == (CART, "cpu")
    traces = RoutedRanker().rank(replace(FAULTS["delay"], series=()))
    assert (traces.nodes()[0], traces.fault_kind) == (CART, "delay")


def test_another_resource_is_named_as_what_it_is() -> None:
    full = Series(STORE, "memory.used", Aspect.MEMORY, BUSY[0].times_unix_ns, cpu(STORE, 1.0, 80.0).values)
    window = replace(FAULTS["cpu"], events=(), gaps=(), series=(full, *steady()))
    ranking = RoutedRanker().rank(window)
    assert (ranking.nodes()[0], ranking.fault_kind) == (STORE, "memory")


@pytest.mark.parametrize("kind", FAULTS)
def test_units_and_order_do_not_matter(kind: str) -> None:
    window = FAULTS[kind]
    scaled = tuple(replace(one, values=one.values * 2.0**20) for one in window.series[::-1])
    other: IncidentWindow = replace(window, series=scaled, nodes=window.nodes[::-1], events=window.events[::-1])
    mine, theirs = RoutedRanker().rank(window), RoutedRanker().rank(other)
    assert mine.nodes() == theirs.nodes()
    assert [cause.score for cause in mine.causes] == pytest.approx([cause.score for cause in theirs.causes])


def test_a_caller_that_breaks_because_its_callee_did_is_not_the_cause() -> None:
    made = shop(lines=("read cart",))
    lines = [line for line in made.lines if not (line[3] == "served" and int(line[0][1:]) >= 600)]
    made.lines = [*lines]
    ranking = RoutedRanker().rank(made.window(steady()))
    assert ranking.nodes()[:2] == [CART, FRONT]
    assert any("depends" in proof.text for proof in ranking.causes[1].evidence_against)


def test_the_ranker_and_its_rules_are_found_by_name() -> None:
    window = FAULTS["delay"]
    assert ranker("routed").rank(window).nodes()[0] == CART
    for name in ("event_support", "trace_latency", "self_time", "gaps"):
        assert sorted(ranker(name).rank(window).nodes()) == sorted(NODES)
