"""EvidenceClassifier: the category of a live incident with no training, as a sum of log-odds that can be read.

Enters: an IncidentWindow and the ranking of its causes. Leaves: a Classification: probabilities over the whole list,
each contribution told in `why`. UNKNOWN has odds of its own, so thin evidence leaves it on top, and the classifier
abstains. Additive log-odds are the weights of evidence of I. J. Good ("Probability and the Weighing of Evidence",
1950); what one kind of evidence may add is capped, for its pieces are not independent.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from watchkeeper.diagnose.base import Category, Classification, Ranking
from watchkeeper.diagnose.category.features import LEVEL_MIN, deviation, near, risen_templates, span_evidence
from watchkeeper.diagnose.category.vocabulary import TERMS
from watchkeeper.diagnose.window import Aspect, IncidentWindow
from watchkeeper.signals.topology import NodeKind

UNKNOWN_ODDS = 1.5
"""How much evidence, in natural log-odds, it takes before anything but UNKNOWN is likeliest."""
CAP = 4.5
"""What one kind of evidence (texts, metrics, spans, changes, the cause) may add to one category."""
WHY_MAX = 8

_ASPECTS = {
    Aspect.CPU: Category.CPU,
    Aspect.MEMORY: Category.MEMORY,
    Aspect.DISK: Category.DISK,
    Aspect.NETWORK: Category.NETWORK,
}
_CHANGES = {"deploy": 2.0, "config": 2.0, "flag": 2.0, "scale": 1.0, "other": 0.7}


class Piece(NamedTuple):
    """One contribution: which source it is from, what it speaks for, how much (log-odds), and in words."""

    source: str
    category: Category
    odds: float
    text: str


class EvidenceClassifier:
    """Names the category from what was observed; knows no system and keeps no state."""

    def classify(self, window: IncidentWindow, ranking: Ranking) -> Classification:
        """Give the category and why; UNKNOWN when the evidence is thin. Cost: one pass over the window."""
        first = ranking.causes[0].node if ranking.causes and not ranking.abstains else ""
        pieces = [*_texts(window), *_metrics(window, first), *_spans(window), *_changes(window, first)]
        return weigh([*pieces, *_cause(window, ranking, first, pieces)])


def classify_text(texts: Iterable[str]) -> Classification:
    """Give the category that words alone speak for: an incident's title, a reason of Kubernetes, a log line."""
    return weigh(list(_terms([(text, 1.0) for text in texts])))


def weigh(pieces: Sequence[Piece]) -> Classification:
    """Add up contributions: each source capped for each category; the likeliest, or UNKNOWN, with probabilities."""
    by_source: dict[tuple[str, Category], float] = defaultdict(float)
    for piece in pieces:
        by_source[piece.source, piece.category] += piece.odds
    odds = dict.fromkeys(Category, 0.0)
    for (_, category), added in by_source.items():
        odds[category] += min(added, CAP)
    odds[Category.UNKNOWN] = UNKNOWN_ODDS
    total = sum(math.exp(value) for value in odds.values())
    probabilities = {category: math.exp(value) / total for category, value in odds.items()}
    best = max(Category, key=lambda category: probabilities[category])
    told = sorted((piece for piece in pieces if piece.category is best), key=lambda piece: -piece.odds)
    why = tuple(dict.fromkeys(f"{piece.text} (+{piece.odds:.1f} for {piece.category.value})" for piece in told))
    if best is Category.UNKNOWN:
        why = ("nothing observed speaks clearly for one category",)
    return Classification(best, probabilities, why[:WHY_MAX], abstains=best is Category.UNKNOWN)


def _texts(window: IncidentWindow) -> Iterable[Piece]:
    said = [(text, count) for text, count in risen_templates(window)]
    said += [(f"{finding.title} {line.text}", 1.0) for finding in window.findings for line in finding.evidence]
    said += [(finding.title, 1.0) for finding in window.findings if not finding.evidence]
    return _terms(said)


def _terms(said: Sequence[tuple[str, float]]) -> Iterable[Piece]:
    for term in TERMS:
        hit = next((text for text, _ in said if term.pattern.search(text)), None)
        if hit is not None:
            for category, odds in term.says:
                yield Piece("texts", category, odds, f"{term.name}: {_short(hit)}")


def _metrics(window: IncidentWindow, first: str) -> Iterable[Piece]:
    strongest: dict[Aspect, tuple[float, str]] = {}
    for series in window.series:
        if series.aspect in _ASPECTS:
            level = deviation(series, window)
            # What the likeliest cause itself shows counts fully, its neighbours' metrics half: they may be echoes.
            level *= 1.0 if not first or series.node == first else 0.5
            if level > strongest.get(series.aspect, (LEVEL_MIN, ""))[0]:
                strongest[series.aspect] = (level, f"{series.name} of {series.node} left its usual range")
    top = max((level for level, _ in strongest.values()), default=0.0)
    for aspect, (level, text) in strongest.items():
        yield Piece("metrics", _ASPECTS[aspect], 2.5 * (level / top) ** 0.5, text)


def _spans(window: IncidentWindow) -> Iterable[Piece]:
    told = span_evidence(window)
    if share := told.get("errors_to_dependency", 0.0):
        yield Piece("spans", Category.DEPENDENCY, 0.7 + share, f"{share:.0%} more of the calls to a dependency fail")
    if share := told.get("own_errors", 0.0):
        more = share if "errors_to_dependency" not in told else share / 2
        yield Piece("spans", Category.APPLICATION, 0.5 + more, f"{share:.0%} more of a service's own operations fail")
    if factor := told.get("gap", 0.0):
        odds = min(0.8 + math.log(factor) / 2, 2.5)
        yield Piece("spans", Category.NETWORK, odds, f"callers wait {factor:.1f} times longer beyond what callees work")


def _changes(window: IncidentWindow, first: str) -> Iterable[Piece]:
    for change in window.changes:
        if near(change.time_unix_ns, window):
            odds = _CHANGES.get(change.kind, 0.7) * (1.0 if change.node in ("", first) or not first else 0.5)
            before_s = (window.onset_unix_ns - change.time_unix_ns) / 1e9
            when = f"{before_s:.0f} s before the onset" if before_s >= 0 else f"{-before_s:.0f} s after the onset"
            yield Piece("changes", Category.CHANGE, odds, f"{change.kind} {_short(change.title)} {when}")


def _cause(window: IncidentWindow, ranking: Ranking, first: str, pieces: Sequence[Piece]) -> Iterable[Piece]:
    """Read what the kind of the likeliest cause says, when something else was observed too."""
    node = window.topology.by_id.get(first)
    if node is None or not pieces:
        return
    if node.kind in {NodeKind.DATABASE, NodeKind.QUEUE}:
        yield Piece("cause", Category.DEPENDENCY, 1.5, f"the likeliest cause is a {node.kind.value}")
    elif node.kind is NodeKind.EXTERNAL:
        yield Piece("cause", Category.EXTERNAL, 2.0, "the likeliest cause is outside")
    elif node.kind is NodeKind.HOST:
        yield Piece("cause", Category.HOST, 1.0, "the likeliest cause is a host")
    elif node.kind is NodeKind.GPU:
        yield Piece("cause", Category.GPU, 1.5, "the likeliest cause is a GPU")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 120 else flat[:119] + "…"
