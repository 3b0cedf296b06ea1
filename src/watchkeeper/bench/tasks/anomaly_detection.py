"""Anomaly detection: which sessions, rows or steps are out of the ordinary.

Cases without order: F1, precision and recall at the threshold in force, areas over all thresholds. Series: VUS-PR of
each machine, events at the threshold that the training part's budget allows, false incidents a day and delay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.merge import merged
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.events import (
    EventCounts,
    count_events,
    event_intervals,
    event_score,
    incidents,
    threshold_for_budget,
)
from watchkeeper.bench.scores.flags import areas, flagged_figures, precision_recall
from watchkeeper.bench.scores.vus import auc_pr, vus

METRICS = (
    Metric("f1", "F1 of the anomalous ones at the threshold of the training part (series: of events)", headline=True),
    Metric("pr_auc", "average precision over all thresholds"),
    Metric("vus_pr", "volume under the precision-recall surface, mean over machines"),
    Metric("false_per_day", "incidents a machine-day that meet no event", higher_is_better=False, tolerance=0.1),
    Metric(
        "delay_s", "median seconds from an event's first step to its incident", higher_is_better=False, tolerance=60
    ),
    Metric("roc_auc", "area under the ROC curve"),
    Metric("precision", "share of the flagged that is anomalous (series: of incidents that meet an event)"),
    Metric("recall", "share of the anomalous that is flagged (series: of events that are found)"),
    Metric("false_alarms", "share of the normal that is flagged", higher_is_better=False),
)
DELAY_BUDGETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Incidents a day on the validation part, for the curve of delay against false alarms."""
_FIGURES = {"median_delay_s": "delay_s"}
"""Names of the task's metrics where the score has another."""


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Measure by steps and events where the facts tell a step, else by cases; splits of the same cases one by one."""
    if "step_s" in outcomes[0].split.facts:
        return _series(outcomes)
    if outcomes[0].split.facts.get("redrawn"):
        return merged([_cases([one]) for one in outcomes])
    return _cases(outcomes)


def _cases(outcomes: Sequence[Outcome]) -> Measured:
    """Pool the cases of all splits; flags are of each split's own threshold, areas compare scores across splits."""
    scores = np.concatenate([answer for one in outcomes for answer in one.answers])
    true = np.concatenate([np.asarray(item.truth, bool) for one in outcomes for item in one.split.test])
    found = np.concatenate([answer > _threshold(one) for one in outcomes for answer in one.answers])
    told = {**flagged_figures(found, true), **areas(scores, true)}
    names = [case for one in outcomes for item in one.split.test for case in (item.cases or _numbered(item))]
    if len(outcomes) > 1:
        names = [f"{at}:{name}" for at, name in enumerate(names)]
    right = found == true
    cases = {name: {"right": float(each)} for name, each in zip(names, right, strict=True)}
    return Measured({name: Figure(*each) for name, each in told.items()}, cases, {"pr": precision_recall(scores, true)})


def _numbered(item: Any) -> list[str]:
    return [f"{item.id}/{at}" for at in range(len(item.given))]


def _threshold(outcome: Outcome) -> float:
    return math.inf if outcome.threshold is None else outcome.threshold


def _series(outcomes: Sequence[Outcome]) -> Measured:
    counts: list[EventCounts] = []
    cases: dict[str, dict[str, float]] = {}
    for one in outcomes:
        scores, true = _joined(one)
        facts = one.split.facts
        counts.append(count_events(_incidents(one, scores, _budgeted(one, None)), true, facts["step_s"]))
        if true.any() and not true.all():
            buffer = int(facts["buffer_steps"])
            cases[one.split.name] = {"vus_pr": vus(scores, true, buffer).pr, "pr_auc": auc_pr(scores, true)}
    step_s = float(outcomes[0].split.facts["step_s"])
    events, ends = event_score(counts, step_s), event_intervals(counts, step_s)
    figures = {
        _FIGURES.get(name, name): Figure(*(ends[name] if ends else (value,)))
        for name, value in events._asdict().items()
    }
    for name in ("vus_pr", "pr_auc"):
        figures[name] = Figure(*mean_interval([each[name] for each in cases.values()], draws=2_000))
    return Measured(figures, cases, {"delay": _delays(outcomes, step_s)})


def _joined(outcome: Outcome) -> tuple[Any, Any]:
    truth = np.concatenate([np.asarray(item.truth, bool) for item in outcome.split.test])
    return np.concatenate(outcome.answers), truth


def _budgeted(outcome: Outcome, per_day: float | None) -> float:
    """Give the threshold of a budget of incidents on the validation part; the model's own when none is asked for."""
    facts = outcome.split.facts
    if not outcome.validation or (outcome.own and per_day is None):
        return _threshold(outcome)
    normal = np.concatenate(outcome.validation)
    return threshold_for_budget(
        normal, facts["step_s"], facts["per_day"] if per_day is None else per_day, **_closing(outcome)
    )


def _incidents(outcome: Outcome, scores: Any, threshold: float) -> Any:
    return incidents(scores, threshold, **_closing(outcome))


def _closing(outcome: Outcome) -> dict[str, Any]:
    facts = outcome.split.facts
    return {"close_share": facts["close_share"], "gap_steps": round(facts["gap_s"] / facts["step_s"])}


def _delays(outcomes: Sequence[Outcome], step_s: float) -> list[tuple[float, float]]:
    """Give (false incidents a day, median delay in seconds) for each budget that finds an event."""
    points = []
    for budget in DELAY_BUDGETS:
        counts = []
        for one in outcomes:
            scores, true = _joined(one)
            counts.append(count_events(_incidents(one, scores, _budgeted(one, budget)), true, step_s))
        told = event_score(counts, step_s)
        if math.isfinite(told.median_delay_s):
            points.append((told.false_per_day, told.median_delay_s))
    return sorted(points)


TASKS = (Task("anomaly-detection", "failure perception", "what is out of the ordinary, and when", METRICS, measure),)
