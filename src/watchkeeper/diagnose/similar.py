"""Which earlier incidents an incident is like, and in what: so that what was learned then is found again.

Enters: an incident, its findings, and earlier incidents with what is kept of them. Leaves: the most alike, each with
the reasons. Alike are nodes, kinds of findings, templates and words, each weighed by how rare it is among the earlier
ones, as tf-idf does; the category counts too. Reads nothing itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.diagnose.category.features import words
from watchkeeper.diagnose.incident import Incident
from watchkeeper.signals.finding import Finding

SIMILAR_MAX = 5
SCORE_MIN = 0.25
_PARTS = {"node": 1.0, "kind": 0.5, "template": 1.5, "word": 0.7, "category": 1.0}
_SAID = {
    "node": "the same node",
    "kind": "the same kind of finding",
    "template": "the same log line",
    "word": "the same word",
    "category": "the same category",
}


@dataclass(frozen=True)
class Past:
    """An earlier incident and its findings; what a person noted of it, named as its cause and category, "" for nothing.

    A category that a person named counts in the place of the one that was worked out.
    """

    incident: Incident
    findings: tuple[Finding, ...] = ()
    noted: str = ""
    true_cause: str = ""
    true_category: str = ""


@dataclass(frozen=True)
class Similar:
    """An earlier incident that is alike. score: 0..1, higher = more alike. why: what both have, weightiest first."""

    incident_id: str
    title: str
    score: float
    why: tuple[str, ...]
    noted: str = ""
    true_cause: str = ""
    true_category: str = ""


def similar(incident: Incident, findings: Sequence[Finding], past: Iterable[Past]) -> list[Similar]:
    """Give the earlier incidents that are alike, most alike first, SIMILAR_MAX at most. Cost: their marks once."""
    earlier = [each for each in past if each.incident.id != incident.id]
    marks = [_marks(each.incident, each.findings, each.true_category) for each in earlier]
    own = _marks(incident, findings)
    seen = Counter(mark for each in marks for mark in each)
    told = []
    for one, theirs in zip(earlier, marks, strict=True):
        common = own.keys() & theirs.keys()
        weigh = _weights((*own, *theirs), seen, len(earlier))
        size = math.sqrt(sum(weigh[mark] ** 2 for mark in own) * sum(weigh[mark] ** 2 for mark in theirs))
        score = sum(weigh[mark] ** 2 for mark in common) / size if size else 0.0
        if score >= SCORE_MIN:
            strongest = sorted(common, key=lambda mark: (-weigh[mark], mark))[:4]
            why = tuple(f"{_SAID[part]}: {text}" for part, text in strongest)
            named = (one.noted, one.true_cause, one.true_category)
            told.append(Similar(one.incident.id, one.incident.title, min(score, 1.0), why, *named))
    return sorted(told, key=lambda each: (-each.score, each.incident_id))[:SIMILAR_MAX]


def _marks(incident: Incident, findings: Sequence[Finding], true_category: str = "") -> dict[tuple[str, str], None]:
    marks: dict[tuple[str, str], None] = {("node", node): None for node in incident.nodes}
    classification = incident.diagnosis.get("classification")
    if true_category:
        marks["category", true_category] = None
    elif isinstance(classification, Mapping) and not classification.get("abstains"):
        marks["category", str(classification.get("category"))] = None
    for finding in findings:
        marks["kind", finding.kind] = None
        if finding.template:
            marks["template", finding.template] = None
    for text in (incident.title, *(finding.title for finding in findings)):
        marks.update({("word", word): None for word in words(text)})
    return marks


def _weights(
    marks: Iterable[tuple[str, str]], seen: Mapping[tuple[str, str], int], count: int
) -> dict[tuple[str, str], float]:
    return {mark: _PARTS[mark[0]] * (math.log((1 + count) / (1 + seen.get(mark, 0))) + 1.0) for mark in marks}
