"""How much an incident matters: services, entry points, error shares, predictions."""

from __future__ import annotations

from dataclasses import replace

from tests.diagnose.incident_findings import finding, topology

from watchkeeper.diagnose.impact import entry_services_of, impact_of
from watchkeeper.diagnose.incident import IncidentSeverity
from watchkeeper.diagnose.member import member_of, nodes_of
from watchkeeper.signals.finding import Band, Finding, FindingSeverity
from watchkeeper.signals.topology import Node, NodeKind, Topology

SHOP = topology("front>cart", "cart>store")


def severity(*findings: Finding, seen: Topology = SHOP) -> IncidentSeverity:
    return impact_of([member_of(each) for each in findings], entry_services_of(seen)).severity


def test_grades_of_findings() -> None:
    critical, info = FindingSeverity.CRITICAL, FindingSeverity.INFO
    assert severity(finding(0)) is IncidentSeverity.WARNING
    assert severity(finding(0, severity=critical)) is IncidentSeverity.CRITICAL
    assert severity(finding(0, severity=info)) is IncidentSeverity.INFO


def test_predictions_are_never_critical() -> None:
    disk = finding(0, "store", kind="metric.prediction.disk", severity=FindingSeverity.CRITICAL)
    assert severity(disk) is IncidentSeverity.WARNING
    said = finding(0, "store", severity=FindingSeverity.CRITICAL, attributes={"prediction": True})
    assert severity(said, finding(1, "cart"), finding(2, "front")) is IncidentSeverity.WARNING
    assert "prediction" in impact_of([member_of(disk)], entry_services_of(SHOP)).text


def test_users_who_fail_make_it_critical() -> None:
    share = {"kind": "trace.errors", "seen": Band("a third failed", 0.33, 0.33, "1")}
    assert severity(finding(0, "front", **share)) is IncidentSeverity.CRITICAL
    assert severity(finding(0, "store", **share)) is IncidentSeverity.WARNING
    few = finding(0, "front", kind="trace.errors", seen=Band("few", 0.02, 0.02, "1"))
    assert severity(few) is IncidentSeverity.WARNING
    assert (
        "33% of what front did failed"
        in impact_of([member_of(finding(0, "front", **share))], entry_services_of(SHOP)).text
    )


def test_an_entry_point_can_be_told() -> None:
    nodes = tuple(replace(node, attributes={"user_facing": node.name == "store"}) for node in SHOP.nodes)
    told = replace(SHOP, nodes=nodes)
    text = impact_of([member_of(finding(0, "front")), member_of(finding(1, "store"))], entry_services_of(told)).text
    assert "users come in at store" in text
    lone = Topology((Node(NodeKind.SERVICE, "cart"),))
    assert "users come in" not in impact_of([member_of(finding(0))], entry_services_of(lone)).text


def test_the_title_says_what_and_where() -> None:
    bare = replace(finding(0, "cart"), title="disk is full")
    assert impact_of([member_of(bare)], entry_services_of(SHOP)).title == "cart: disk is full"
    worst = finding(5, "store", severity=FindingSeverity.CRITICAL)
    impact = impact_of([member_of(bare), member_of(worst)], entry_services_of(SHOP))
    assert impact.title == "store logs errors, and 1 more service with findings"


def test_nodes_of_a_finding() -> None:
    one = finding(
        0, "shop/cart", entity="service=shop/cart|pod=c%7C1|node=n1", attributes={"nodes": ["service:pay", 3]}
    )
    assert nodes_of(one) == ("service:pay", "service:shop/cart", "pod:c|1", "host:n1")
