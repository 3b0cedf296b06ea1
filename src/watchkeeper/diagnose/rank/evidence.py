"""Tells a weighed account of an incident: evidence for and against each cause, what was ruled out, and why.

Enters: an Account. Leaves: a Ranking whose every sentence holds figures that were computed. Weighs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from watchkeeper.diagnose.base import Cause, Indicator, Proof, Ranking
from watchkeeper.diagnose.rank.deviation import Deviation, agreement
from watchkeeper.diagnose.rank.order import in_order, tie_key
from watchkeeper.diagnose.rank.propagation import SIGNIFICANT_Z, Spread
from watchkeeper.diagnose.window import Aspect, IncidentWindow

PROVEN_CAUSES = 5
"""Causes with evidence spelled out; the others are ruled out in a sentence."""
POINTS_MAX = 60
REFUTED_SHARE = 0.25
"""A cause with less than this part of the first one's score is refuted."""
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Account:
    """Everything that a ranking is told from. confidence, floor: 0..1. scores: >= 0, higher = likelier."""

    found: Mapping[str, Sequence[Deviation]]
    best: Mapping[str, Deviation]
    reach: Spread
    scores: Mapping[str, float]
    indicators: Mapping[str, tuple[Indicator, ...]]
    new_callees: Mapping[str, tuple[str, ...]]
    confidence: float
    floor: float
    aspect: Aspect | None


@dataclass
class _Proofs:
    """Gives each proof an id that is its own within the diagnosis."""

    made: int = 0

    def proof(self, text: str, weight: float, node: str, points: tuple[tuple[int, float], ...] = ()) -> Proof:
        self.made += 1
        return Proof(f"metric-{self.made}", text, round(min(1.0, max(0.0, weight)), 4), "metric", node, points=points)


def told(window: IncidentWindow, account: Account) -> Ranking:
    """Give the ranking of an account."""
    nodes = sorted(dict.fromkeys(window.nodes), key=lambda node: (-account.scores.get(node, 0.0), tie_key(node)))
    total = sum(account.scores.get(node, 0.0) for node in nodes)
    top = nodes[0]
    first = account.scores.get(top, 0.0)
    abstains = account.confidence < account.floor
    proofs = _Proofs()
    causes, ruled_out = [], []
    for place, node in enumerate(nodes):
        score = account.scores.get(node, 0.0)
        refuted = score < REFUTED_SHARE * first or score <= 0.0
        spelled = place < PROVEN_CAUSES and score > 0.0
        supported = _for(window, account, node, proofs) if spelled else ()
        against = _against(account, node, top, proofs) if spelled else ()
        share = score / total if total > 0.0 else 0.0
        verdict = "refuted" if refuted else "supported" if place == 0 and not abstains else "possible"
        causes.append(
            Cause(
                node,
                score,
                account.confidence if place == 0 else min(1.0 - account.confidence, share),
                verdict,
                account.indicators.get(node, ()),
                supported,
                against,
                " ".join(each.text for each in supported),
            )
        )
        if place and refuted:
            ruled_out.append((node, _why_not(window, account, node, top)))
    return Ranking(
        in_order(causes),
        abstains=abstains,
        why=_summary(account, top, abstains=abstains),
        missing=_missing(window, account) if abstains else (),
        ruled_out=tuple(ruled_out),
        fault_kind=account.aspect.value if account.aspect else "",
    )


Z_TOLD_MAX = 500.0
_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def short(node: str) -> str:
    """Give a node's name without its kind."""
    return node.partition(":")[2] or node


def number(value: float) -> str:
    """Give a value with three digits."""
    return f"{value:.3g}"


def figure(value: float, unit: str) -> str:
    """Give a value with its UCUM unit as people read it; annotations and the unit 1 are not said.

    >>> figure(0.65, "1"), figure(90_800_000.0, "By"), figure(0.0041, "s"), figure(3.0, "{request}")
    ('0.65', '86.6 MiB', '4.1 ms', '3')
    """
    if unit == "By":
        for name, size in _SIZES:
            if abs(value) >= size:
                return f"{number(value / size)} {name}"
    if unit == "s" and 0.0 < abs(value) < 1.0:
        return f"{number(value * 1e3)} ms"
    return number(value) if unit == "1" or "{" in unit or not unit else f"{number(value)} {unit}"


def change_text(one: Deviation) -> str:
    """Say from what to what a metric changed."""
    verb = "rose" if one.sign > 0 else "fell"
    usual, during = figure(one.usual, one.series.unit), figure(one.during, one.series.unit)
    return f"{one.series.name} of {short(one.node)} {verb} from {usual} to {during}"


def changed(one: Deviation) -> str:
    """Say how a metric changed, in its own unit and in its usual changes."""
    times = f"{one.z:,.1f} times its" if one.z < Z_TOLD_MAX else "far beyond its"
    return f"{change_text(one)}, {times} usual changes"


