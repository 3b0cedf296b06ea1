"""Scores of rankings: accuracy at k, average at 5, mean reciprocal rank, with bootstrap intervals.

Enters: the scores that a ranker gave and which candidates are right. Leaves: figures. Equal scores are a tie, and a tie
counts by expectation over all its orders, so that neither the order of rows nor of names earns anything.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from watchkeeper.bench.scores.bootstrap import Interval, mean_interval
from watchkeeper.diagnose.base import Ranking

DRAWS = 2_000
"""Bootstrap samples of an interval."""

Scored = Sequence[tuple[Hashable, float]]


class RankScore(NamedTuple):
    """How one ranking did, each 0..1, higher is better; `at` maps k = 1..5 to the chance to see a right one by then."""

    at: tuple[float, float, float, float, float]
    reciprocal: float

    @property
    def average_at_5(self) -> float:
        """Give the mean of accuracy at 1 to 5."""
        return sum(self.at) / len(self.at)


MISSED = RankScore((0.0, 0.0, 0.0, 0.0, 0.0), 0.0)


def rank_score(scored: Scored, truth: Collection[Hashable]) -> RankScore:
    """Give how early the first right candidate comes, higher scores first; MISSED when none is ranked.

    With t right ones among m equal ones behind s better ones, the first right one comes after place s + j with the
    chance C(m - j, t) / C(m, t).

    >>> rank_score([("a", 3.0), ("b", 1.0)], {"b"}).at[:2]
    (0.0, 1.0)
    >>> rank_score([("a", 1.0), ("b", 1.0)], {"b"}).at[:2]
    (0.5, 1.0)
    """
    right = [score for name, score in scored if name in truth]
    if not right:
        return MISSED
    best = max(right)
    better = sum(score > best for _, score in scored)
    equal = sum(score == best for _, score in scored)
    count = sum(score == best for score in right)
    total = math.comb(equal, count)
    later = [math.comb(equal - j, count) / total for j in range(equal + 1)]
    at = [1.0 - later[min(max(k - better, 0), equal)] for k in range(1, 6)]
    reciprocal = sum((later[j] - later[j + 1]) / (better + j + 1) for j in range(equal))
    return RankScore((at[0], at[1], at[2], at[3], at[4]), reciprocal)


def nodes_scored(ranking: Ranking) -> list[tuple[str, float]]:
    """Give each cause's node with its score, as `rank_score` takes them."""
    return [(cause.node, cause.score) for cause in ranking.causes]


def indicators_scored(ranking: Ranking) -> list[tuple[tuple[str, str], float]]:
    """Give each (node, indicator) with the indicator's score, which is comparable within one ranking."""
    return [((cause.node, one.name), one.score) for cause in ranking.causes for one in cause.indicators]


def interval(values: Iterable[float], *, seed: int = 0, draws: int = DRAWS) -> Interval:
    """Give the mean over cases and its 95 % percentile bootstrap interval (cases drawn with replacement).

    NaN throughout when there are no cases. Cost: draws x cases.
    """
    array = np.fromiter(values, dtype=np.float64)
    return mean_interval(array, seed=seed, draws=draws) if len(array) else Interval(math.nan, math.nan, math.nan)


def summary(scores: Sequence[RankScore]) -> dict[str, float | str]:
    """Give the figures of many rankings; `_95` is the bootstrap interval as text."""
    first = interval(score.at[0] for score in scores)
    third = interval(score.at[2] for score in scores)
    average = interval(score.average_at_5 for score in scores)
    return {
        "at_1": round(first.mean, 4),
        "at_1_95": f"{first.low:.2f}-{first.high:.2f}",
        "at_3": round(third.mean, 4),
        "at_3_95": f"{third.low:.2f}-{third.high:.2f}",
        "at_5": round(float(np.mean([score.at[4] for score in scores])), 4) if scores else math.nan,
        "average_at_5": round(average.mean, 4),
        "average_at_5_95": f"{average.low:.2f}-{average.high:.2f}",
        "mrr": round(float(np.mean([score.reciprocal for score in scores])), 4) if scores else math.nan,
    }
