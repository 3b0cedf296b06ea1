"""ITBench's SRE scenarios that have a propagation chain: which alerts fired where; the chain stands beside, as truth.

Enters: the data set `itbench_sre` where it lies. Leaves: Cases with a window of alerts on components and the
application's documented call graph. There is no telemetry; alerts are given as findings by name and component only,
for their descriptions tell the cause. Objects of Kubernetes (pod, service, deployment, the experiment that breaks
them) are told as the component that they belong to by name. Fits nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from watchkeeper.bench.cases.base import NS_PER_S, Case
from watchkeeper.datasets.read import open_member
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity, finding_id
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

CALLS: dict[str, dict[str, str]] = {
    "opentelemetryDemo": {
        "load-generator": "frontend-proxy",
        "frontend-proxy": "frontend image-provider",
        "frontend": "ad cart checkout currency product-catalog product-reviews recommendation shipping flagd",
        "checkout": "cart currency email payment product-catalog shipping kafka flagd",
        "recommendation": "product-catalog flagd",
        "cart": "valkey-cart flagd",
        "shipping": "quote",
        "product-catalog": "postgresql flagd",
        "product-reviews": "postgresql product-catalog flagd",
        "accounting": "kafka postgresql",
        "fraud-detection": "kafka flagd",
        "ad": "flagd",
        "payment": "flagd",
        "email": "flagd",
    },
    "bookInfo": {
        "bookinfo-gateway-istio": "productpage",
        "productpage": "details reviews",
        "reviews": "ratings",
    },
}
"""Who calls whom, from the architecture pages of the OpenTelemetry Demo and of Istio's Bookinfo."""
QUEUES = frozenset({"kafka"})
PRODUCERS = frozenset({"checkout"})
ONSET_S = 3_600
LENGTH_S = 600


def cases(folder: Path) -> list[Case]:
    """Give the scenarios with a chain in the set's order; `attributes["hops"]` is the chain, as pairs of nodes."""
    with open_member("itbench_sre", "itbench_sre.jsonl", folder) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    specs = [(row, ((row.get("groundtruth_v1") or {}).get("spec") or {})) for row in rows]
    return [_case(row, spec) for row, spec in specs if spec.get("propagations")]


def component(name: str, components: Sequence[str]) -> str:
    """Give the component whose name is in an object's name, the longest; "" when none is.

    >>> component("otel-demo-product-catalog-network-delay-1", ["product-catalog", "cart"])
    'product-catalog'
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    found = [each for each in components if re.sub(r"[^a-z0-9]", "", each) in plain]
    return max(found, key=len, default="")


def _case(row: Mapping[str, Any], spec: Mapping[str, Any]) -> Case:
    application = next(iter(row["scenario"]["spec"]["applications"]))
    calls = CALLS[application]
    names = sorted({*calls, *(callee for callees in calls.values() for callee in callees.split())})
    groups = {group["id"]: group for group in spec["groups"]}
    where = {identifier: _node(identifier, group, names) for identifier, group in groups.items()}
    alerts = sorted({(where.get(alert.get("group_id"), ""), alert["id"]) for alert in spec["alerts"]} - {("", "")})
    findings = tuple(_finding(node, name) for node, name in alerts if node)
    truth = tuple(
        dict.fromkeys(where[each] or f"object:{each}" for each, group in groups.items() if group.get("root_cause"))
    )
    hops = dict.fromkeys(_hops(spec["propagations"], where, names))
    onset = ONSET_S * NS_PER_S
    window = IncidentWindow(
        0,
        onset,
        onset + LENGTH_S * NS_PER_S,
        nodes=tuple(_id(name) for name in names),
        topology=_topology(calls, names),
        findings=findings,
    )
    return Case(row["id"], application, window, truth, kind=application, attributes={"hops": tuple(hops)})


def _hops(
    chain: Sequence[Mapping[str, str]], where: Mapping[str, str], names: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Give the steps between components; those between objects of one component are no spreading."""
    for step in chain:
        source, target = (where.get(step[end]) or _named(step[end], names) for end in ("source", "target"))
        if source and target and source != target:
            yield source, target


def _node(identifier: str, group: Mapping[str, Any], names: Sequence[str]) -> str:
    filters = " ".join(group.get("filter") or ())
    return _named(filters, names) or _named(identifier, names)


def _named(text: str, names: Sequence[str]) -> str:
    found = component(text, names)
    return _id(found) if found else ""


def _topology(calls: Mapping[str, str], names: Sequence[str]) -> Topology:
    edges = []
    for caller, callees in calls.items():
        for callee in callees.split():
            kind = EdgeKind.CALLS
            if callee in QUEUES:
                kind = EdgeKind.PRODUCES_TO if caller in PRODUCERS else EdgeKind.CONSUMES_FROM
            edges.append(Edge(_id(caller), _id(callee), kind, known_from=("cmdb",)))
    return Topology(tuple(Node(_kind(name), name) for name in names), tuple(edges))


def _kind(name: str) -> NodeKind:
    return NodeKind.QUEUE if name in QUEUES else NodeKind.SERVICE


def _id(name: str) -> str:
    return Node(_kind(name), name).id


def _finding(node: str, alert: str) -> Finding:
    service = node.partition(":")[2]
    onset = ONSET_S * NS_PER_S
    return Finding(
        id=finding_id("alert", node, alert, onset),
        kind="alert",
        signal="metrics",
        service=service,
        entity=f"service={service}",
        subject=alert,
        title=f"{alert} on {service}",
        why="a rule of the user's fired",
        severity=FindingSeverity.CRITICAL,
        score=1.0,
        count=1,
        first_unix_ns=onset,
        last_unix_ns=onset,
        expected=Band("silent"),
        seen=Band("firing"),
        baseline=Baseline(0, onset),
    )
