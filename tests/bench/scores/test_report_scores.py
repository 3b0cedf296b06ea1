"""Scores of reports: chains by hand; a claim whose evidence is about something else is not supported."""

import numpy as np
import pytest

from watchkeeper.bench.cases import itbench
from watchkeeper.bench.scores.report import chain, claim_of, evidence_nodes, named, unsupported, worked_out
from watchkeeper.datasets.read import locate
from watchkeeper.diagnose.base import Cause, Proof, Ranking
from watchkeeper.diagnose.report.document import line, told
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series
from watchkeeper.errors import DataSetError
from watchkeeper.settings import Settings


def flat(node):
    return Series(node, "latency", Aspect.LATENCY, np.array([0]), np.array([1.0]))


NODES = ("service:a", "service:b")


def test_chains_by_hand():
    one = chain([("a", "b"), ("b", "c"), ("x", "y")], [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")])
    assert (one.recall, one.precision) == (0.5, pytest.approx(2 / 3))
    assert chain([], []).recall == 1.0
    assert chain([], [("a", "b")]).precision == 1.0


def test_a_claim_needs_evidence_about_what_it_names():
    window = IncidentWindow(0, 1, 2, nodes=NODES, series=tuple(map(flat, NODES)))
    proof, other = (
        Proof("p1", "slow", node="service:a"),
        Proof("p2", "slow, and service:a is called by it", node="service:b"),
    )
    ranking = Ranking((Cause("service:a", 1.0, evidence_for=(proof, other)),))
    about = evidence_nodes(window, worked_out(window, ranking))
    right = line("cause:", told("service:a"), about="cause", cites=["p1"])
    by_text = line("cause:", told("service:a"), about="cause", cites=["p2"])
    wrong = line("cause:", told("service:b"), about="cause", cites=["p1"])
    absent = line("cause:", told("service:a"), about="cause", cites=["p9"])
    bare = line("cause:", told("service:a"), about="cause")
    claims = [claim_of(each, NODES) for each in (right, by_text, wrong, absent, bare)]
    assert unsupported(claims, about) == claims[2:]
    unseen = evidence_nodes(IncidentWindow(0, 1, 2, nodes=NODES), worked_out(window, ranking))
    assert unsupported(claims, unseen) == claims


def test_a_cause_counts_as_named_only_where_it_is_claimed():
    claimed = line("Likeliest:", told("service:a"), about="cause", cites=["p1"])
    aside = line("For it:", told("service:b"), about="cause", cites=["p1"])
    claims = [claim_of(each, NODES) for each in (claimed, aside)]
    assert named(claims, {"service:a"})
    assert not named(claims, {"service:b"})


def test_objects_are_told_as_the_component_they_belong_to():
    names = ["cart", "valkey-cart", "product-catalog"]
    assert itbench.component("productcatalog-deployment-1", names) == "product-catalog"
    assert itbench.component("valkey-cart-stress-chaos", names) == "valkey-cart"
    assert itbench.component("namespace-1", names) == ""


@pytest.mark.data
def test_itbench_windows_hold_alerts_and_nothing_that_tells_the_cause():
    folder = Settings().path("data")
    try:
        locate("itbench_sre", folder)
    except DataSetError as absent:
        pytest.skip(str(absent))
    cases = itbench.cases(folder)
    assert len(cases) == 36
    assert all("hops" in case.attributes for case in cases)
    # Two scenarios have a single alert each, on no component.
    assert sum(bool(case.window.findings) for case in cases) == 34
    # Descriptions of alerts are part of the truth; only names and components may be given.
    assert {finding.title for case in cases for finding in case.window.findings} == {
        f"{finding.subject} on {finding.service}" for case in cases for finding in case.window.findings
    }
    assert all(" " not in finding.subject for case in cases for finding in case.window.findings)
