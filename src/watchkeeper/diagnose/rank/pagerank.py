"""The simple rule of random walks: personalised PageRank on the call graph, drawn to where metrics went off course.

Enters: metrics and topology. Leaves: nodes by how often the walk is there. In the manner of MonitorRank (Kim et al.,
SIGMETRICS 2013), from callers to callees.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.deviation import strongest
from watchkeeper.diagnose.rank.order import ranked
from watchkeeper.diagnose.rank.symptom import symptom_deviations
from watchkeeper.diagnose.window import IncidentWindow

DAMPING = 0.85
ROUNDS = 100
STAY = 0.05
"""Weight of a node without any deviation, so that the walk can pass."""


class PageRankRanker:
    """Walks from caller to callee in proportion to the callee's deviation, and back to where deviations are."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, by its PageRank; abstains when no metric deviates."""
        nodes = list(dict.fromkeys(window.nodes))
        best = strongest(symptom_deviations(window))
        drawn = np.array([np.log1p(best[node].z) if node in best else 0.0 for node in nodes])
        if not drawn.any():
            return ranked(window, {})
        weights = drawn + STAY
        at = {node: place for place, node in enumerate(nodes)}
        step = np.zeros((len(nodes), len(nodes)))
        for node in nodes:
            for callee in window.topology.dependencies(node):
                if callee in at:
                    step[at[node], at[callee]] = weights[at[callee]]
        home = weights / weights.sum()
        out = step.sum(axis=1, keepdims=True)
        step = np.where(out > 0.0, step / np.where(out > 0.0, out, 1.0), home)
        share = home
        for _ in range(ROUNDS):
            share = (1.0 - DAMPING) * home + DAMPING * (share @ step)
        return ranked(window, dict(zip(nodes, np.round(share, 12).tolist(), strict=True)))
