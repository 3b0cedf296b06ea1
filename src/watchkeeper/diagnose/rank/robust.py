"""The robust scorer in the manner of BARO (Pham et al., FSE 2024): median and interquartile range, maximum per entity.

Enters: metrics before and during. Leaves: nodes by their highest metric. Knows no graph.
"""

from __future__ import annotations

import numpy as np

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.deviation import MATERIAL_GROWTH, Z_MAX, before_and_during
from watchkeeper.diagnose.rank.order import ranked_by_metrics
from watchkeeper.diagnose.window import IncidentWindow


class RobustRanker:
    """Scores a metric by max |x - median| / interquartile range, both of what was before.

    Where the range is 0 the standard deviation stands in, and it is at least a hundredth of the median: a fixed floor,
    as scalers have it, would bring in the unit.
    """

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, the highest first."""
        scored = []
        for series in window.series:
            before, during = before_and_during(series, window)
            if len(before) and len(during):
                low, middle, high = np.quantile(before, (0.25, 0.5, 0.75))
                spread = max(float(high - low) or float(before.std()), MATERIAL_GROWTH * abs(float(middle)))
                off = float(np.max(np.abs(during - middle)))
                score = min(Z_MAX, off / spread) if spread > 0.0 else Z_MAX * float(off > 0.0)
                scored.append((series.node, series.name, score))
        return ranked_by_metrics(window, scored)
