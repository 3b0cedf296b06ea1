"""Reports by hand: supported facts count, bare claims do not, and claiming everything earns little."""

import pytest

from watchkeeper.bench.base import BenchError, Item, Outcome, Split
from watchkeeper.bench.forms import FORMS, Claim, Query, Told
from watchkeeper.bench.models.reports import Guessed, Ruled, Written, everything, loudest
from watchkeeper.bench.protocol import ask, run_split
from watchkeeper.bench.scores.facts import fact
from watchkeeper.bench.tasks.questioning import Facts
from watchkeeper.bench.tasks.report import Happened, Scored, measure, scored, share_of_claims
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

NAMES = ("a", "b", "c")


def alert(name, at):
    return Finding(
        id=f"f{at}",
        kind="alert",
        signal="metrics",
        service=name,
        entity=f"service={name}",
        subject="RequestErrors",
        title=f"RequestErrors on {name}",
        why="",
        severity=FindingSeverity.CRITICAL,
        score=1.0,
        count=1,
        first_unix_ns=100,
        last_unix_ns=100,
        expected=Band(""),
        seen=Band(""),
        baseline=Baseline(0, 100),
    )


WINDOW = IncidentWindow(
    0,
    100,
    200,
    nodes=tuple(f"service:{name}" for name in NAMES),
    topology=Topology(
        tuple(Node(NodeKind.SERVICE, name) for name in NAMES),
        tuple(Edge(f"service:{one}", f"service:{two}", EdgeKind.CALLS) for one, two in (("a", "b"), ("b", "c"))),
    ),
    findings=(alert("a", 1), alert("b", 2), alert("c", 3)),
)
TRUTH = Happened(frozenset({"service:c"}), hops=(("service:c", "service:b"), ("service:b", "service:a")))
ITEM = Item("one", WINDOW, TRUTH)
CAUSE = Claim("cause", "c", ("service:c",), ("f3",))
FIRST = Claim("path", "c to b", ("service:c", "service:b"), ("f3", "f2"))
SECOND = Claim("path", "b to a", ("service:b", "service:a"), ("f1",))


def told(claims, causes=("service:c",), hops=TRUTH.hops):
    return scored(ITEM, Told(causes, hops, claims=tuple(claims)))


def test_a_right_and_supported_report_earns_all():
    right = told([CAUSE, FIRST, SECOND])
    assert right.figures["fact_f1"] == right.figures["chain_recall"] == right.figures["cause_first"] == 1.0
    assert (right.bad, right.claims) == (0, 3)


def test_what_no_evidence_supports_does_not_count():
    bare = told([CAUSE._replace(cites=()), FIRST, SECOND._replace(cites=("f9",))])
    assert bare.figures["cause_first"] == 0.0
    assert bare.figures["chain_recall"] == 0.5
    assert bare.figures["fact_f1"] == pytest.approx(2 * 1 / (3 + 3))
    assert (bare.bad, bare.claims) == (2, 3)


def test_hops_and_causes_without_a_claim_are_not_told():
    assert told([]).figures["fact_f1"] == told([]).figures["chain_recall"] == 0.0


def test_a_later_cause_counts_for_recall_only():
    figures = told([CAUSE], causes=("service:a", "service:c"), hops=()).figures
    assert (figures["cause_first"], figures["cause_recall"], figures["fact_f1"]) == (0.0, 1.0, 0.0)


def test_proofs_about_what_was_never_observed_support_nothing():
    claim = Claim("cause", "d", ("service:d",), ("p",))
    window = IncidentWindow(0, 100, 200, nodes=(*WINDOW.nodes, "service:d"), findings=WINDOW.findings)
    item = Item("x", window, Happened(frozenset({"service:d"})))
    assert scored(item, Told(("service:d",), claims=(claim,), proofs={"p": ("service:d",)})).bad == 1


def test_claiming_everything_earns_less_than_being_right_and_more_than_nothing():
    every = scored(ITEM, everything(WINDOW))
    assert every.figures["cause_recall"] == every.figures["chain_recall"] == 1.0
    assert every.figures["fact_f1"] < 0.7
    assert every.bad == 0


def test_unknown_hops_are_not_held_against_a_report():
    item = Item("one", WINDOW, Happened(TRUTH.causes, frozenset({"network"})))
    figures = scored(item, Told(("service:c",), TRUTH.hops, "network", (CAUSE,))).figures
    assert figures["fact_f1"] == figures["fact_recall"] == figures["category_recall"] == 1.0
    assert "chain_recall" not in figures


def test_the_product_reports_a_supported_cause_and_the_loudest_is_named():
    form = FORMS.get("report")
    outcome, _, _ = run_split(Written, Split("all", (), (ITEM,)), form, 0)
    figures = measure([outcome]).figures
    assert figures["unsupported"].value == 0.0
    assert outcome.answers[0].claims
    drawn = [run_split(Guessed, Split("all", (), (ITEM,)), form, seed)[0].answers[0].causes[0] for seed in range(20)]
    assert len(set(drawn)) == len(NAMES)
    assert ask(Ruled(loudest), ITEM, form).causes == ("service:a",)
    assert loudest(IncidentWindow(0, 1, 2, nodes=())).causes == ()


def test_an_answer_that_is_no_report_is_refused():
    with pytest.raises(BenchError, match="a Told was asked for"):
        ask(Ruled(lambda window: "it was DNS"), ITEM, FORMS.get("report"))


def test_the_share_of_claims_is_pooled():
    share = share_of_claims([Scored({}, 1, 1), Scored({}, 0, 3)])
    assert share.value == 0.25
    assert share_of_claims([Scored({}, 0, 0)]) is None


def test_texts_are_held_to_facts_and_evidence():
    item = Item("t", Query("?", ("node-7 disk full",)), Facts((fact("disk of node-7 full"), fact("redis timeout"))))
    figures = measure([Outcome(Split("all", (), (item,)), (), (["node-7 disk full"],))]).figures
    assert (figures["fact_recall"].value, figures["unsupported"].value) == (0.5, 0.0)
