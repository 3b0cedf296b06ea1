"""Changes as causes: what was deployed, configured, scaled or switched shortly before an incident is blamed the sooner.

Enters: a Ranking and the changes in its window. Leaves: the Ranking with a change near the onset told as evidence, and
the odds of its node raised. Most outages follow a change (some 70 %: "Site Reliability Engineering", O'Reilly 2016,
chapter 1), yet most changes cause none: a node without any evidence of its own is not blamed for a change alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from watchkeeper.diagnose.base import Cause, Indicator, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.rank.calibration import FLOOR
from watchkeeper.diagnose.rank.order import in_order
from watchkeeper.diagnose.window import Change, IncidentWindow

ODDS = 4.0
"""By how much a change near the onset raises the odds of its node."""
NEAR_S = 1_800.0
AFTER_S = 30.0
"""A change may be told, or an onset be found, a little late."""
SUPPORTED_MIN = 0.5


def weighed_by_changes(window: IncidentWindow, ranking: Ranking) -> Ranking:
    """Give the ranking in sight of changes; without one near the onset it is the same."""
    near = _near(window)
    if not any(cause.node in near and cause.score > 0.0 for cause in ranking.causes):
        return ranking
    causes = in_order([_weighed(cause, near, window.onset_unix_ns) for cause in ranking.causes])
    first = causes[0]
    speaks = not ranking.abstains or (first.node in near and first.confidence >= FLOOR)
    return replace(
        ranking,
        causes=causes,
        abstains=not speaks,
        why=first.why if speaks and first.node in near else ranking.why,
        missing=() if speaks else ranking.missing,
        ruled_out=tuple((node, why) for node, why in ranking.ruled_out if node != first.node),
    )


def _near(window: IncidentWindow) -> dict[str, Change]:
    """Give the latest change of each node from half an hour before the onset to a little after it."""
    found: dict[str, Change] = {}
    for change in sorted(window.changes, key=lambda each: (each.time_unix_ns, each.id)):
        before_s = (window.onset_unix_ns - change.time_unix_ns) / 1e9
        if change.node and -AFTER_S <= before_s <= NEAR_S:
            found[change.node] = change
    return found


def _weighed(cause: Cause, near: Mapping[str, Change], onset_unix_ns: int) -> Cause:
    change = near.get(cause.node)
    if change is None or cause.score <= 0.0:
        return cause
    before_s = (onset_unix_ns - change.time_unix_ns) / 1e9
    when = f"{before_s:.0f} s before" if before_s >= 1.0 else "as"
    text = f"{change.title} ({change.kind}) {when} it began"
    proof = Proof(f"change.{change.id}", text, 1.0 - 1.0 / ODDS, "change", cause.node)
    odds = ODDS * cause.confidence / max(1e-9, 1.0 - cause.confidence)
    confidence = odds / (1.0 + odds)
    return replace(
        cause,
        score=cause.score * ODDS,
        confidence=confidence,
        verdict="supported" if confidence >= SUPPORTED_MIN else cause.verdict,
        indicators=(Indicator(IndicatorKind.CHANGE, change.title, cause.score * ODDS), *cause.indicators),
        evidence_for=(proof, *cause.evidence_for),
        why=f"{text}. {cause.why}".strip(),
    )
