"""The simple rule of traversal: a caller's anomaly is excused by its anomalous callee; the leafmost ones remain.

Enters: metrics and topology. Leaves: nodes, those first that are anomalous, call nothing anomalous and are reached from
the symptom through anomalous nodes. Without a known symptom, every anomalous node counts as reached.
"""

from __future__ import annotations

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.deviation import strongest
from watchkeeper.diagnose.rank.order import ranked
from watchkeeper.diagnose.rank.symptom import symptom_deviations
from watchkeeper.diagnose.window import IncidentWindow

ANOMALOUS_Z = 5.0


class TraversalRanker:
    """Scores leafmost anomalous nodes 2..3, anomalous ones that are not reached 1..2, excused ones 0..1."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once; abstains when none is anomalous."""
        best = strongest(symptom_deviations(window))
        anomalous = {node: one.z for node, one in best.items() if one.z >= ANOMALOUS_Z}
        reached = set(anomalous)
        if window.symptom:
            reached, ahead = set(), [window.symptom]
            while ahead:
                node = ahead.pop()
                if node in reached:
                    continue
                reached.add(node)
                ahead.extend(each for each in window.topology.dependencies(node) if each in anomalous)
        scores = {}
        for node, z in anomalous.items():
            excused = any(each in anomalous for each in window.topology.dependencies(node) if each != node)
            scores[node] = z / (1.0 + z) + (0.0 if excused else 2.0 if node in reached else 1.0)
        return ranked(window, scores)
