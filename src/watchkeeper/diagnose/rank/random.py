"""The ranker that knows nothing: all candidates are equal. What chance gives, by expectation over every order.

Stands beside every measurement; not meant for use.
"""

from __future__ import annotations

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.order import ranked_by_metrics
from watchkeeper.diagnose.window import IncidentWindow


class RandomRanker:
    """Gives every node and every metric the same score, so that scoring ties by expectation gives chance exactly."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once with score 1."""
        metrics = [(one.node, one.name, 1.0) for one in window.series if one.node in set(window.nodes)]
        return ranked_by_metrics(window, metrics + [(node, "", 1.0) for node in window.nodes])
