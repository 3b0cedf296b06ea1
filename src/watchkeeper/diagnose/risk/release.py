"""The gate of a release: which of the changes being rolled out is not to go on, by what its first pods did.

Enters: a Rollout (changes, their new pods, and what was measured of all pods until now). Leaves: a Verdict for each
change, the worst first. Compares new pods with the unchanged ones of the same service at the same time, so that what
comes from elsewhere shows in both and is not held against the change, and with their past. Rolls nothing back itself.

Sources: Davidovic and Beyer, "Canary analysis service", ACM Queue 16(1), 2018 (new against unchanged, at one time);
Yu et al., "ChangeRCA", FSE 2024 (faults of a change that are felt elsewhere only).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FAILURES, LATENCY, CPU, MEMORY = "failures", "latency", "cpu", "memory"
FLOORS = {FAILURES: 0.05, LATENCY: math.log(1.5), CPU: math.log(1.5), MEMORY: math.log(1.25)}
"""What is no news, whatever the noise: 5 % of requests, half as much again, a quarter more memory."""
HELD_Z = 3.0
"""A change whose new pods are so many standard errors worse than the unchanged ones is held."""
SETTLING_S = 180.0
"""A fault that is felt elsewhere begins within about this time of the change that brought it."""
ELSEWHERE = 0.5
"""What is felt elsewhere counts half: many changes may have brought it."""
SAID_MIN = 0.5
"""New pods are silent when they answered nobody while unchanged ones answered a caller in this share of the minutes."""
TINY = 1e-6


class PodSeries(NamedTuple):
    """One aspect of one pod: at an edge (`caller` to `callee`), or of the pod itself where both are "".

    times_s, values (T,): seconds and what was measured, NaN where nothing was. Failures are shares in 0..1, the other
    aspects are positive numbers of any unit.
    """

    pod: str
    service: str
    aspect: str
    caller: str
    callee: str
    times_s: Floats
    values: Floats


class ReleasedChange(NamedTuple):
    """A change of a service: its new pods, when the first began to be rolled out, and when it was ready."""

    name: str
    service: str
    pods: frozenset[str]
    begun_s: float
    ready_s: float


class Rollout(NamedTuple):
    """What goes on: changes, series of all pods (of removed pods until their removal), who calls whom, and now."""

    changes: tuple[ReleasedChange, ...]
    series: tuple[PodSeries, ...]
    calls: tuple[tuple[str, str], ...]
    now_s: float


class Verdict(NamedTuple):
    """Of one change: its score (0 upwards, higher is worse), whether it is to be held, and why, strongest first."""

    change: str
    score: float
    held: bool
    why: tuple[str, ...]


class _Evidence(NamedTuple):
    z: float
    text: str


def judge(rollout: Rollout) -> tuple[Verdict, ...]:
    """Give a verdict for each change, the worst first. Cost: the number of series for each change."""
    hurt = _hurt(rollout)
    verdicts = []
    for change in rollout.changes:
        own = _own(rollout, change)
        elsewhere = _elsewhere(rollout, change, hurt)
        score = sum(math.log1p(one.z) for one in own) + ELSEWHERE * math.log1p(elsewhere.z)
        told = sorted((one for one in [*own, elsewhere] if one.z > 1.0), key=lambda one: -one.z)
        held = any(one.z > HELD_Z for one in own)
        verdicts.append(Verdict(change.name, score, held, tuple(one.text for one in told)))
    return tuple(sorted(verdicts, key=lambda one: (-one.score, one.change)))


def _own(rollout: Rollout, change: ReleasedChange) -> list[_Evidence]:
    """Give the strongest deviation of the new pods in each aspect."""
    changed = frozenset(pod for one in rollout.changes for pod in one.pods)
    groups: dict[tuple[str, str, str], tuple[list[PodSeries], list[PodSeries]]] = {}
    for one in rollout.series:
        if one.service == change.service and (one.pod in change.pods or one.pod not in changed):
            new, old = groups.setdefault((one.aspect, one.caller, one.callee), ([], []))
            (new if one.pod in change.pods else old).append(one)
    best: dict[str, _Evidence] = {}
    for (aspect, caller, callee), (new, old) in sorted(groups.items()):
        where = f" of {caller} to {callee}" if caller else ""
        found = _compared(new, old, change, rollout.now_s, aspect)
        text = f"{aspect}{where} of the new pods of {change.service}: {found.text}"
        if aspect not in best or found.z > best[aspect].z:
            best[aspect] = _Evidence(found.z, text)
    served = [pair for (aspect, _, callee), pair in groups.items() if aspect == FAILURES and callee == change.service]
    if _silent(served, change.ready_s, rollout.now_s):
        best[FAILURES] = _Evidence(1.0 / FLOORS[FAILURES], f"the new pods of {change.service} serve nobody")
    return list(best.values())


def _silent(served: list[tuple[list[PodSeries], list[PodSeries]]], from_s: float, until_s: float) -> bool:
    """Tell whether new pods answered no caller at all while unchanged ones did for most of the time."""
    if any(len(_said(new, from_s, until_s)) for new, _ in served):
        return False
    for _, old in served:
        asked = [(each.times_s >= from_s) & (each.times_s < until_s) for each in old]
        told = sum(int(np.isfinite(each.values[here]).sum()) for each, here in zip(old, asked, strict=True))
        minutes = max((int(here.sum()) for here in asked), default=0)
        if minutes > 1 and told >= SAID_MIN * minutes * len(old):
            return True
    return False


def _compared(
    new: list[PodSeries], old: list[PodSeries], change: ReleasedChange, now_s: float, aspect: str
) -> _Evidence:
    """Give by how many standard errors new pods are worse than unchanged ones now and than these were before."""
    fresh, beside = _said(new, change.ready_s, now_s), _said(old, change.ready_s, now_s)
    before = _said(old, -math.inf, change.begun_s)
    if not len(beside):
        return _Evidence(0.0, "nothing to compare with")
    if not len(fresh):
        return _Evidence(0.0, "none is told")
    if aspect != FAILURES:
        fresh, beside, before = (np.log(np.maximum(each, TINY)) for each in (fresh, beside, before))
    references = [each for each in (beside, before) if len(each)]
    worst = max(references, key=lambda each: float(each.mean()))
    error = math.hypot(FLOORS[aspect], _error(fresh), _error(worst))
    z = max(0.0, float(fresh.mean() - worst.mean()) / error)
    if aspect == FAILURES:
        return _Evidence(z, f"{fresh.mean():.0%} of requests, {worst.mean():.0%} with the unchanged ones")
    return _Evidence(z, f"{math.exp(float(fresh.mean() - worst.mean())):.1f} times that of the unchanged ones")


class _Hurt(NamedTuple):
    """Unchanged pods of a service that began to fail: how much, and since when."""

    service: str
    excess: float
    since_s: float


def _hurt(rollout: Rollout) -> list[_Hurt]:
    """Tell where unchanged pods fail more than before the first change."""
    changed = frozenset(pod for one in rollout.changes for pod in one.pods)
    begun_s = min((one.begun_s for one in rollout.changes), default=rollout.now_s)
    found = []
    for one in rollout.series:
        if one.aspect != FAILURES or one.pod in changed:
            continue
        before = _said([one], -math.inf, begun_s)
        chosen = (one.times_s >= begun_s) & (one.times_s < rollout.now_s) & np.isfinite(one.values)
        usual = float(before.mean()) if len(before) else 0.0
        bad = chosen & (one.values > usual + FLOORS[FAILURES])
        if bad.any():
            since_s = float(one.times_s[bad][0])
            later = one.values[chosen & (one.times_s >= since_s)]
            found.append(_Hurt(one.service, float(later.mean()) - usual, since_s))
    return found


def _elsewhere(rollout: Rollout, change: ReleasedChange, hurt: Iterable[_Hurt]) -> _Evidence:
    """Give what unchanged pods that depend on the service suffer since about the time of the change."""
    dependents = _dependents(rollout.calls, change.service)
    best = _Evidence(0.0, "")
    for one in hurt:
        late_s = one.since_s - change.begun_s
        if one.service not in dependents or late_s < 0.0:
            continue
        z = one.excess / FLOORS[FAILURES] * math.exp(-max(0.0, one.since_s - change.ready_s) / SETTLING_S)
        if z > best.z:
            best = _Evidence(
                z, f"unchanged pods of {one.service} fail {one.excess:.0%} more, {late_s:.0f} s after it began"
            )
    return best


def _dependents(calls: Iterable[tuple[str, str]], service: str) -> frozenset[str]:
    """Give the service and all that call it, directly or not."""
    known, pairs = {service}, tuple(calls)
    while True:
        more = {caller for caller, callee in pairs if callee in known} - known
        if not more:
            return frozenset(known)
        known |= more


def _said(series: Iterable[PodSeries], from_s: float, until_s: float) -> Floats:
    chosen = [one.values[(one.times_s >= from_s) & (one.times_s < until_s) & np.isfinite(one.values)] for one in series]
    return np.concatenate(chosen) if chosen else np.zeros(0)


def _error(values: Floats) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
