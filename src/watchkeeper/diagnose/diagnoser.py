"""The one entry to diagnosis: gives an incident's evidence to the ranker that can read it, and always an answer.

Enters: an IncidentWindow, however partial. Leaves: a Ranking. Decides nothing about causes.
"""

from __future__ import annotations

from watchkeeper.diagnose.base import Ranker, Ranking
from watchkeeper.diagnose.rank.changes import weighed_by_changes
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.window import IncidentWindow

DEFAULT = "combined"
WITHOUT_TELEMETRY = "findings"


class Diagnoser:
    """Ranks with one ranker, by default Watchkeeper's own; any object with `rank` may stand in.

    >>> Diagnoser().diagnose(IncidentWindow(0, 1, 2, nodes=())).abstains
    True
    """

    def __init__(self, chosen: Ranker | str = DEFAULT) -> None:
        self.ranker: Ranker = ranker(chosen) if isinstance(chosen, str) else chosen
        self._without_telemetry = ranker(WITHOUT_TELEMETRY)

    def diagnose(self, window: IncidentWindow) -> Ranking:
        """Give the causes, likeliest first; abstains when there is no candidate or the evidence is too thin."""
        if window.findings and not (window.series or window.events or window.gaps):
            return weighed_by_changes(window, self._without_telemetry.rank(window))
        return weighed_by_changes(window, self.ranker.rank(window))
