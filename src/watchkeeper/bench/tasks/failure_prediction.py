"""Failure prediction: which parts fail soon, how long a unit still lasts, when something is full.

Risks of rows: area under ROC, lift of the riskiest hundredth, calibration, days ahead. Time left: root mean squared
error and the asymmetric score of the PHM 2008 challenge (Saxena et al.: late is worse than early). Limits: whether it
was told that one is reached before it was, how long before, and how often one was told that never came; both together
count, for who always tells forewarns of everything.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.risk import chosen, reliability, risk_figures

METRICS = (
    Metric("auroc", "chance that what fails is told a higher risk than what does not", headline=True),
    Metric("lift_1pct", "times more failures among the riskiest 1 % than among all", tolerance=0.5),
    Metric("pr_auc", "average precision over all thresholds"),
    Metric("brier", "mean squared error of the risks", higher_is_better=False, tolerance=0.001),
    Metric("ece", "mean distance of the risk told from the share that failed", higher_is_better=False, tolerance=0.002),
    Metric("lead_days", "median days from the telling to the failure, of those among the riskiest 1 %", tolerance=1.0),
    Metric("rmse", "root mean squared error of the time left", higher_is_better=False, tolerance=0.5),
    Metric("nasa_score", "asymmetric score of PHM 2008, summed over units", higher_is_better=False, tolerance=20.0),
    Metric("balanced", "mean of forewarned and of 1 - false predictions: always telling gets a half", tolerance=0.02),
    Metric("forewarned", "share of reached limits that were told before", tolerance=0.02),
    Metric("false_predictions", "share of the askings where a limit was told that never came", higher_is_better=False),
    Metric("lead_share", "median share of the way to the limit still ahead when it was first told"),
    Metric("time_error", "median error of the time told, as a share of the true one", higher_is_better=False),
)
DRAWS, DRAWS_OF_COURSES = 500, 2_000


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Measure risks where the facts tell columns, limits where they tell a horizon, else times left."""
    facts = outcomes[0].split.facts
    if "columns" in facts:
        return _risks(outcomes)
    return _limits(outcomes) if "horizon_s" in facts else _times(outcomes)


def _risks(outcomes: Sequence[Outcome]) -> Measured:
    blocks = [(item, answer) for one in outcomes for item, answer in zip(one.split.test, one.answers, strict=True)]
    failed = np.concatenate([item.truth.failed for item, _ in blocks])
    part = np.concatenate([item.truth.part for item, _ in blocks])
    days = np.concatenate([item.truth.days_left for item, _ in blocks])
    risks = np.concatenate([answer for _, answer in blocks])
    figures = {name: Figure(*each) for name, each in risk_figures(risks, failed, part).items()}
    riskiest = chosen(risks, max(1, round(0.01 * len(risks))), np.random.default_rng(0))
    leads = days[riskiest & failed]
    figures["lead_days"] = Figure(float(np.median(leads)) if len(leads) else math.nan)
    cases = {}
    for item, answer in blocks:
        if item.truth.failed.any() and not item.truth.failed.all():
            cases[item.id] = {"auroc": risk_figures(answer, item.truth.failed, item.truth.part, draws=0)["auroc"].value}
    return Measured(figures, cases, {"reliability": reliability(risks, failed)})


def nasa_score(off: float) -> float:
    """Give the penalty of telling `off` cycles too many (late): exp(off/10)-1, or too few: exp(-off/13)-1."""
    return math.exp(off / 10.0) - 1.0 if off >= 0 else math.exp(-off / 13.0) - 1.0


def _times(outcomes: Sequence[Outcome]) -> Measured:
    """Score numbers of cycles; truth is the cycles left."""
    offs = {
        item.id: float(answer) - float(item.truth)
        for one in outcomes
        for item, answer in zip(one.split.test, one.answers, strict=True)
    }
    values = np.array(list(offs.values()))
    scores = np.array([nasa_score(off) for off in values])
    picked = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    squares = np.sqrt((values[picked] ** 2).mean(axis=1))
    sums = scores[picked].sum(axis=1)
    figures = {
        "rmse": Figure(
            float(np.sqrt((values**2).mean())), *(float(each) for each in np.quantile(squares, [0.025, 0.975]))
        ),
        "nasa_score": Figure(float(scores.sum()), *(float(each) for each in np.quantile(sums, [0.025, 0.975]))),
    }
    return Measured(figures, {name: {"rmse": abs(off)} for name, off in offs.items()})


def _limits(outcomes: Sequence[Outcome]) -> Measured:
    """Score seconds until the limit or None; truth is (series, seconds until it is reached or inf, share ahead)."""
    told: dict[str, list[float]] = defaultdict(list)
    false: dict[str, list[float]] = defaultdict(list)
    comes: set[str] = set()
    errors = []
    for one in outcomes:
        horizon_s = float(one.split.facts["horizon_s"])
        for item, answer in zip(one.split.test, one.answers, strict=True):
            name, left_s, ahead = item.truth
            within = left_s <= horizon_s
            if not math.isfinite(left_s):
                false[name].append(float(answer is not None))
                continue
            comes.add(name)
            if answer is not None and within:
                told[name].append(ahead)
                errors.append(abs(float(answer) - left_s) / left_s)
    leads = [max(told[name]) for name in sorted(comes) if told[name]]
    warned = np.array([float(bool(told[name])) for name in sorted(comes)])
    cried = np.array([float(np.mean(false[name])) for name in sorted(false)])
    figures = {"balanced": _balanced(warned, cried)}
    for name, shares in (("forewarned", warned), ("false_predictions", cried)):
        if len(shares):
            figures[name] = Figure(*mean_interval(shares, draws=DRAWS_OF_COURSES))
    figures["lead_share"] = Figure(float(np.median(leads)) if leads else math.nan)
    figures["time_error"] = Figure(float(np.median(errors)) if errors else math.nan)
    return Measured(figures, {name: {"forewarned": float(bool(told[name]))} for name in sorted(comes)})


def _balanced(warned: npt.NDArray[np.float64], cried: npt.NDArray[np.float64]) -> Figure:
    """Give the mean of both sides, with courses drawn whole; no figure where one side has none."""
    if not len(warned) or not len(cried):
        return Figure(math.nan)
    random = np.random.default_rng(0)
    draws = [
        side[random.integers(0, len(side), (DRAWS_OF_COURSES, len(side)))].mean(axis=1)
        for side in (warned, 1.0 - cried)
    ]
    low, high = np.quantile((draws[0] + draws[1]) / 2, [0.025, 0.975])
    return Figure(float(warned.mean() + 1.0 - cried.mean()) / 2, float(low), float(high))


TASKS = (Task("failure-prediction", "failure perception", "what fails or fills up, and when", METRICS, measure),)
