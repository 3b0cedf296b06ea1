"""Findings and topologies for tests of incidents."""

from __future__ import annotations

from typing import Any

from watchkeeper.signals.entity import Entity
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity, FindingState, finding_id
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

SECOND = 10**9
START = 1_763_700_000 * SECOND


def finding(
    at_s: float, service: str = "cart", *, kind: str = "log.errors", lasts_s: float = 0, **said: Any
) -> Finding:
    """Make a finding that began `at_s` seconds after START."""
    first = START + int(at_s * SECOND)
    entity = said.pop("entity", Entity(service=service).key)
    subject = said.pop("subject", "errors")
    values: dict[str, Any] = {
        "id": finding_id(kind, entity, subject, first),
        "kind": kind,
        "signal": "logs",
        "service": service,
        "entity": entity,
        "subject": subject,
        "title": f"{service} logs errors",
        "why": "more than usual",
        "severity": FindingSeverity.WARNING,
        "score": 3.0,
        "count": 1,
        "first_unix_ns": first,
        "last_unix_ns": first + int(lasts_s * SECOND),
        "expected": Band("none"),
        "seen": Band("some"),
        "baseline": Baseline(0, 0),
        "state": FindingState.OPEN,
        "detected_unix_ns": first,
    }
    return Finding(**{**values, **said})


def topology(*calls: str, runs_on: dict[str, str] | None = None) -> Topology:
    """Make a topology of calls such as `front>cart` and of hosts by service."""
    pairs = [call.split(">") for call in calls]
    services = dict.fromkeys(name for pair in pairs for name in pair) | dict.fromkeys(runs_on or {})
    hosts = dict.fromkeys((runs_on or {}).values())
    return Topology(
        tuple([Node(NodeKind.SERVICE, name) for name in services] + [Node(NodeKind.HOST, name) for name in hosts]),
        tuple(
            [Edge(f"service:{caller}", f"service:{callee}", EdgeKind.CALLS, 9) for caller, callee in pairs]
            + [Edge(f"service:{name}", f"host:{host}", EdgeKind.RUNS_ON) for name, host in (runs_on or {}).items()]
        ),
    )
