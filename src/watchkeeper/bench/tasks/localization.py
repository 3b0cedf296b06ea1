"""Localization: which component is the cause. Ties count by expectation; a window without a fault asks for silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.ranking import nodes_scored, rank_score
from watchkeeper.diagnose.base import Ranking

METRICS = (
    Metric("at_1", "share of faults whose first candidate is right", headline=True, tolerance=0.02),
    Metric("specificity", "share of windows without a fault in which it abstains", tolerance=0.05),
    Metric("at_3", "share of faults with a right one among the first three", tolerance=0.02),
    Metric("at_5", "share of faults with a right one among the first five", tolerance=0.02),
    Metric("average_at_5", "mean of accuracy at 1 to 5"),
    Metric("mrr", "mean reciprocal rank of the first right one"),
    Metric("answered", "share of faults in which it does not abstain", tolerance=0.05),
)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score the faults by rank and the fault-free windows by silence; truth is a set of nodes, empty for the latter."""
    cases: dict[str, dict[str, float]] = {}
    quiet: list[float] = []
    answered: list[float] = []
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            silent = answer.abstains if isinstance(answer, Ranking) else not answer
            if not item.truth:
                quiet.append(float(silent))
                continue
            answered.append(float(not silent))
            scored = rank_score(_pairs(answer), item.truth)
            at = {f"at_{k}": scored.at[k - 1] for k in (1, 3, 5)}
            cases[item.id] = {**at, "average_at_5": scored.average_at_5, "mrr": scored.reciprocal}
    names = ("at_1", "at_3", "at_5", "average_at_5", "mrr")
    figures = {name: Figure(*mean_interval([each[name] for each in cases.values()], draws=2_000)) for name in names}
    figures["answered"] = Figure(*mean_interval(answered, draws=2_000))
    if quiet:
        figures["specificity"] = Figure(*mean_interval(quiet, draws=2_000))
    return Measured(figures, cases)


def _pairs(answer: Any) -> Sequence[tuple[str, float]]:
    return nodes_scored(answer) if isinstance(answer, Ranking) else answer


TASKS = (Task("localization", "root cause analysis", "which component is the cause", METRICS, measure),)
