"""Watchkeeper's ranker over metrics, logs and traces: the likely kind of fault decides which evidence counts how much.

Enters: an IncidentWindow. Leaves: a Ranking with proofs for and against each cause, what was ruled out and why, and the
indicator within each node. Predicts the family of the fault (category/kinds.py), weighs each family's blame by its
probability. Abstains when no family's evidence is above what quiet windows show, or confidence is below the floor.
Works with any part missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.category.kinds import FAMILIES, FaultKinds, shipped
from watchkeeper.diagnose.rank.calibration import FLOOR, fit_curve
from watchkeeper.diagnose.rank.deviation import Deviation
from watchkeeper.diagnose.rank.events import LostStep
from watchkeeper.diagnose.rank.evidence import change_text
from watchkeeper.diagnose.rank.families import Evidence, evidence, shift_strength
from watchkeeper.diagnose.rank.gaps import Rise
from watchkeeper.diagnose.rank.order import in_order, tie_key
from watchkeeper.diagnose.trace_events import ARROW
from watchkeeper.diagnose.window import IncidentWindow

PROOFS_MAX = 4
INDICATORS_MAX = 5
RULED_OUT_MAX = 10
SUPPORTED_MIN = 0.5
"""Confidence from which a cause is told as supported."""
REFUTED_MAX = 0.2
"""A cause with less than this part of the first one's score is told as refuted."""
TEXT_MAX = 160


