"""Watchkeeper's default ranker: what lines and spans say, and what metrics along the graph say, in one ranking.

Enters: an IncidentWindow. Leaves: a Ranking. Metrics alone go to blame along the graph. Where there are lines or spans,
the events' opinion leads, for it sees within a service; when it abstains, the metrics' opinion leads; when both do, the
two are mixed and the ranking abstains. Proofs of both stand side by side. Reads no telemetry itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from watchkeeper.diagnose.base import Cause, Indicator, Proof, Ranker, Ranking
from watchkeeper.diagnose.rank.blame import BlameRanker
from watchkeeper.diagnose.rank.order import in_order
from watchkeeper.diagnose.rank.routed import RoutedRanker
from watchkeeper.diagnose.window import IncidentWindow

ABSTAINING_WEIGHT = 0.25
"""What an opinion counts for that would rather not be asked: it still breaks ties."""
SUPPORTED_MIN = 0.5
REFUTED_MAX = 0.05


class CombinedRanker:
    """Lets the opinion lead that sees most: by default events routed by the kind of fault, then blame of metrics."""

    def __init__(self, of_events: Ranker | None = None, of_metrics: Ranker | None = None) -> None:
        self._of_events = of_events or RoutedRanker()
        self._of_metrics = of_metrics or BlameRanker()

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, likeliest first. Cost: that of the rankers."""
        metrics = self._of_metrics.rank(window)
        if not window.events and not window.gaps:
            return metrics
        return combined(window, self._of_events.rank(window), metrics)


def combined(window: IncidentWindow, events: Ranking, metrics: Ranking) -> Ranking:
    """Make one ranking of two opinions about the same window."""
    if not events.abstains:
        return _led(events, metrics)
    if not metrics.abstains:
        return _led(metrics, events)
    return mixed(window, [events, metrics])


def _led(leading: Ranking, other: Ranking) -> Ranking:
    """Keep a ranking as it is, and let each cause tell what the other opinion has for and against it, too."""
    told = {cause.node: cause for cause in other.causes}
    causes = []
    for cause in leading.causes:
        both = [(0, cause), *([(1, told[cause.node])] if cause.node in told else [])]
        causes.append(
            replace(
                cause,
                indicators=_indicators([each for _, each in both]),
                evidence_for=_proofs(both, "evidence_for"),
                evidence_against=_proofs(both, "evidence_against"),
            )
        )
    return replace(leading, causes=tuple(causes))


def mixed(window: IncidentWindow, opinions: Sequence[Ranking]) -> Ranking:
    """Mix opinions (at least one) about the same window."""
    weights = [_weight(opinion) for opinion in opinions]
    total = sum(weights)
    if not total:
        return opinions[0]
    told = [{cause.node: cause for cause in opinion.causes} for opinion in opinions]
    shares = [_shares(opinion) for opinion in opinions]
    mixture = {
        node: sum(weight * share.get(node, 0.0) for weight, share in zip(weights, shares, strict=True)) / total
        for node in dict.fromkeys(window.nodes)
    }
    leading = max(mixture.values(), default=0.0)
    causes = in_order([_merged(node, share, leading, told, weights, shares) for node, share in mixture.items()])
    speaking = [opinion for opinion in opinions if not opinion.abstains]
    heaviest = opinions[max(range(len(opinions)), key=lambda place: weights[place])]
    return Ranking(
        causes,
        abstains=not speaking,
        why=heaviest.why,
        missing=() if speaking else tuple(dict.fromkeys(text for one in opinions for text in one.missing)),
        ruled_out=_ruled_out(opinions, causes),
        fault_kind=next((opinion.fault_kind for opinion in speaking if opinion.fault_kind), ""),
    )


def _weight(opinion: Ranking) -> float:
    """An opinion counts by how sure its first cause is; one without any score has none."""
    if not opinion.causes or opinion.causes[0].score <= 0.0:
        return 0.0
    return opinion.causes[0].confidence * (ABSTAINING_WEIGHT if opinion.abstains else 1.0)


def _shares(opinion: Ranking) -> dict[str, float]:
    """Give each node its probability: the first one's confidence, the rest shared out by score among the others."""
    if not opinion.causes:
        return {}
    first, *others = opinion.causes
    sure = min(max(first.confidence, 0.0), 1.0)
    rest = sum(cause.score for cause in others)
    # The first is first however unsure: none behind it may catch up by what is left over.
    shares = {
        cause.node: min(sure * cause.score / first.score, (1.0 - sure) * cause.score / rest) if rest else 0.0
        for cause in others
    }
    return {first.node: sure, **shares}


def _merged(
    node: str,
    share: float,
    leading: float,
    told: Sequence[dict[str, Cause]],
    weights: Sequence[float],
    shares: Sequence[dict[str, float]],
) -> Cause:
    """Lay what the opinions say of one node side by side, the one that blames it most first."""
    order = sorted(range(len(told)), key=lambda place: -weights[place] * shares[place].get(node, 0.0))
    causes = [(place, told[place][node]) for place in order if node in told[place]]
    main = causes[0][1]
    verdict = "possible"
    if share == leading and share >= SUPPORTED_MIN:
        verdict = "supported"
    elif share < REFUTED_MAX * leading:
        verdict = "refuted"
    return Cause(
        node=node,
        score=share,
        confidence=min(share, 1.0),
        verdict=verdict,
        indicators=_indicators([cause for _, cause in causes]),
        evidence_for=_proofs(causes, "evidence_for"),
        evidence_against=_proofs(causes, "evidence_against"),
        why=main.why,
    )


def _indicators(causes: Sequence[Cause]) -> tuple[Indicator, ...]:
    """Take them in turn, those of the cause that blames most first; each thing once, scores falling."""
    found: dict[tuple[str, str], Indicator] = {}
    for cause in causes:
        for indicator in cause.indicators:
            found.setdefault((indicator.kind.value, indicator.name), indicator)
    return tuple(found.values())


def _proofs(causes: Sequence[tuple[int, Cause]], side: str) -> tuple[Proof, ...]:
    """Number the proofs of each opinion apart, so that ids stay unique within the diagnosis."""
    return tuple(
        replace(proof, id=f"{chr(ord('a') + place)}.{proof.id}")
        for place, cause in causes
        for proof in getattr(cause, side)
    )


def _ruled_out(opinions: Sequence[Ranking], causes: Sequence[Cause]) -> tuple[tuple[str, str], ...]:
    """Keep what an opinion ruled out that is not blamed in the end."""
    blamed = {cause.node for cause in causes if cause.verdict != "refuted"}
    found: dict[str, str] = {}
    for opinion in opinions:
        if opinion.abstains:
            continue
        for node, why in opinion.ruled_out:
            if node not in blamed:
                found.setdefault(node, why)
    return tuple(found.items())
