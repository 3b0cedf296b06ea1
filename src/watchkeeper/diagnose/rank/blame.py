"""Watchkeeper's ranker over metrics and topology."""

from __future__ import annotations

import math

from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.deviation import Deviation, deviations, strongest
from watchkeeper.diagnose.rank.order import ranked
from watchkeeper.diagnose.rank.propagation import spread
from watchkeeper.diagnose.rank.symptom import of_the_symptom
from watchkeeper.diagnose.window import IncidentWindow

UNEXPLAINED = 0.1

class BlameRanker:
    def rank(self, window: IncidentWindow) -> Ranking:
        """Prototype."""
        found = deviations(window)
        best = strongest(of_the_symptom(window, found))
        weight = {n: math.log1p(d.z / 3) for n, d in best.items()}
        sp = spread(window, best)
        scores = {}
        for h in best:
            cov = sum(weight[n] * p * (2.0 if n == window.symptom else 1.0) for n, p in sp.explained[h].items())
            E = sp.explained[h].get(window.symptom, 0.0) if window.symptom in best else 1.0
            scores[h] = cov * (UNEXPLAINED + (1 - UNEXPLAINED) * E)
        self.last = (best, sp, scores)
        return ranked(window, scores)
