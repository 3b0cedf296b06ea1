"""Failure prevention: which release is not to go on, and which parts are to be drained before they fail.

Releases: the faulty change among several, by rank, and whether the gate holds it and lets the others pass. Parts: the
share of coming failures that draining the riskiest of each month averts, by the share drained. A part that is drained
is counted as saved; what draining itself costs or breaks is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.ranking import rank_score
from watchkeeper.bench.scores.risk import chosen, saved

METRICS = (
    Metric("at_1", "share of releases whose faulty change comes first", headline=True, tolerance=0.02),
    Metric("at_3", "share with the faulty change among the first three", tolerance=0.02),
    Metric("mrr", "mean reciprocal rank of the faulty change"),
    Metric("held", "share of the faulty changes that the gate holds", tolerance=0.02),
    Metric("held_wrongly", "share of the other changes that the gate holds", higher_is_better=False, tolerance=0.02),
    Metric("averted_1pct", "share of failures averted by draining 1 % each month"),
    Metric("averted_5pct", "share of failures averted by draining 5 % each month"),
    Metric("drains_per_failure", "parts drained for each failure averted, at 1 %", higher_is_better=False, tolerance=1),
)
BUDGETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Measure drains where the facts tell columns, else gates."""
    return _drains(outcomes) if "columns" in outcomes[0].split.facts else _gates(outcomes)


def _gates(outcomes: Sequence[Outcome]) -> Measured:
    """Score pairs of change and score; truth is the set with the faulty change."""
    cases: dict[str, dict[str, float]] = {}
    held: list[float] = []
    wrongly: list[float] = []
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            scored = rank_score(answer, item.truth)
            cases[item.id] = {"at_1": scored.at[0], "at_3": scored.at[2], "mrr": scored.reciprocal}
            if one.threshold is not None:
                for change, score in answer:
                    (held if change in item.truth else wrongly).append(float(score > one.threshold))
    figures = {
        name: Figure(*mean_interval([each[name] for each in cases.values()], draws=2_000))
        for name in ("at_1", "at_3", "mrr")
    }
    for name, values in (("held", held), ("held_wrongly", wrongly)):
        if values:
            figures[name] = Figure(*mean_interval(values, draws=2_000))
    return Measured(figures, cases)


def _drains(outcomes: Sequence[Outcome]) -> Measured:
    """Drain the riskiest of each block (one moment); what failed of it within the horizon is averted."""
    blocks = [(item, answer) for one in outcomes for item, answer in zip(one.split.test, one.answers, strict=True)]
    failed = np.concatenate([item.truth.failed for item, _ in blocks])
    part = np.concatenate([item.truth.part for item, _ in blocks])
    drained = {}
    for budget in BUDGETS:
        random = np.random.default_rng(0)
        drained[budget] = np.concatenate(
            [chosen(answer, max(1, round(budget * len(answer))), random) for _, answer in blocks]
        )
    one_percent = drained[0.01]
    averted = int((one_percent & failed).sum())
    figures = {
        "averted_1pct": Figure(*saved(one_percent, failed, part)),
        "averted_5pct": Figure(*saved(drained[0.05], failed, part)),
        "drains_per_failure": Figure(float(one_percent.sum() / max(averted, 1))),
    }
    curve = [(budget, float(flags[failed].mean())) for budget, flags in drained.items()]
    ends = np.cumsum([len(answer) for _, answer in blocks])
    cases = {}
    for (item, _), end in zip(blocks, ends, strict=True):
        here = slice(end - len(item.truth.failed), end)
        if failed[here].any():
            cases[item.id] = {"averted_1pct": float(one_percent[here][failed[here]].mean())}
    return Measured(figures, cases, {"averted": [(0.0, 0.0), *curve, (1.0, 1.0)]})


TASKS = (Task("failure-prevention", "failure perception", "what to hold or drain before it fails", METRICS, measure),)
