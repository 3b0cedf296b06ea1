"""Hardware that reports its own fault: a GPU or host whose own findings stand beside the trouble of what runs on it.

Enters: a Ranking and the findings of its window. Leaves: the Ranking, led by such a piece of hardware where nothing
else was singled out, or only what runs on it. An XID or a throttle is a direct reading, while metrics of a job show
only that it is slower. So it leads when the ranking abstains; over a job on it, which telemetry supports as the cause,
goes what the hardware or driver calls critical; and never over anything else. Its confidence is a bound, not fitted: no
public data of recorded hardware faults with the telemetry of their jobs was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.rank.calibration import FLOOR
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding, FindingSeverity
from watchkeeper.signals.node_report import REPORTED
from watchkeeper.signals.topology import NodeKind, Topology

HARDWARE = (NodeKind.GPU, NodeKind.HOST)
"""The more particular comes first: a GPU's fault is told of its host as well."""
AFTER_NS = 60_000_000_000
"""A node's health is looked at once in a while, so its report may come a little after what it causes."""
PROOFS_MAX = 4


def led_by_hardware(window: IncidentWindow, ranking: Ranking) -> Ranking:
    """Give the ranking with the hardware first that reports a fault and on which others of the incident run."""
    if not window.findings:
        return ranking
    kinds = {node.id: node.kind for node in window.topology.nodes}
    shown: dict[str, list[Finding]] = {}
    for finding in sorted(window.findings, key=lambda each: (each.first_unix_ns, each.id)):
        shown.setdefault(_about(finding, kinds), []).append(finding)
    reporting = {
        node: own
        for node, found in shown.items()
        if kinds.get(node) in HARDWARE and (own := [one for one in found if _is_fault(window, one)])
    }
    explained = {node: _explained(window.topology, node, set(shown)) for node in reporting}
    candidates = [node for node in reporting if explained[node]]
    if not ranking.abstains:
        leading = ranking.causes[0].node
        candidates = [node for node in candidates if leading in explained[node] and any(map(_broken, reporting[node]))]
    if not candidates:
        return ranking
    first = min(
        candidates,
        key=lambda node: (
            HARDWARE.index(kinds[node]),
            not any(one.severity is FindingSeverity.CRITICAL for one in reporting[node]),
            -len(explained[node]),
            reporting[node][0].first_unix_ns,
            node,
        ),
    )
    return _led(ranking, first, reporting[first], {node: shown[node] for node in explained[first]})


def _about(finding: Finding, kinds: Mapping[str, NodeKind]) -> str:
    """Give the node that a finding is about: the GPU that its entity names, else what it speaks of first."""
    nodes = nodes_of(finding)
    return next((node for node in nodes if kinds.get(node) is NodeKind.GPU), nodes[0] if nodes else "")


def _is_fault(window: IncidentWindow, finding: Finding) -> bool:
    """Tell whether it is there when the incident begins, and is critical or a GPU's own report that slows jobs."""
    grave = finding.severity is FindingSeverity.CRITICAL or _says_of_itself(finding)
    return grave and finding.first_unix_ns <= window.onset_unix_ns + AFTER_NS


def _says_of_itself(finding: Finding) -> bool:
    """Tell whether it is a report of hardware or driver about itself, and not about what an application did."""
    return finding.kind == REPORTED and finding.attributes.get("origin") in {"hardware", "driver"}


def _broken(finding: Finding) -> bool:
    return finding.severity is FindingSeverity.CRITICAL and _says_of_itself(finding)


def _explained(topology: Topology, hardware: str, shown: set[str]) -> list[str]:
    """Give the nodes with findings that run on it, or, for a GPU, on its host."""
    hosts = {hardware, *(each for each in topology.dependencies(hardware) if _kind(topology, each) is NodeKind.HOST)}
    reached, waiting = set(hosts), list(hosts)
    while waiting:
        for dependent in topology.dependents(waiting.pop()):
            if dependent not in reached:
                reached.add(dependent)
                waiting.append(dependent)
    return sorted(node for node in reached & shown if _kind(topology, node) not in HARDWARE)


def _kind(topology: Topology, node: str) -> NodeKind | None:
    found = topology.by_id.get(node)
    return found.kind if found else None


def _led(ranking: Ranking, first: str, own: list[Finding], explained: dict[str, list[Finding]]) -> Ranking:
    proofs = [Proof(f"hardware.{one.id}", one.title, 1.0, one.signal, first, one.id) for one in own[:PROOFS_MAX]]
    proofs += [
        Proof(f"hardware.{found[0].id}", f"{found[0].title}: it runs there", 0.5, found[0].signal, node, found[0].id)
        for node, found in list(explained.items())[:PROOFS_MAX]
    ]
    before = next((cause for cause in ranking.causes if cause.node == first), None)
    top = max((cause.score for cause in ranking.causes), default=0.0)
    why = f"{own[0].title}, and what runs there is in trouble."
    indicators = tuple(Indicator(IndicatorKind.LOG_TEMPLATE, one.title, one.score) for one in own[:PROOFS_MAX])
    led = Cause(
        first,
        top + 1.0,
        FLOOR,
        "supported",
        indicators + (before.indicators if before else ()),
        tuple(proofs) + (before.evidence_for if before else ()),
        before.evidence_against if before else (),
        why,
    )
    others = [
        replace(cause, confidence=min(cause.confidence, 1.0 - FLOOR)) for cause in ranking.causes if cause.node != first
    ]
    return replace(ranking, causes=(led, *others), abstains=False, why=why, missing=(), fault_kind="")
