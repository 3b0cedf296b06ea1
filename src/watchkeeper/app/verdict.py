"""One incident's evidence in, one diagnosis as plain data out: ranked causes, category, report, similar incidents.

Calls the parts of diagnose/ in their order. What they give is kept with the incident and shown by every surface.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from watchkeeper.diagnose.base import Ranker
from watchkeeper.diagnose.incident import Incident
from watchkeeper.diagnose.rank.registry import ranker
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding


class Verdict:
    """Makes diagnoses; holds no state of any incident."""

    def __init__(self) -> None:
        self._ranker: Ranker = ranker("blame")

    def __call__(
        self, incident: Incident | None, findings: Sequence[Finding], window: IncidentWindow
    ) -> dict[str, Any]:
        """Diagnose. Cost: about a second for a few hundred series."""
        begun_s = time.perf_counter()
        ranking = self._ranker.rank(window)
        return {
            "ranking": ranking.as_dict(),
            "window": {
                "baseline_from_unix_ns": window.baseline_from_unix_ns,
                "onset_unix_ns": window.onset_unix_ns,
                "until_unix_ns": window.until_unix_ns,
                "nodes": len(window.nodes),
                "series": len(window.series),
                "events": sum(len(events.subjects) for events in window.events),
            },
            "seconds": round(time.perf_counter() - begun_s, 3),
        }
