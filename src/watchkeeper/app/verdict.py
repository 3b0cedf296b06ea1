"""One incident's evidence in, one diagnosis as plain data out: ranked causes, category, report, similar incidents.

Calls the parts of diagnose/ in their order. What they give is kept with the incident and shown by every surface.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from watchkeeper.diagnose.base import Classifier, Proof
from watchkeeper.diagnose.category.features import Features, features_of
from watchkeeper.diagnose.category.rules import EvidenceClassifier
from watchkeeper.diagnose.diagnoser import Diagnoser
from watchkeeper.diagnose.incident import Incident
from watchkeeper.diagnose.report.writer import write_report
from watchkeeper.diagnose.similar import Past, Similar, similar
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.signals.finding import Finding

CAUSES_KEPT_MAX = 20
FEATURES_KEPT_MAX = 200


class Verdict:
    """Makes diagnoses; holds no state of any incident. past: gives earlier incidents with their findings."""

    def __init__(
        self,
        past: Callable[[Incident], Sequence[Past]],
        *,
        diagnoser: Diagnoser | None = None,
        classifier: Classifier | None = None,
    ) -> None:
        self._past = past
        self._diagnoser = diagnoser or Diagnoser()
        self._classifier = classifier or EvidenceClassifier()

    def __call__(
        self, incident: Incident | None, findings: Sequence[Finding], window: IncidentWindow
    ) -> dict[str, Any]:
        """Diagnose. Cost: about a second for a few hundred series."""
        begun_s = time.perf_counter()
        ranking = self._diagnoser.diagnose(window)
        classification = self._classifier.classify(window, ranking)
        alike = similar(incident, findings, self._past(incident)) if incident is not None else []
        report = write_report(incident, findings, window, ranking, classification, alike)
        told = ranking.as_dict()
        told["causes"] = _with_what_people_named(told["causes"][:CAUSES_KEPT_MAX], alike)
        return {
            "ranking": told,
            "classification": asdict(classification),
            "similar": [asdict(one) for one in alike],
            "features": _strongest(features_of(window)),
            "report_markdown": report.markdown,
            "report_html": report.html,
            "path": [list(hop) for hop in report.hops],
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


def _with_what_people_named(causes: Sequence[dict[str, Any]], alike: Sequence[Similar]) -> list[dict[str, Any]]:
    """Tell beside a cause how often people named it in incidents that are alike; neither order nor score heeds it."""
    named = Counter(each.true_cause for each in alike if each.true_cause)
    return [
        each
        if each["node"] not in named
        else {
            **each,
            "evidence_for": [
                *each["evidence_for"],
                asdict(
                    Proof(
                        f"people:{each['node']}",
                        f"operators named {each['node']} as the true cause of {named[each['node']]} of {len(alike)} "
                        "similar incidents",
                        node=each["node"],
                    )
                ),
            ],
        }
        for each in causes
    ]


def _strongest(features: Features) -> dict[str, float]:
    """Give the weightiest features, from which the category is learned should a person name it."""
    chosen = sorted(features.items(), key=lambda each: (-abs(each[1]), each[0]))[:FEATURES_KEPT_MAX]
    return {name: round(float(weight), 4) for name, weight in sorted(chosen)}
