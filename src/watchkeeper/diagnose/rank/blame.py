"""Watchkeeper's own ranker over metrics and topology: blame along the graph.

Enters: an IncidentWindow with metrics, with or without topology and symptom. Leaves: a Ranking with evidence for and
against each cause and a calibrated confidence; it abstains when that is below a floor. Reads neither logs nor spans.

A hypothesis is worth what it explains: its own deviation, and those of the nodes that depend on it, in so far as its
size and its course fit theirs. Where the symptom is known, what does not explain the symptom counts little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from watchkeeper.diagnose.base import Indicator, IndicatorKind, Ranking
from watchkeeper.diagnose.rank.calibration import FLOOR, confidence
from watchkeeper.diagnose.rank.deviation import Deviation, by_node, deviations, strongest
from watchkeeper.diagnose.rank.evidence import Account, told
from watchkeeper.diagnose.rank.order import in_order, ranked, tie_key
from watchkeeper.diagnose.rank.propagation import SIGNIFICANT_Z, Spread, spread
from watchkeeper.diagnose.rank.symptom import FELT, of_the_symptom, symptom_aspect
from watchkeeper.diagnose.window import Aspect, IncidentWindow

SYMPTOM_WEIGHT = 2.0
"""The symptom is what is to be explained: it counts as much as two other nodes."""
UNFELT_SHARE = 0.1
"""What a hypothesis is worth that explains nothing of the symptom."""
FALL_WEIGHT = 0.5
"""A fall of traffic or of a resource's use is mostly a consequence: less work arrives."""
OTHER_ASPECT_WEIGHT = 0.5
"""A deviation in another aspect than the symptom's counts half."""
NEW_CALLEE_WEIGHT = 1.0
"""A node that was never called before speaks against its caller, as a deviation of about five sigmas would."""
RESOURCES = (Aspect.CPU, Aspect.MEMORY, Aspect.DISK, Aspect.NETWORK, Aspect.QUEUE)
SPECIFIC = (Aspect.MEMORY, Aspect.DISK)
"""Resources whose use takes processor time as well, while processor time alone takes none of them."""
SPECIFIC_GROWTH_MIN = 1.0
"""Such a resource comes before processor time when its use has doubled; less comes with any busy process."""
CPU_BEHIND = 0.8
"""What processor time then keeps of its weight."""


class BlameRanker:
    """Ranks by what each node's deviation explains; the same whatever the units, names and order of the metrics."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once; cost O(points log points + nodes x edges)."""
        found = deviations(window)
        if not window.nodes or not found:
            return _nothing_known(window)
        return told(window, _account(window, found))


def _account(window: IncidentWindow, found: Sequence[Deviation]) -> Account:
    """Weigh every hypothesis."""
    aspect = symptom_aspect(window, found)
    best = strongest(of_the_symptom(window, found))
    weight = {node: _weight(one) for node, one in best.items()}
    for node, one in strongest([each for each in found if _is_other(each, aspect)]).items():
        other = OTHER_ASPECT_WEIGHT * _weight(one)
        if one.series.aspect in RESOURCES and node in best and one.sign > 0:
            weight[node] += other
        elif one.z >= SIGNIFICANT_Z and (node not in best or best[node].z < SIGNIFICANT_Z):
            best[node], weight[node] = one, max(other, weight.get(node, 0.0))
    new = _new_callees(window)
    for caller in new:
        if caller in best:
            weight[caller] += NEW_CALLEE_WEIGHT
    reach = spread(window, best)
    scores = {node: _score(window, node, reach, weight) for node in best}
    ordered = [*sorted(scores.values(), reverse=True), 0.0, 0.0]
    return Account(
        found=by_node(found),
        best=best,
        reach=reach,
        scores=scores,
        indicators={node: _indicators(each, aspect, scores.get(node, 0.0)) for node, each in by_node(found).items()},
        new_callees=new,
        confidence=confidence(ordered[0], ordered[1]),
        floor=FLOOR,
        aspect=aspect,
    )


def _weight(one: Deviation) -> float:
    return math.log1p(one.z / SIGNIFICANT_Z) * (1.0 if one.sign > 0 or one.series.aspect in FELT else FALL_WEIGHT)


def _is_other(one: Deviation, aspect: Aspect | None) -> bool:
    return aspect is not None and one.series.aspect is not aspect and one.series.aspect is not Aspect.TRAFFIC


def _score(window: IncidentWindow, node: str, reach: Spread, weight: Mapping[str, float]) -> float:
    parts = reach.explained[node]
    symptom = window.symptom
    total = math.fsum(
        weight[each] * part * (SYMPTOM_WEIGHT if each == symptom else 1.0) for each, part in parts.items()
    )
    if symptom not in weight:
        return total
    return total * (UNFELT_SHARE + (1.0 - UNFELT_SHARE) * parts.get(symptom, 0.0))


def _new_callees(window: IncidentWindow) -> dict[str, tuple[str, ...]]:
    """Find nodes that tell of themselves in the incident at least twice, never before, and who calls them."""
    before: dict[str, int] = {}
    during: dict[str, int] = {}
    for one in window.series:
        known = one.times_unix_ns[np.isfinite(one.values)]
        edges = (window.baseline_from_unix_ns, window.onset_unix_ns, window.until_unix_ns)
        first, split, last = (int(each) for each in np.searchsorted(known, edges))
        before[one.node] = before.get(one.node, 0) + split - first
        during[one.node] = max(during.get(one.node, 0), last - split)
    new = {node for node, count in during.items() if count >= 2 and not before[node]}
    callers: dict[str, tuple[str, ...]] = {}
    for node in sorted(new, key=tie_key):
        for caller in window.topology.dependents(node):
            if caller not in new:
                callers[caller] = (*callers.get(caller, ()), node)
    return callers


def _indicators(found: Sequence[Deviation], aspect: Aspect | None, score: float) -> tuple[Indicator, ...]:
    """Rank the metrics of one node; the first has the node's own score, so that all are comparable."""
    values = {}
    for one in found:
        other = aspect is not None and one.series.aspect is not aspect and one.series.aspect not in RESOURCES
        values[one.series.name] = _weight(one) * (OTHER_ASPECT_WEIGHT if other else 1.0)
    top = max(values.values(), default=0.0)
    if top <= 0.0:
        return ()
    specific = [
        one
        for one in found
        if one.series.aspect in SPECIFIC
        and one.sign > 0
        and one.z >= SIGNIFICANT_Z
        and one.growth >= SPECIFIC_GROWTH_MIN
    ]  # fmt: skip
    if specific:
        first = max(specific, key=lambda one: (values[one.series.name], one.growth))
        for one in found:
            if one.series.aspect is Aspect.CPU:
                values[one.series.name] *= CPU_BEHIND
        values[first.series.name] = top
    made = [Indicator(IndicatorKind.METRIC, name, score * value / top) for name, value in values.items() if value > 0.0]
    return tuple(sorted(made, key=lambda one: (-one.score, tie_key(one.name))))


def _nothing_known(window: IncidentWindow) -> Ranking:
    missing = ["metrics of the candidates before and during the incident"]
    if not window.nodes:
        missing.insert(0, "candidates: no node is known")
    plain = ranked(window, {})
    return Ranking(
        in_order(plain.causes),
        abstains=True,
        why="No candidate has a metric with enough points before the incident and any in it.",
        missing=tuple(missing),
    )