def _for(window: IncidentWindow, account: Account, node: str, proofs: _Proofs) -> tuple[Proof, ...]:
    one = account.best[node]
    made = []
    if one.z > 0.0:
        made.append(proofs.proof(f"{changed(one)}.", one.z / (one.z + SIGNIFICANT_Z), node, _points(one)))
    parts = account.reach.explained[node]
    felt = parts.get(window.symptom, 0.0)
    if window.symptom in account.best and window.symptom != node and felt > 0.0:
        way = account.reach.path(node, window.symptom)
        through = f" through {', '.join(short(each) for each in way[1:-1])}" if len(way) > 2 else ""
        together = agreement(one, account.best[window.symptom])
        made.append(
            proofs.proof(
                f"{short(window.symptom)}, where the incident is felt, depends on it{through}; their courses agree to "
                f"{together:.0%}, and it would explain {felt:.0%} of that change.",
                felt,
                node,
                _points(account.best[window.symptom]),
            )
        )
    others = [
        each for each, part in parts.items()
        if each not in (node, window.symptom) and part >= 0.5 and account.best[each].z >= SIGNIFICANT_Z
    ]  # fmt: skip
    if others:
        named = ", ".join(short(each) for each in sorted(others, key=tie_key)[:3])
        made.append(proofs.proof(f"It would also explain what {len(others)} more show: {named}.", 0.5, node))
    if node in account.new_callees:
        named = ", ".join(short(each) for each in account.new_callees[node])
        made.append(proofs.proof(f"It began to call {named}, which was never seen before.", 0.5, node))
    more = [
        each for each in account.found.get(node, ())
        if each is not one and each.z >= SIGNIFICANT_Z and each.series.aspect is not one.series.aspect
    ]  # fmt: skip
    more.sort(key=lambda each: (-each.z, tie_key(each.series.name)))
    made.extend(proofs.proof(f"{changed(each)}.", 0.5, node, _points(each)) for each in more[:2])
    return tuple(made)


def _against(account: Account, node: str, top: str, proofs: _Proofs) -> tuple[Proof, ...]:
    one = account.best[node]
    made = []
    callee, part = _explained_by(account, node, top)
    if callee and part >= 0.2:
        made.append(
            proofs.proof(f"It waits for {short(callee)}, whose change would explain {part:.0%} of its own.", part, node)
        )
    if one.z < SIGNIFICANT_Z:
        made.append(proofs.proof(f"Its own change is within what is usual ({one.z:.1f} times).", 0.5, node))
    first = account.best[top]
    late_s = (one.began_unix_ns - first.began_unix_ns) / NS_PER_S
    if node != top and one.began_unix_ns and first.began_unix_ns and late_s > 0.0:
        made.append(proofs.proof(f"Its change began {_span(late_s)} after that of {short(top)}.", 0.3, node))
    if node in account.reach.aliases:
        behind = ", ".join(short(each) for each in account.reach.aliases[node])
        made.append(proofs.proof(f"Only its callers see it, and {behind} changed with it.", 0.5, node))
    return tuple(made)


def _why_not(window: IncidentWindow, account: Account, node: str, top: str) -> str:
    one = account.best.get(node)
    if one is None:
        return "It has no metric with enough points to judge it; this speaks neither for nor against it."
    if one.z < SIGNIFICANT_Z:
        return f"Its {one.series.name} stayed within its usual course ({one.z:.1f} times its usual changes)."
    callee, part = _explained_by(account, node, top)
    if callee and part >= 0.5:
        return f"It waits for {short(callee)}, whose change would explain {part:.0%} of its own."
    felt = account.reach.explained[node].get(window.symptom, 0.0)
    if window.symptom in account.best and felt < 0.5:
        return f"Its change would explain {felt:.0%} of what {short(window.symptom)} shows."
    late_s = (one.began_unix_ns - account.best[top].began_unix_ns) / NS_PER_S
    if one.began_unix_ns and account.best[top].began_unix_ns and late_s > 0.0:
        return f"Its change began {_span(late_s)} after that of {short(top)}."
    return f"Its change is smaller than that of {short(top)}: {one.z:,.1f} times its usual changes."


def _explained_by(account: Account, node: str, top: str) -> tuple[str, float]:
    """Give the callee that explains most of a node's change, on the way to the first cause when that explains half."""
    ahead = account.reach.towards.get((top, node), "")
    if account.reach.fits.get((node, ahead), 0.0) >= 0.5:
        return ahead, account.reach.fits[node, ahead]
    steps = [(part, callee) for (caller, callee), part in account.reach.fits.items() if caller == node]
    if not steps:
        return "", 0.0
    part, callee = max(steps, key=lambda step: (step[0], tie_key(step[1])))
    return callee, part


def _summary(account: Account, top: str, *, abstains: bool) -> str:
    if abstains:
        one = account.best.get(top)
        seen = f" The furthest is {changed(one)}." if one is not None and one.z > 0.0 else ""
        return f"The evidence is too thin to name a cause (confidence {account.confidence:.2f}).{seen}"
    return f"{changed(account.best[top])}. Confidence {account.confidence:.2f}."


def _missing(window: IncidentWindow, account: Account) -> tuple[str, ...]:
    missing = []
    unseen = [node for node in dict.fromkeys(window.nodes) if node not in account.best]
    if unseen:
        named = ", ".join(short(node) for node in sorted(unseen, key=tie_key)[:3])
        missing.append(f"metrics of {len(unseen)} of {len(set(window.nodes))} candidates, such as {named}")
    if not window.topology.edges:
        missing.append("which service calls which")
    if not window.symptom:
        missing.append("where users feel it")
    if not window.events:
        missing.append("logs and traces of the candidates")
    return tuple(missing) or ("a larger change: no metric left its usual course far enough",)


def _points(one: Deviation) -> tuple[tuple[int, float], ...]:
    finite = np.isfinite(one.series.values)
    inside = finite & (one.series.times_unix_ns >= one.profile_times_unix_ns[0])
    inside &= one.series.times_unix_ns <= one.profile_times_unix_ns[-1]
    times, values = one.series.times_unix_ns[inside], one.series.values[inside]
    step = -(-len(times) // POINTS_MAX) if len(times) else 1
    return tuple(zip(times[::step].tolist(), values[::step].tolist(), strict=True))


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
