"""Blame along the graph: how well each node's deviation would explain those of all others, from callee to caller.

Enters: the deviation of each node in the aspect that the symptom suffers in, and the topology. Leaves: for each
hypothesis the part of every other deviation that it explains, and the way it took. Reads no metric but those given.

Two rules bear on size and time. A caller's time holds its callees' times, so a relative growth can only be diluted on
its way up: a callee that grew less than its caller explains that part only. And what explains must come and go with
what it explains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watchkeeper.diagnose.rank.deviation import Deviation, agreement
from watchkeeper.diagnose.window import Aspect, IncidentWindow
from watchkeeper.signals.topology import NodeKind

ALIAS_AGREEMENT = 0.7
"""From here on an outside view and a service behind it are held to go up and down together."""
SIGNIFICANT_Z = 3.0
GROWTH_SLACK = 3.0
"""By how much a callee may have grown less than its caller and still explain it wholly: means of both are taken over
other requests too, so that either may be diluted."""
OTHER_ASPECT_SHARE = 0.5
"""Slowness may fail a caller and failures may slow it down, yet like explains like better."""


@dataclass(frozen=True)
class Spread:
    """What each hypothesis explains. `explained[h][n]` in 0..1 is the part of n's deviation that h explains.

    towards[(h, n)]: the next node from n on the way to h. fits: (caller, callee) -> 0..1 for each step. aliases: the
    outside view of a service -> the services that it may be a view of.
    """

    explained: Mapping[str, Mapping[str, float]]
    towards: Mapping[tuple[str, str], str]
    fits: Mapping[tuple[str, str], float]
    aliases: Mapping[str, tuple[str, ...]]

    def path(self, hypothesis: str, node: str) -> list[str]:
        """Give the nodes from `node` down to the hypothesis, both included; () when it does not explain it."""
        way = [node]
        while way[-1] != hypothesis:
            after = self.towards.get((hypothesis, way[-1]))
            if after is None or after in way:
                return []
            way.append(after)
        return way


def spread(window: IncidentWindow, best: Mapping[str, Deviation]) -> Spread:
    """Follow every hypothesis up the graph; cost O(nodes x edges). best: one deviation for each node that has one."""
    aliases = _aliases(window, best)
    below: dict[str, list[str]] = {}
    for node in best:
        callees = [*window.topology.dependencies(node), *aliases.get(node, ())]
        below[node] = [each for each in dict.fromkeys(callees) if each in best and each != node]
    fits = {(node, callee): fit(best[node], best[callee]) for node, callees in below.items() for callee in callees}
    above: dict[str, list[str]] = {}
    for node, callee in fits:
        above.setdefault(callee, []).append(node)
    explained: dict[str, dict[str, float]] = {}
    towards: dict[tuple[str, str], str] = {}
    for hypothesis in best:
        part = {hypothesis: 1.0}
        ahead = [hypothesis]
        while ahead:
            node = max(ahead, key=lambda each: part[each])
            ahead.remove(node)
            for caller in above.get(node, ()):
                new = part[node] * fits[caller, node]
                if new > part.get(caller, 0.0) + 1e-9:
                    part[caller] = new
                    towards[hypothesis, caller] = node
                    if caller not in ahead:
                        ahead.append(caller)
        explained[hypothesis] = part
    return Spread(explained, towards, fits, aliases)


def fit(caller: Deviation, callee: Deviation) -> float:
    """Give the part of the caller's deviation that the callee's explains, 0..1."""
    if callee.z <= 0.0 or caller.z <= 0.0:
        return 0.0
    size = 1.0
    if caller.series.aspect is Aspect.LATENCY and callee.series.aspect is Aspect.LATENCY:
        size = min(1.0, GROWTH_SLACK * callee.growth / caller.growth) if caller.growth > 0.0 else 0.0
    if caller.series.aspect is not callee.series.aspect:
        size = OTHER_ASPECT_SHARE
    real = min(1.0, callee.z / SIGNIFICANT_Z)
    return size * real * agreement(caller, callee)


def _aliases(window: IncidentWindow, best: Mapping[str, Deviation]) -> dict[str, tuple[str, ...]]:
    """Find outside views: a node that only its callers see, while a service that one of them calls does the same."""
    found: dict[str, tuple[str, ...]] = {}
    for node in best:
        known = window.topology.by_id.get(node)
        if known is None or known.kind is not NodeKind.EXTERNAL or window.topology.dependencies(node):
            continue
        siblings = dict.fromkeys(
            each
            for caller in window.topology.dependents(node)
            for each in window.topology.dependencies(caller)
            if each != node and each in best
        )
        seen = tuple(each for each in siblings if _is_behind(window, best, node, each))
        if seen:
            found[node] = seen
    return found


def _is_behind(window: IncidentWindow, best: Mapping[str, Deviation], outside: str, inside: str) -> bool:
    known = window.topology.by_id.get(inside)
    if known is None or known.kind is NodeKind.EXTERNAL:
        return False
    if best[inside].z < SIGNIFICANT_Z or best[outside].z < SIGNIFICANT_Z:
        return False
    return agreement(best[outside], best[inside]) >= ALIAS_AGREEMENT
