"""Faults written into windows without one: the same system broken at places where no recorded fault is.

Enters: a fault-free Case with a topology. Leaves: Cases with one node slowed or failing, and its callers with it, each
by as much as its calls per request pass on. A check that a ranker does not merely know where the recorded faults were;
synthetic, never a headline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from watchkeeper.bench.cases.base import Case
from watchkeeper.diagnose.window import Aspect, IncidentWindow, Series, Values

FELT_GROWTH = 0.3
"""The symptom's latency grows by this part: a fault that nobody feels raises no alarm."""
FELT_FAILURES = 0.04
"""The part of the symptom's requests that fail."""
GROWTH_MAX = 100.0
FAILURES_MAX = 0.9
COURSE = (0.6, 1.0, 0.1)
"""How much of the fault shows in each point of the incident, repeated: it comes, lasts and goes."""
SEED = 7


def injected(case: Case, aspect: Aspect) -> Iterator[Case]:
    """Give one Case for each node below the symptom that can make the symptom suffer as much as FELT_ says.

    aspect: LATENCY or ERRORS (availability). Only nodes of which this aspect is measured on the whole way are broken.
    """
    window = case.window
    measured = {
        one.node
        for one in window.series
        if one.aspect is aspect and len(_during(one, window)) >= 2 and np.isfinite(one.values).sum() > 50
    }
    for node in window.nodes:
        passed = passed_on(window, node)
        path_known = all(each in measured for each in passed)
        if window.symptom not in passed or not path_known:
            continue
        size = _size(window, node, passed[window.symptom], aspect)
        if size > 0.0:
            broken = tuple(_broken(one, window, node, passed, size, aspect) for one in window.series)
            yield Case(
                f"{case.id}/{aspect.value}/{node}",
                case.group,
                replace(window, series=broken),
                truth_nodes=(node,),
                kind=f"injected {aspect.value}",
            )


def passed_on(window: IncidentWindow, node: str) -> dict[str, float]:
    """Give, for the node and each of its direct and indirect callers, the calls to the node per request."""
    requests = {one.node: _level(one, window) for one in window.series if one.aspect is Aspect.TRAFFIC}
    passed = {node: 1.0}
    ahead = [node]
    while ahead:
        callee = ahead.pop(0)
        callers = [each for each in window.topology.dependents(callee) if each in window.nodes]
        total = sum(requests.get(each, 0.0) for each in callers)
        for caller in callers:
            if caller in passed or total <= 0.0:
                continue
            calls = min(1.0, requests.get(callee, 0.0) / total)
            passed[caller] = passed[callee] * calls
            ahead.append(caller)
    return {each: part for each, part in passed.items() if part > 0.0}


def _size(window: IncidentWindow, node: str, passed: float, aspect: Aspect) -> float:
    if aspect is Aspect.ERRORS:
        return FELT_FAILURES / passed if FELT_FAILURES / passed <= FAILURES_MAX else 0.0
    levels = {one.node: _level(one, window) for one in window.series if one.aspect is aspect}
    size = FELT_GROWTH * levels[window.symptom] / passed
    return size if 0.0 < size <= GROWTH_MAX * levels[node] else 0.0


def _broken(
    one: Series, window: IncidentWindow, node: str, passed: dict[str, float], size: float, aspect: Aspect
) -> Series:
    if one.aspect is not aspect or one.node not in passed:
        return one
    seed = [SEED, *one.node.encode()]
    chosen = (one.times_unix_ns >= window.onset_unix_ns) & (one.times_unix_ns < window.until_unix_ns)
    noise = np.random.default_rng(seed).normal(1.0, 0.1, int(chosen.sum()))
    course = np.resize(np.array(COURSE), int(chosen.sum())) * np.clip(noise, 0.5, 1.5) * passed[one.node] * size
    values = one.values.copy()
    if aspect is Aspect.ERRORS:
        values[chosen] *= np.clip(1.0 - course, 0.0, 1.0)
    else:
        values[chosen] += course
    return replace(one, values=values)


def _during(one: Series, window: IncidentWindow) -> Values:
    inside = (one.times_unix_ns >= window.onset_unix_ns) & (one.times_unix_ns < window.until_unix_ns)
    return one.values[inside & np.isfinite(one.values)]


def _level(one: Series, window: IncidentWindow) -> float:
    before = one.values[(one.times_unix_ns < window.onset_unix_ns) & np.isfinite(one.values)]
    return float(np.median(before)) if len(before) else 0.0
