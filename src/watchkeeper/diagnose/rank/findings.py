"""FindingsRanker: the cause by findings and topology alone, for when there is no telemetry to measure (alerts only).

Enters: an IncidentWindow with findings, such as alerts of a user's own rules. Leaves: a Ranking. A node is the likelier
cause the more of the findings its fault would explain by spreading to dependents, and the more its own findings are
about itself rather than about requests that stay away. Reads no series, events or names of nodes.
"""

from __future__ import annotations

import math
from collections import defaultdict

from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.member import nodes_of
from watchkeeper.diagnose.report.path import propagation
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.aspect import aspect_of
from watchkeeper.signals.finding import Finding

OWN = {"traffic": 0.0, "errors": 0.5, "latency": 0.5}
"""How far a finding is about its node itself: requests stay away for a caller's sake, errors may be a callee's."""
ABOUT_ITSELF = 1.0
HOPS_FADE = 0.9
SHARPNESS = 6.0
CONFIDENCE_MIN = 0.15


class FindingsRanker:
    """Ranks by what a fault of each node would explain."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, likeliest first; abstains without findings, or when none stands out."""
        shown: dict[str, list[Finding]] = defaultdict(list)
        for finding in sorted(window.findings, key=lambda each: (each.first_unix_ns, each.id)):
            for node in nodes_of(finding)[:1]:
                shown[node].append(finding)
        scores = {node: _explained(window, node, shown) for node in window.nodes}
        total = sum(math.exp(SHARPNESS * score) for score in scores.values())
        order = sorted(window.nodes, key=lambda node: (-scores[node], node))
        causes = tuple(_cause(window, node, scores[node], total, shown) for node in order)
        if not shown:
            return Ranking(causes, abstains=True, why="There are no findings.", missing=("telemetry or alerts",))
        thin = causes[0].confidence < CONFIDENCE_MIN if causes else True
        missing = ("metrics, logs or traces of the nodes concerned",)
        why = "Alerts alone do not single one out." if thin else "It explains most of the findings."
        return Ranking(causes, abstains=thin, why=why, missing=missing)


def _explained(window: IncidentWindow, node: str, shown: dict[str, list[Finding]]) -> float:
    """Give 0..2: the share of findings that the node's fault explains, far ones less, and what is about itself."""
    if not shown:
        return 0.0
    far = {node: 0}
    for hop in propagation(window.topology, node, shown):
        far.setdefault(hop.target, far.get(hop.source, 0) + 1)
    explained = sum(HOPS_FADE ** far[each] for each in shown if each in far) / len(shown)
    return explained + max((_own(finding) for finding in shown.get(node, ())), default=0.0)


def _own(finding: Finding) -> float:
    return OWN.get(aspect_of(f"{finding.kind}.{finding.subject}", finding.seen.unit), ABOUT_ITSELF)


def _cause(window: IncidentWindow, node: str, score: float, total: float, shown: dict[str, list[Finding]]) -> Cause:
    own = shown.get(node, [])
    proofs = [Proof(finding.id, finding.title, 0.5, finding.signal, node, finding.id) for finding in own]
    for hop in propagation(window.topology, node, shown) if score else ():
        proofs += [
            Proof(
                finding.id, f"{finding.title}: it depends on {hop.source}", 0.3, finding.signal, hop.target, finding.id
            )
            for finding in shown.get(hop.target, [])[:1]
            if hop.source == node and not hop.starves
        ]
    indicators = tuple(Indicator(IndicatorKind.METRIC, finding.subject, finding.score) for finding in own[:2])
    confidence = math.exp(SHARPNESS * score) / total
    return Cause(node, score, confidence, "possible", indicators, tuple({proof.id: proof for proof in proofs}.values()))
