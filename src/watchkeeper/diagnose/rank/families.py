"""All that speaks for and against each node, side by side: lost steps, added waits, own time, resources.

Enters: an IncidentWindow. Leaves: Evidence, with a blame of each family for each node, 0 where there is none. Three
families, for three ways to fail: `code` (events lost their continuation), `wait` (time was added between services),
`resource` (a metric of a resource left its course). Weighs no family against another; that is the router's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from watchkeeper.diagnose.rank.deviation import Deviation, deviation
from watchkeeper.diagnose.rank.events import LostStep, lost_steps
from watchkeeper.diagnose.rank.gaps import Rise, rises, weighed
from watchkeeper.diagnose.window import Aspect, IncidentWindow
from watchkeeper.signals.topology import Topology

RESOURCES = (Aspect.CPU, Aspect.MEMORY, Aspect.DISK)
HOPS_MAX = 8
EXPLAINED_MIN = 0.5
"""A break is told as explained when something below lost at least this part of what it lost itself."""
CALLER_PART = 0.5
"""What waiting counts for on the side of the caller: a slow way to a node shows on all ways to it."""
UNCORROBORATED = 0.5
"""What a resource counts for whose node is, by its traces, no slower than usual."""


@dataclass(frozen=True)
class Evidence:
    """Of one incident. code, wait, resource: blame by node, > 0, higher = more; comparable within a family only.

    steps, waits, works (own time), shifts (metrics of resources): what it was read from, strongest first, by node.
    explained_by: for a node with lost steps, what it depends on that lost as much, or half as much at least.
    wait_z: deviations of the strongest wait, weighed by the part of it that was added.
    """

    code: Mapping[str, float] = field(default_factory=dict)
    wait: Mapping[str, float] = field(default_factory=dict)
    resource: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, list[LostStep]] = field(default_factory=dict)
    waits: Mapping[str, list[Rise]] = field(default_factory=dict)
    works: Mapping[str, list[Rise]] = field(default_factory=dict)
    shifts: Mapping[str, list[Deviation]] = field(default_factory=dict)
    explained_by: Mapping[str, str] = field(default_factory=dict)
    wait_z: float = 0.0


def evidence(window: IncidentWindow) -> Evidence:
    """Gather the evidence of an incident; cost: the events' rows x windows, and the resource metrics' points."""
    steps: dict[str, list[LostStep]] = {}
    for step in lost_steps(window):
        steps.setdefault(step.node, []).append(step)
    waited, worked = weighed(rises(window, "wait")), weighed(rises(window, "self"))
    shifts = _shifts(window)
    code, explained_by = _code(steps, window.topology)
    slowed = _slowed(waited, worked) if waited or worked else None
    return Evidence(
        code=code,
        wait=_wait(waited),
        resource=_resource(shifts, slowed),
        steps=steps,
        waits=_by_node(waited),
        works=_by_node(worked),
        shifts=shifts,
        explained_by=explained_by,
        wait_z=max((one.z * _added_part(one) for one, weight in waited if weight > 0.0), default=0.0),
    )


def shift_strength(shift: Deviation) -> float:
    """Give how far a metric of a resource rose: beyond the usual and in proportion to its level, whichever is less."""
    return float(np.log1p(min(shift.z, shift.growth)))


def _shifts(window: IncidentWindow) -> dict[str, list[Deviation]]:
    known, found = set(window.nodes), []
    for series in window.series:
        if series.aspect in RESOURCES and series.node in known:
            one = deviation(series, window)
            if one is not None and one.sign > 0 and one.z > 0.0:
                found.append(one)
    shifts: dict[str, list[Deviation]] = {}
    for one in sorted(found, key=lambda each: (-shift_strength(each), each.series.name)):
        shifts.setdefault(one.node, []).append(one)
    return shifts


def _added_part(one: Rise) -> float:
    return one.added_s / one.during_s if one.during_s > 0.0 else 0.0


def _code(steps: Mapping[str, list[LostStep]], topology: Topology) -> tuple[dict[str, float], dict[str, str]]:
    """A caller whose callee, near or far, broke too is the less to blame, for a break goes on to the callers."""
    own = {node: max(step.score for step in found) for node, found in steps.items()}
    blamed, explained_by = {}, {}
    for node, score in own.items():
        below = {callee: own[callee] for callee in _below(node, topology) if callee in own}
        worst = max(below, key=lambda callee: (below[callee], callee), default="")
        strongest = below.get(worst, 0.0)
        blamed[node] = score * (1.0 - strongest / (strongest + score))
        if worst and strongest >= EXPLAINED_MIN * score:
            explained_by[node] = worst
    return blamed, explained_by


def _below(node: str, topology: Topology) -> set[str]:
    found: set[str] = set()
    edge = {node}
    for _ in range(HOPS_MAX):
        edge = {callee for one in edge for callee in topology.dependencies(one)} - found - {node}
        found |= edge
    return found


def _wait(waited: Iterable[tuple[Rise, float]]) -> dict[str, float]:
    """Blame by how much of all added waiting a node is an end of, and how many of its callers, or its calls, wait."""
    found = list(waited)
    total = sum(weight for _, weight in found)
    if not total:
        return {}
    blamed = {}
    for node in sorted({end for one, _ in found for end in (one.node, one.caller) if end}):
        called = [weight for one, weight in found if one.node == node]
        touching = [weight for one, weight in found if node in (one.node, one.caller)]
        blame = sum(touching) / total * max(_risen(called), CALLER_PART * _risen(touching))
        if blame > 0.0:
            blamed[node] = blame
    return blamed


def _risen(weights: list[float]) -> float:
    """Give the share of edges that rose, an edge counting by how much it rose in proportion to the most risen one."""
    most = max(weights, default=0.0)
    return sum(weight / most for weight in weights) / len(weights) if most else 0.0


def _slowed(waited: list[tuple[Rise, float]], worked: list[tuple[Rise, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in (waited, worked):
        most = max((weight for _, weight in part), default=0.0)
        for one, weight in part:
            for node in (one.node, one.caller):
                if node and weight:
                    found[node] = max(found.get(node, 0.0), weight / most)
    return found


def _resource(shifts: Mapping[str, list[Deviation]], slowed: Mapping[str, float] | None) -> dict[str, float]:
    found = {}
    for node, deviating in shifts.items():
        corroborated = 1.0 if slowed is None else slowed.get(node, 0.0)
        strength = shift_strength(deviating[0])
        if strength > 0.0:
            found[node] = strength * (UNCORROBORATED + (1.0 - UNCORROBORATED) * corroborated)
    return found


def _by_node(weights: Iterable[tuple[Rise, float]]) -> dict[str, list[Rise]]:
    """Give the rises at each node, a wait at both of its ends, the strongest first."""
    found: dict[str, list[Rise]] = {}
    ordered = sorted(weights, key=lambda each: (-each[1], each[0].node, each[0].subject, each[0].caller))
    for one, weight in ordered:
        if weight > 0.0:
            for node in (one.node, one.caller):
                if node:
                    found.setdefault(node, []).append(one)
    return found
