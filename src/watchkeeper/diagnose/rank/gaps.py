"""Where time was added: in the work of an operation, or in the waiting between a caller and its callee.

Enters: EventCounts of kinds `self` and `wait` (diagnose/trace_events.py), else the window's EdgeGaps. Leaves: Rises,
and rankers by them alone. An operation's own time is its duration without its children's, so that slowness is told
where it is made, not where it is felt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.base import Indicator, IndicatorKind, Ranking
from watchkeeper.diagnose.rank.events import usual_until
from watchkeeper.diagnose.rank.order import ranked
from watchkeeper.diagnose.trace_events import weighted_median
from watchkeeper.diagnose.window import EventCounts, IncidentWindow

CALLS_MIN = 3
"""Fewer calls, before or during, tell no median."""
MATERIAL = 0.1
"""The scale of a duration is never taken to be less than this part of it."""
Z_MIN = 3.0
Z_MAX = 1_000_000.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rise:
    """Durations of one operation, or waits of one caller for it, medians in seconds.

    z: deviations of the usual, 0..Z_MAX, 0 when it did not rise. caller: "" for own time.
    """

    node: str
    subject: str
    caller: str
    before_s: float
    during_s: float
    z: float
    calls: int

    @property
    def added_s(self) -> float:
        """Give the seconds added to each call, >= 0."""
        return max(self.during_s - self.before_s, 0.0)

    @property
    def is_risen(self) -> bool:
        """Tell whether it rose beyond what it usually varies."""
        return self.z >= Z_MIN


def rises(window: IncidentWindow, kind: str) -> list[Rise]:
    """Give every operation of this kind (`self`, `wait` or `span`) that had calls enough before and during."""
    found = [one for events in window.events if events.kind == kind for one in _rises(events, window)]
    if kind == "wait" and not found:
        found = [
            Rise(gap.callee, "", gap.caller, gap.before_s, gap.during_s, _plain(gap.before_s, gap.during_s), calls)
            for gap in window.gaps
            if (calls := gap.calls_during) >= CALLS_MIN and gap.calls_before >= CALLS_MIN
        ]
    return found


def weighed(found: list[Rise]) -> list[tuple[Rise, float]]:
    """Give each rise its weight, 0..1: how far beyond the usual, and how much of the most time added anywhere."""
    most = max((one.added_s for one in found if one.is_risen), default=0.0)
    return [
        (one, float(np.sqrt(one.added_s / most) * np.log1p(one.z) / np.log1p(Z_MAX)) if one.is_risen else 0.0)
        for one in found
    ]


def _plain(before_s: float, during_s: float) -> float:
    if not during_s > before_s:
        return 0.0
    return min(Z_MAX, (during_s - before_s) / (MATERIAL * before_s)) if before_s > 0.0 else Z_MAX


def _rises(events: EventCounts, window: IncidentWindow) -> list[Rise]:
    if events.duration_s is None:
        return []
    before = events.starts_unix_ns < usual_until(events.starts_unix_ns, window)
    during = (events.starts_unix_ns >= window.onset_unix_ns) & (events.starts_unix_ns < window.until_unix_ns)
    known, found = set(window.nodes), []
    enough = (events.counts[:, before].sum(axis=1) >= CALLS_MIN) & (events.counts[:, during].sum(axis=1) >= CALLS_MIN)
    for row in np.flatnonzero(enough).tolist():
        if events.nodes[row] not in known:
            continue
        seconds, calls = events.duration_s[row], events.counts[row]
        usual = weighted_median(seconds[before], calls[before])
        level = weighted_median(seconds[during], calls[during])
        spread = 1.4826 * weighted_median(np.abs(seconds[before] - usual), calls[before])
        scale = max(spread, MATERIAL * usual)
        z = min(Z_MAX, max(level - usual, 0.0) / scale) if scale > 0.0 else Z_MAX * float(level > usual)
        caller = events.callers[row] if events.callers else ""
        found.append(Rise(events.nodes[row], events.subjects[row], caller, usual, level, z, int(calls[during].sum())))
    return found


class _ByRises:
    kind = ""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, by the strongest of its rises; abstains when there is none."""
        scores: dict[str, float] = {}
        indicators: dict[str, list[Indicator]] = {}
        for one, weight in weighed(rises(window, self.kind)):
            if weight > 0.0:
                scores[one.node] = max(scores.get(one.node, 0.0), weight)
                indicators.setdefault(one.node, []).append(Indicator(IndicatorKind.OPERATION, one.subject, weight))
        return ranked(window, scores, indicators)


class TraceLatencyRanker(_ByRises):
    """The simple rule: the node with the operation whose whole duration rose most."""

    kind = "span"


class SelfTimeRanker(_ByRises):
    """The simple rule: the node with the operation whose own time rose most."""

    kind = "self"


class GapRanker(_ByRises):
    """The simple rule: the callee for which callers waited longest beyond its own work."""

    kind = "wait"
