"""The one entry to diagnosis: gives an incident's evidence to the ranker that can read it, and always an answer.

Enters: an IncidentWindow, however partial. Leaves: a Ranking. Decides nothing about causes.
"""

from __future__ import annotations

from dataclasses import replace

from watchkeeper.diagnose.base import Proof, Ranker, Ranking
from watchkeeper.diagnose.rank.changes import weighed_by_changes
from watchkeeper.diagnose.rank.hardware import led_by_hardware
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.window import IncidentWindow

DEFAULT = "combined"
WITHOUT_TELEMETRY = "findings"
CONFIDENCE_MAX = 0.99


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
            ranking = self._without_telemetry.rank(window)
        else:
            ranking = self.ranker.rank(window)
        return numbered(led_by_hardware(window, weighed_by_changes(window, ranking)))


def numbered(ranking: Ranking) -> Ranking:
    """Number all proofs E1, E2, ... in the order of the causes, and bound confidence: nothing here is certain."""
    count = 0

    def ids(proofs: tuple[Proof, ...]) -> tuple[Proof, ...]:
        nonlocal count
        first, count = count + 1, count + len(proofs)
        return tuple(replace(proof, id=f"E{first + place}") for place, proof in enumerate(proofs))

    causes = []
    for cause in ranking.causes:
        speak_for, speak_against = ids(cause.evidence_for), ids(cause.evidence_against)
        sure = min(cause.confidence, CONFIDENCE_MAX)
        causes.append(replace(cause, confidence=sure, evidence_for=speak_for, evidence_against=speak_against))
    return replace(ranking, causes=tuple(causes))
