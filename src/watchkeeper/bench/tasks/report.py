"""Report: what happened, why, and how it spread, told in claims that evidence supports.

Of a window, the truth is its cause, its category and its chain, as far as the data set knows them. Of a case with
recorded evidence it is a list of expected facts, and an answer is texts. A claim that no evidence supports tells
nothing: its facts do not count as told. `fact_f1` weighs what is told outright (the first cause, the category, the
hops), so that claiming everything earns as little as claiming nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from watchkeeper.bench.base import Figure, Item, Measured, Metric, Outcome, Task
from watchkeeper.bench.forms import Told
from watchkeeper.bench.scores import facts
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.report import chain, evidence_nodes, named, unsupported
from watchkeeper.bench.tasks.questioning import Facts

METRICS = (
    Metric("fact_f1", "F1 of the facts told outright and supported: cause, category, hops", headline=True),
    Metric("fact_recall", "share of the expected facts told: cause among the first three, category", tolerance=0.02),
    Metric("cause_first", "share of cases whose true cause is told first", tolerance=0.02),
    Metric("cause_recall", "share of cases whose true cause is among the first three told", tolerance=0.02),
    Metric("category_recall", "share of cases whose true category is told", tolerance=0.02),
    Metric("chain_recall", "mean share of the true hops that are told", tolerance=0.02),
    Metric("chain_precision", "mean share of the told hops that are true", tolerance=0.02),
    Metric("unsupported", "share of claims that no evidence supports", higher_is_better=False),
    Metric("answered", "share of cases in which a cause is named, or anything told", tolerance=0.05),
)
CAUSES_READ = 3
DRAWS = 2_000


@dataclass(frozen=True)
class Happened:
    """Truth of a window. causes, categories: any is right, no category when not known; hops: None when not known."""

    causes: frozenset[str]
    categories: frozenset[str] = frozenset()
    hops: tuple[tuple[str, str], ...] | None = None


class Scored(NamedTuple):
    """The figures of one report, and how many of its claims are unsupported."""

    figures: dict[str, float]
    bad: int
    claims: int


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score all reports; figures of what a data set does not know are absent."""
    told: dict[str, Scored] = {}
    for one in outcomes:
        for item, answer in zip(one.split.test, one.answers, strict=True):
            told[item.id] = _texts(item, answer) if isinstance(item.truth, Facts) else scored(item, answer)
    columns: dict[str, list[float]] = defaultdict(list)
    for each in told.values():
        for name, value in each.figures.items():
            columns[name].append(value)
    figures = {name: Figure(*mean_interval(values, draws=DRAWS)) for name, values in columns.items()}
    share = share_of_claims(list(told.values()))
    if share is not None:
        figures["unsupported"] = share
    common = [name for name in columns if len(columns[name]) == len(told)]
    return Measured(figures, {name: {key: each.figures[key] for key in common} for name, each in told.items()})


def scored(item: Item, told: Told) -> Scored:
    """Score the report of a window."""
    truth: Happened = item.truth
    bad = unsupported(told.claims, evidence_nodes(item.given, told.proofs))
    good = [claim for claim in told.claims if claim not in bad]
    lead, rest = told.causes[:1], told.causes[:CAUSES_READ]
    first = bool(set(lead) & truth.causes) and named(good, set(lead) & truth.causes)
    recalled = named(good, set(rest) & truth.causes)
    right, true, claimed = float(first), 1, len(lead)
    figures = {"cause_first": float(first), "cause_recall": float(recalled), "answered": float(bool(told.causes))}
    expected = [float(recalled)]
    if truth.categories:
        known = float(told.category in truth.categories)
        figures["category_recall"] = known
        right, true, claimed = right + known, true + 1, claimed + bool(told.category)
        expected.append(known)
    if truth.hops is not None:
        shown = {claim.nodes[:2] for claim in good if claim.about == "path"}
        spread = chain([hop for hop in told.hops if hop in shown], truth.hops)
        every = len(set(told.hops))
        figures["chain_recall"] = spread.recall
        figures["chain_precision"] = spread.right / every if every else 1.0
        right, true, claimed = right + spread.right, true + spread.true, claimed + every
    figures["fact_f1"] = 2 * right / (true + claimed)
    figures["fact_recall"] = sum(expected) / len(expected)
    return Scored(figures, len(bad), len(told.claims))


def _texts(item: Item, answer: Sequence[str]) -> Scored:
    """Score an answer of texts by the facts that it tells and by the evidence that it quotes."""
    bad = facts.unsupported(answer[: facts.TEXTS_READ], item.given.evidence)
    recalled = facts.recall(answer, item.truth.facts)
    return Scored({"fact_recall": recalled, "answered": float(bool(answer))}, sum(bad), len(bad))


def share_of_claims(told: Sequence[Scored]) -> Figure | None:
    """Give the share of all claims that are unsupported, its interval by drawing reports; None without a claim."""
    counts = np.array([(each.bad, each.claims) for each in told], np.float64).reshape(-1, 2)
    if not counts[:, 1].sum():
        return None
    drawn = counts[np.random.default_rng(0).integers(0, len(counts), (DRAWS, len(counts)))].sum(axis=1)  # (DRAWS, 2)
    shares = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(shares[:, 0] / shares[:, 1], [0.025, 0.975])
    return Figure(float(counts[:, 0].sum() / counts[:, 1].sum()), float(low), float(high))


TASKS = (Task("report", "root cause analysis", "what happened, why, and how it spread", METRICS, measure),)
