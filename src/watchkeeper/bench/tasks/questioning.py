"""Questioning: questions with choices, open ones, and such with recorded evidence, some of which cannot be answered.

An item's truth is of one of three kinds, and each has its own figures. With evidence, half of the questions are twins
whose decisive lines were taken out; `balanced` counts both halves alike, so neither quoting always nor keeping silent
always earns more than the half of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from watchkeeper.bench.base import Figure, Item, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.facts import Fact, recall, token_f1, unsupported

METRICS = (
    Metric("accuracy", "share of questions of which exactly the right choices are told", headline=True, tolerance=0.02),
    Metric("token_f1", "mean F1 of the words of an open answer", tolerance=0.02),
    Metric("fact_recall", "mean share of the expected facts that an answer tells", tolerance=0.02),
    Metric("balanced", "mean of fact recall and right abstentions: .5 for always silent", tolerance=0.02),
    Metric("right_abstentions", "share of unanswerable questions that are not answered", tolerance=0.05),
    Metric("answered", "share of answerable questions that are answered", tolerance=0.05),
    Metric("unsupported", "share of texts told that the evidence does not hold", higher_is_better=False),
)
METRIC_NAMES = tuple(metric.name for metric in METRICS)
DRAWS = 2_000


@dataclass(frozen=True)
class Chosen:
    """Truth of a question with choices."""

    right: frozenset[int]


@dataclass(frozen=True)
class Open:
    """Truth of an open question: the reference and its single statements."""

    reference: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Facts:
    """Truth of a question with evidence; no facts: it is not to be answered."""

    facts: tuple[Fact, ...]


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score all answers by the kind of their truth; the figures of kinds that do not occur are absent."""
    cases: dict[str, dict[str, float]] = {}
    doubtful: list[float] = []
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            cases[item.id] = scored(item, answer)
            if isinstance(item.truth, Facts):
                doubtful += [float(each) for each in unsupported(answer, item.given.evidence)]
    columns: dict[str, list[float]] = defaultdict(list)
    for told in cases.values():
        for name, value in told.items():
            columns[name].append(value)
    figures = {name: Figure(*mean_interval(values, draws=DRAWS)) for name, values in columns.items()}
    if "right_abstentions" in columns:
        figures["balanced"] = balanced(columns["fact_recall"], columns["right_abstentions"])
        if doubtful:
            figures["unsupported"] = Figure(*mean_interval(doubtful, draws=DRAWS))
        cases = {name: {"balanced": _of(told)} for name, told in cases.items()}
    common = [name for name in METRIC_NAMES if all(name in told for told in cases.values())]
    return Measured(figures, {case: {name: told[name] for name in common} for case, told in cases.items()})


def scored(item: Item, answer: Any) -> dict[str, float]:
    """Give the figures of one answer."""
    truth = item.truth
    if isinstance(truth, Chosen):
        return {"accuracy": float(answer == truth.right)}
    if isinstance(truth, Open):
        facts = {"fact_recall": recall(answer, truth.facts)} if truth.facts else {}
        return {"token_f1": token_f1(answer, truth.reference), **facts}
    if not truth.facts:
        return {"right_abstentions": float(not answer)}
    return {"fact_recall": recall(answer, truth.facts), "answered": float(bool(answer))}


def balanced(recalls: Sequence[float], silences: Sequence[float]) -> Figure:
    """Give the mean of the two means; its interval draws both kinds of cases apart."""
    random = np.random.default_rng(0)
    drawn = [
        np.asarray(values)[random.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
        for values in (recalls, silences)
    ]
    low, high = np.quantile((drawn[0] + drawn[1]) / 2, [0.025, 0.975])
    return Figure((float(np.mean(recalls)) + float(np.mean(silences))) / 2, float(low), float(high))


def _of(told: dict[str, float]) -> float:
    return told["right_abstentions"] if "right_abstentions" in told else told["fact_recall"]


TASKS = (Task("questioning", "assisted remediation", "what answers a question of operations", METRICS, measure),)
