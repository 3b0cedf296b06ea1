"""The simple rule N-sigma: the metric that went furthest from its mean, in standard deviations, names the cause.

Enters: metrics before and during. Leaves: nodes by their loudest metric. Knows no graph.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.deviation import MATERIAL_GROWTH, Z_MAX, before_and_during
from watchkeeper.diagnose.rank.order import ranked_by_metrics
from watchkeeper.diagnose.window import IncidentWindow


class LoudestRanker:
    """Scores a metric by max |x - mean| / standard deviation, the mean and deviation of what was before.

    The deviation is at least a hundredth of the mean, so that a metric that stood still does not drown all others.
    """

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, the loudest first."""
        scored = []
        for series in window.series:
            before, during = before_and_during(series, window)
            if len(before) and len(during):
                mean = float(before.mean())
                off = float(np.max(np.abs(during - mean)))
                spread = max(float(before.std()), MATERIAL_GROWTH * abs(mean))
                score = min(Z_MAX, off / spread) if spread > 0.0 else Z_MAX * float(off > 0.0)
                scored.append((series.node, series.name, score))
        return ranked_by_metrics(window, scored)