class RoutedRanker:
    """Blame along the graph, event support, waits and resources, routed by the predicted kind of fault.

    kinds: the router, by default the one that comes with the program. Cost: some 0.3 s for 50 services.
    """

    def __init__(self, kinds: FaultKinds | None = None) -> None:
        self.kinds = kinds or shipped()

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, likeliest first; names and units of metrics, and the order of rows, do not matter."""
        return self.rank_evidence(window, evidence(window))

    def rank_evidence(self, window: IncidentWindow, found: Evidence) -> Ranking:
        """Rank by evidence that was gathered already."""
        families = self.kinds.families(found)
        kinds = self.kinds.kinds(found)
        kind = max(kinds, key=lambda one: (kinds[one], one))
        scores = _scores(found, families)
        nodes = list(dict.fromkeys(window.nodes))
        ordered = sorted(nodes, key=lambda node: (-scores.get(node, 0.0), tie_key(node)))
        sure = _sure(self.kinds, found, scores)
        told = {node: _cause(node, found, families, scores, ordered, sure) for node in nodes}
        causes = in_order([told[node] for node in nodes])
        speaks = self.kinds.speaks(found) and bool(scores) and sure >= FLOOR
        return Ranking(
            causes,
            abstains=not speaks,
            why=_why(kind, kinds[kind]) if speaks else _silent(self.kinds, found, sure),
            missing=() if speaks else _missing(window),
            ruled_out=_ruled_out(found, causes),
            fault_kind=kind if speaks else "",
        )


def calibrated(kinds: FaultKinds, examples: Sequence[tuple[Evidence, Sequence[str]]]) -> FaultKinds:
    """Give the router with the curve of confidence fitted on incidents and their true nodes, () where was no fault."""
    given, right = [], []
    for found, truth in examples:
        scores = _scores(found, kinds.families(found))
        best = max(scores, key=lambda node: (scores[node], tie_key(node)), default="")
        given.append(_certainty(kinds, found, scores))
        right.append(float(best in truth))
    return replace(kinds, curve=fit_curve(np.array(given), np.array(right)))


def _certainty(kinds: FaultKinds, found: Evidence, scores: dict[str, float]) -> tuple[float, float]:
    first, second, *_ = [*sorted(scores.values(), reverse=True), 0.0, 0.0]
    return float(np.log1p(kinds.strength(found))), (first - second) / first if first > 0.0 else 0.0


def _sure(kinds: FaultKinds, found: Evidence, scores: dict[str, float]) -> float:
    strength, margin = _certainty(kinds, found, scores)
    curve = kinds.curve
    return float(1.0 / (1.0 + np.exp(-(curve.intercept + curve.strength * strength + curve.margin * margin))))


def _scores(found: Evidence, families: dict[str, float]) -> dict[str, float]:
    """Give each node its blame in each family, in proportion to the most blamed there, weighed by the family."""
    scores: dict[str, float] = {}
    for family, blame in zip(FAMILIES, (found.code, found.wait, found.resource), strict=True):
        most = max(blame.values(), default=0.0)
        for node, value in blame.items():
            scores[node] = scores.get(node, 0.0) + families[family] * value / most
    return scores


def _cause(
    node: str,
    found: Evidence,
    families: dict[str, float],
    scores: dict[str, float],
    ordered: Sequence[str],
    sure: float,
) -> Cause:
    score = scores.get(node, 0.0)
    first = ordered[0]
    if node != first:
        # What the first one leaves is shared among the others by their scores.
        rest = sum(scores.values()) - scores.get(first, 0.0)
        sure = min(sure * score / scores[first], (1.0 - sure) * score / rest) if rest > 0.0 else 0.0
    evidence_for = _proofs(node, found, families)
    verdict = "supported" if node == first and sure >= SUPPORTED_MIN else "possible"
    if score < REFUTED_MAX * scores.get(first, 0.0):
        verdict = "refuted"
    return Cause(
        node,
        float(score),
        float(sure),
        verdict,
        _indicators(node, found, families),
        evidence_for,
        _against(node, found, families, first),
        evidence_for[0].text if evidence_for else "Nothing speaks for it.",
    )


def _indicators(node: str, found: Evidence, families: dict[str, float]) -> tuple[Indicator, ...]:
    named: list[Indicator] = []
    for step in found.steps.get(node, [])[:INDICATORS_MAX]:
        kind = IndicatorKind.OPERATION if step.is_call else IndicatorKind.LOG_TEMPLATE
        named.append(Indicator(kind, step.name, families["code"] * step.score))
    waits = found.waits.get(node, [])
    strongest = float(np.log1p(max((one.z for one in waits), default=0.0)))
    if waits:
        named.append(Indicator(IndicatorKind.METRIC, "network latency", families["wait"] * strongest))
    for one in waits[:2]:
        edge = f"{one.caller} {ARROW.strip()} {one.node} {one.subject}".strip()
        named.append(Indicator(IndicatorKind.OPERATION, edge, 0.5 * families["wait"] * float(np.log1p(one.z))))
    named.extend(
        Indicator(IndicatorKind.METRIC, shift.series.name, 2 * families["resource"] * shift_strength(shift))
        for shift in found.shifts.get(node, [])[:2]
    )
    slow = max(families["resource"], families["wait"]) / 4
    named.extend(
        Indicator(IndicatorKind.OPERATION, work.subject, slow * float(np.log1p(work.z)))
        for work in found.works.get(node, [])[:2]
    )
    return tuple(sorted(named, key=lambda one: (-one.score, tie_key(one.name)))[:INDICATORS_MAX])


def _proofs(node: str, found: Evidence, families: dict[str, float]) -> tuple[Proof, ...]:
    told = [("logs", families["code"], _step_text(step)) for step in found.steps.get(node, [])[:2]]
    told += [("spans", families["wait"], _wait_text(one)) for one in found.waits.get(node, [])[:2]]
    told += [("metrics", families["resource"], _shift_text(one)) for one in found.shifts.get(node, [])[:1]]
    slow = 0.5 * max(families["resource"], families["wait"])
    told += [("spans", slow, _work_text(one)) for one in found.works.get(node, [])[:1] if not one.caller]
    told.sort(key=lambda one: -one[1])
    return tuple(
        Proof(f"{node}#{place}", text, float(weight), signal, node)
        for place, (signal, weight, text) in enumerate(told[:PROOFS_MAX], 1)
    )


def _step_text(step: LostStep) -> str:
    instead = f"; instead comes {_short(step.instead[0].event)!r}" if step.instead else ""
    return (
        f"After {_short(step.first)!r}, {_short(step.expected)!r} followed in {step.share_before:.0%} of the cases "
        f"before and in {step.share_during:.0%} of {step.times_during} now{instead}."
    )


def _wait_text(one: Rise) -> str:
    return (
        f"Calls of {one.caller} to {one.node} wait {one.during_s * 1e3:.1f} ms beyond the callee's own work, "
        f"before {one.before_s * 1e3:.1f} ms."
    )


def _shift_text(shift: Deviation) -> str:
    return f"{change_text(shift)}."


def _work_text(work: Rise) -> str:
    return (
        f"The own work of {_short(work.subject)!r} takes {work.during_s * 1e3:.1f} ms, "
        f"before {work.before_s * 1e3:.1f} ms."
    )


def _against(node: str, found: Evidence, families: dict[str, float], first: str) -> tuple[Proof, ...]:
    proofs = []
    callee = found.explained_by.get(node)
    if callee:
        text = f"{callee}, on which it depends, lost continuations as well, and a break goes on to the callers."
        proofs.append(Proof(f"{node}#explained", text, families["code"], "logs", node))
    for family, blame in zip(FAMILIES, (found.code, found.wait, found.resource), strict=True):
        if families[family] >= SUPPORTED_MIN and node not in blame and node != first:
            proofs.append(Proof(f"{node}#no-{family}", _NOTHING[family], families[family], "", node))
    return tuple(proofs)


_NOTHING = {
    "code": "Its events are followed by what usually follows them.",
    "wait": "Nobody waits for it longer than usual, nor does it wait for others.",
    "resource": "Its resources are used as usual.",
}


def _ruled_out(found: Evidence, causes: Sequence[Cause]) -> tuple[tuple[str, str], ...]:
    ruled: list[tuple[str, str]] = []
    for cause in causes[1:]:
        if cause.verdict == "refuted" and cause.evidence_for and len(ruled) < RULED_OUT_MAX:
            by = found.explained_by.get(cause.node)
            reason = (
                f"its lost continuations are explained by {by}"
                if by
                else f"its evidence is {cause.score / causes[0].score:.0%} of that of {causes[0].node}"
            )
            ruled.append((cause.node, reason))
    return tuple(ruled)


def _missing(window: IncidentWindow) -> tuple[str, ...]:
    kinds = {events.kind for events in window.events}
    lacking = [
        ("traces with logs that carry their span id", "step" in kinds),
        ("spans of callers and callees", bool({"wait"} & kinds or window.gaps)),
        ("metrics of resources by service", bool(window.series)),
    ]
    return tuple(what for what, there in lacking if not there)


def _why(kind: str, probability: float) -> str:
    shown = {
        "return": "code that takes another branch than usual",
        "exception": "code that breaks off",
        "delay": "a delay between services",
    }
    return f"The evidence is that of {shown.get(kind, f'a shortage of {kind}')} (probability {probability:.0%})."


def _silent(kinds: FaultKinds, found: Evidence, sure: float) -> str:
    if not kinds.speaks(found):
        return "No evidence is above what windows without a fault show."
    return f"The likeliest cause has a confidence of {sure:.0%}; below {FLOOR:.0%} it is more likely wrong than right."


def _short(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"
