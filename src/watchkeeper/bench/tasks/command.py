"""Command: the shell command for a request. Held to the wanted command by skeleton, by utility and by running both.

The skeleton is structure, utilities and sets of flags, without arguments. Executed equivalence needs bubblewrap; where
that does not work it is left out (`sandbox_share` is 0), never put as a number. For kubectl: verb and resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from watchkeeper.bench.base import Figure, Measured, Metric, Outcome, Task
from watchkeeper.bench.scores.bootstrap import mean_interval
from watchkeeper.bench.scores.executed import equivalent
from watchkeeper.remedy.sandbox import probe
from watchkeeper.remedy.shell import Unparsable, parse
from watchkeeper.remedy.verbs import kubectl_verbs

EXECUTED_MAX = 120
UTILITY_CASES_MIN = 5
DRAWS = 1_000

METRICS = (
    Metric("skeleton_at_1", "share whose first command has a right skeleton", headline=True),
    Metric("skeleton_at_5", "share with a right skeleton among the first five", tolerance=0.02),
    Metric("utility_macro_accuracy", "share of the wanted utilities found, mean over utilities", tolerance=0.02),
    Metric("executed_equivalence", "share whose first command does the same in a sandbox", tolerance=0.03),
    Metric("sandbox_share", "share of requests whose wanted command could be run; 0 without bubblewrap", tolerance=0.1),
    Metric("verb_resource_at_1", "share whose first kubectl command has a right verb and resource", tolerance=0.05),
    Metric("verb_resource_at_5", "the same among the first five", tolerance=0.05),
    Metric("command_at_1", "share whose first command is right to the letter", tolerance=0.05),
)


def measure(outcomes: Sequence[Outcome]) -> Measured:
    """Score commands, best first; an item's truth is a tuple of right commands."""
    asked = [(item, list(answer)) for one in outcomes for item, answer in zip(one.split.test, one.answers, strict=True)]
    cases = {item.id: _match(item.truth, answer) for item, answer in asked}
    kubectl = any("verb_resource_at_1" in case for case in cases.values())
    figures = {name: _mean([case[name] for case in cases.values()]) for name in next(iter(cases.values()))}
    if not kubectl:  # every fix is of one utility: its verbs tell fixes apart, skeletons do not
        figures["utility_macro_accuracy"] = _utilities([(item.truth, answer) for item, answer in asked])
        figures |= _executed(asked, cases)
    return Measured(figures, cases)


def _match(wanted: Sequence[str], answer: Sequence[str]) -> dict[str, float]:
    verbs = {pair for each in wanted for pair in kubectl_verbs(each)}
    told = {"command_at_1": float(bool(answer) and _plain(answer[0]) in {_plain(each) for each in wanted})}
    if verbs:
        found = [kubectl_verbs(each) for each in answer[:5]]
        told["verb_resource_at_1"] = float(bool(found) and bool(set(found[0]) & verbs))
        told["verb_resource_at_5"] = float(any(set(each) & verbs for each in found))
        return told
    right = {key for each in wanted if (key := _skeleton(each))}
    given = [_skeleton(each) for each in answer[:5]]
    told["skeleton_at_1"] = float(bool(given) and given[0] in right)
    told["skeleton_at_5"] = float(any(each in right for each in given))
    return told


def _plain(command: str) -> str:
    return " ".join(command.split())


def _skeleton(command: str) -> str:
    try:
        return parse(command).skeleton
    except Unparsable:
        return ""


def _names(command: str) -> frozenset[str]:
    try:
        return frozenset(parse(command).utilities)
    except Unparsable:
        return frozenset()


def _utilities(asked: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Figure:
    """Give the mean recall of the utilities that UTILITY_CASES_MIN requests or more want."""
    names = sorted({name for wanted, _ in asked for name in _names(wanted[0])})
    place = {name: at for at, name in enumerate(names)}
    want, hit = np.zeros((2, len(asked), len(names)))
    for row, (wanted, answer) in enumerate(asked):
        got = _names(answer[0]) if answer else frozenset()
        for name in _names(wanted[0]):
            want[row, place[name]] = 1
            hit[row, place[name]] = name in got
    kept = want.sum(axis=0) >= UTILITY_CASES_MIN
    if not kept.any():
        kept = want.sum(axis=0) > 0
    want, hit = want[:, kept], hit[:, kept]

    def macro(rows: Any) -> float:
        total = want[rows].sum(axis=0)
        return float((hit[rows].sum(axis=0)[total > 0] / total[total > 0]).mean()) if total.any() else 0.0

    random = np.random.default_rng(0)
    drawn = [macro(random.integers(0, len(asked), len(asked))) for _ in range(DRAWS // 5)]
    return Figure(macro(slice(None)), *(float(end) for end in np.quantile(drawn, (0.025, 0.975))))


def _executed(asked: Sequence[Any], cases: dict[str, dict[str, float]]) -> dict[str, Figure]:
    """Run commands of EXECUTED_MAX requests, evenly drawn; gives only the share when there is no sandbox."""
    if probe():
        return {"sandbox_share": Figure(0.0)}
    step = max(1, len(asked) // EXECUTED_MAX)
    chosen = list(asked)[::step]

    def one(each: Any) -> bool | None:
        item, answer = each
        told = [equivalent(item.given.text, wanted, answer[0] if answer else "") for wanted in item.truth]
        known = [same for same in told if same is not None]
        return any(known) if known else None

    with ThreadPoolExecutor(2) as pool:
        same = list(pool.map(one, chosen))
    known = [float(each) for each in same if each is not None]
    figures = {"sandbox_share": Figure(len(known) / len(chosen))}
    if known:
        figures["executed_equivalence"] = _mean(known)
    return figures


def _mean(values: Sequence[float]) -> Figure:
    return Figure(*mean_interval(values, draws=DRAWS))


_ABOUT = "the shell command for a request"

TASKS = (Task("command", "assisted remediation", _ABOUT, METRICS, measure),)
