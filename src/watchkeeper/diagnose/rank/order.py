"""Puts scored candidates into a Ranking: every node once, equal ones in an order that no name or row can choose.

Enters: scores and indicators. Leaves: a Ranking. Gives no score of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Ranking
from watchkeeper.diagnose.window import IncidentWindow


def tie_key(node: str) -> str:
    """Give a key that orders equal candidates the same way each time, with no regard to alphabet or input order."""
    return hashlib.blake2b(node.encode(), digest_size=8).hexdigest()


def in_order(causes: Sequence[Cause]) -> tuple[Cause, ...]:
    """Give the causes, highest score first."""
    return tuple(sorted(causes, key=lambda cause: (-cause.score, tie_key(cause.node))))


def ranked_by_metrics(window: IncidentWindow, scored: Sequence[tuple[str, str, float]]) -> Ranking:
    """Rank the nodes by the highest score of their metrics; abstains when none has a score above 0.

    scored: (node, metric, score >= 0). The metrics become indicators, highest first.
    """
    metrics: dict[str, list[Indicator]] = {}
    for node, name, score in scored:
        metrics.setdefault(node, []).append(Indicator(IndicatorKind.METRIC, name, score))
    return ranked(window, {node: max(each.score for each in found) for node, found in metrics.items()}, metrics)


def ranked(
    window: IncidentWindow, scores: Mapping[str, float], indicators: Mapping[str, Sequence[Indicator]] | None = None
) -> Ranking:
    """Rank every node of the window by its score, 0 for those without; abstains when all are 0."""
    told = indicators or {}
    causes = [
        Cause(
            node,
            float(scores.get(node, 0.0)),
            indicators=tuple(sorted(told.get(node, ()), key=lambda one: (-one.score, tie_key(one.name)))),
        )
        for node in dict.fromkeys(window.nodes)
    ]
    if not any(cause.score > 0.0 for cause in causes):
        return Ranking(in_order(causes), abstains=True, why="No candidate has evidence.", missing=("metrics",))
    return Ranking(in_order(causes))
