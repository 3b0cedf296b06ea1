"""Which events lost their usual continuation: the trace event support change of an incident, and a ranker by it alone.

Enters: EventCounts of kind `step` ("A → B" beside "A"), or where there are none, of kind `log`. Leaves: lost steps, and
nodes by their strongest one. In the manner of Nezha (Yu et al., ESEC/FSE 2023), which compares the support of event
pairs with and without the fault; here a support is the share of A that B follows, so that a change of the traffic's mix
alone changes nothing, and a change is held against how the share varied from one normal stretch to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.base import Indicator, IndicatorKind, Ranking
from watchkeeper.diagnose.rank.order import ranked
from watchkeeper.diagnose.trace_events import ARROW, END
from watchkeeper.diagnose.window import EventCounts, IncidentWindow

SUPPORT_MIN = 3
"""Fewer happenings of A, before or during, tell no share."""
DROP_MIN = 0.1
"""A share that fell by less is not lost."""
MARGIN_PART = 3
Z_MIN = 2.5
"""Deviations below are within what chance does among some hundred steps."""
CHI_SQUARE_MEDIAN = 0.4549
"""Of one degree of freedom."""

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Instead:
    """What came in the place of a lost continuation: its share of A before and during, and the share of it in error."""

    event: str
    before: float
    during: float
    failed: float


@dataclass(frozen=True)
class LostStep:
    """A continuation that became rarer. share_before, share_during: of `times_before` and `times_during` of `first`.

    z: deviations of its usual variation, > 0, higher = less by chance. instead: what gained, most first.
    """

    node: str
    first: str
    expected: str
    share_before: float
    share_during: float
    times_before: int
    times_during: int
    z: float
    is_call: bool
    instead: tuple[Instead, ...] = ()

    @property
    def drop(self) -> float:
        """Give by how much the share fell, 0..1."""
        return self.share_before - self.share_during

    @property
    def score(self) -> float:
        """Give how strongly it points to its node, >= 0: certainty weighed by how much was lost."""
        return float(np.log1p(self.z) * self.drop)

    @property
    def name(self) -> str:
        """Give the region: the event before and the event that was expected."""
        return f"{self.first}{ARROW}{self.expected}"


def lost_steps(window: IncidentWindow) -> list[LostStep]:
    """Give the continuations that were lost since the onset, highest score first; cost: rows x windows."""
    found: list[LostStep] = []
    for events in window.events:
        if events.kind == "step":
            found += _lost(events, window)
    return sorted(found, key=lambda step: (-step.score, step.node, step.name))


def usual_until(starts_unix_ns: Int64s, window: IncidentWindow) -> int:
    """Give the time before which windows tell what is usual.

    An onset is often told late, so what lies right before it, a third of the incident's length, tells neither; but
    where nothing else was recorded, it does.
    """
    length = window.until_unix_ns - window.onset_unix_ns
    early = window.onset_unix_ns - length // MARGIN_PART
    return early if (starts_unix_ns < early).any() else window.onset_unix_ns


def blocks(starts_unix_ns: Int64s, width_s: float, onset_unix_ns: int, length_ns: int) -> Int64s:
    """Give the block of each window before the onset, (W,), -1 from the onset on.

    A block is as long as the incident at most and has no gap in it: what varies from one to the next is what may vary
    from before to during by itself.
    """
    found = np.full(len(starts_unix_ns), -1, np.int64)
    number, begun = -1, 0
    for place, start in enumerate(starts_unix_ns.tolist()):
        if start >= onset_unix_ns:
            break
        gap = place == 0 or start - int(starts_unix_ns[place - 1]) > 1.5e9 * width_s
        if gap or start - begun >= length_ns:
            number, begun = number + 1, start
        found[place] = number
    return found


def summed(counts: Int64s, block: Int64s) -> Floats:
    """Sum the windows of each block: (N, W) and (W,) to (N, B)."""
    total = np.zeros((len(counts), int(block.max(initial=-1)) + 1))
    for number in range(total.shape[1]):
        total[:, number] = counts[:, block == number].sum(axis=1)
    return total


def usual_share(part: Floats, whole: Floats) -> Floats:
    """Give the usual share, (N,): the median over blocks, each weighed by how often it could have happened.

    part, whole: (N, B). A block in which the fault had begun already, or an earlier one was not over, does not move it.
    """
    return _middle(part / np.maximum(whole, 1.0), whole)


def _middle(values: Floats, weights: Floats) -> Floats:
    """Give the weighted median of each row, (N,), 0 where nothing weighs."""
    order = np.argsort(np.where(weights > 0, values, np.inf), axis=1, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    if not reached.shape[1]:
        return np.zeros(len(values))
    middle = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
    rows = np.arange(len(values))
    return np.where(reached[:, -1] > 0, values[rows, order[rows, middle]], 0.0)


def fall(part: Floats, whole: Floats, part_during: Floats, whole_during: Floats) -> Floats:
    """Give the deviations by which shares fell, (N,), 0 where they did not.

    part, whole: (N, B) counts in the blocks before; part_during, whole_during: (N,). The likelihood ratio of the two
    binomial shares divided by the overdispersion of the blocks (quasi-likelihood, Wedderburn 1974), as a deviation.
    Both the usual share and the overdispersion are medians over blocks.
    """
    total = whole.sum(axis=1)
    usual = (usual_share(part, whole) * total + 0.5) / (total + 1.0)
    n0, w0, n1, w1 = usual * (total + 1.0), total + 1.0, part_during + 0.5, whole_during + 1.0
    during, pooled = n1 / w1, (n0 + n1) / (w0 + w1)
    ratio = _deviance(n0, w0, usual, pooled) + _deviance(n1, w1, during, pooled)
    expected = usual[:, None] * whole
    chi = (part - expected) ** 2 / np.maximum(expected * (1.0 - usual[:, None]), 1e-9)
    dispersion = np.maximum(1.0, _middle(chi, whole) / CHI_SQUARE_MEDIAN)
    return np.where(during < usual, np.sqrt(np.maximum(ratio, 0.0) / dispersion), 0.0)


def _deviance(part: Floats, whole: Floats, share: Floats, pooled: Floats) -> Floats:
    rest, tiny = whole - part, 1e-12
    hit = part * np.log(np.maximum(share, tiny) / np.maximum(pooled, tiny))
    miss = rest * np.log(np.maximum(1.0 - share, tiny) / np.maximum(1.0 - pooled, tiny))
    return np.asarray(2.0 * (hit + np.where(rest > 0, miss, 0.0)))


def _lost(events: EventCounts, window: IncidentWindow) -> list[LostStep]:
    usual_to = usual_until(events.starts_unix_ns, window)
    block = blocks(events.starts_unix_ns, events.width_s, usual_to, window.until_unix_ns - window.onset_unix_ns)
    during = (events.starts_unix_ns >= window.onset_unix_ns) & (events.starts_unix_ns < window.until_unix_ns)
    place = {name: row for row, name in enumerate(zip(events.nodes, events.subjects, strict=True))}
    known = set(window.nodes)
    rows, firsts = [], []
    for (node, subject), row in place.items():
        first, arrow, follower = subject.rpartition(ARROW)
        if arrow and node in known and (node, first) in place:
            rows.append(row)
            firsts.append(place[node, first])
    if not rows:
        return []
    before = summed(events.counts, block)
    now, failed = events.counts[:, during].sum(axis=1), events.errors[:, during].sum(axis=1)
    part, whole = before[rows], before[firsts]
    z = fall(part, whole, now[rows].astype(float), now[firsts].astype(float))
    n0, n1 = whole.sum(axis=1), now[firsts]
    shares = usual_share(part, whole), now[rows] / np.maximum(n1, 1)
    chosen = (n0 >= SUPPORT_MIN) & (n1 >= SUPPORT_MIN) & (shares[0] - shares[1] >= DROP_MIN) & (z >= Z_MIN)
    siblings: dict[int, list[int]] = {}
    for number, first in enumerate(firsts):
        siblings.setdefault(first, []).append(number)
    found = []
    for number in np.flatnonzero(chosen).tolist():
        node, (first, _, expected) = events.nodes[rows[number]], events.subjects[rows[number]].rpartition(ARROW)
        if expected == END:
            continue
        gained = [
            Instead(
                events.subjects[rows[other]].rpartition(ARROW)[2],
                float(shares[0][other]),
                float(shares[1][other]),
                float(failed[rows[other]] / max(now[rows[other]], 1)),
            )
            for other in siblings[firsts[number]]
            if shares[1][other] > shares[0][other]
        ]
        gained.sort(key=lambda one: (one.before - one.during, one.event))
        found.append(
            LostStep(
                node,
                first,
                expected,
                float(shares[0][number]),
                float(shares[1][number]),
                int(n0[number]),
                int(n1[number]),
                float(z[number]),
                is_call=expected.endswith(" start"),
                instead=tuple(gained),
            )
        )
    return found


class EventSupportRanker:
    """The simple rule: the node whose events lost the most of their usual continuations."""

    def rank(self, window: IncidentWindow) -> Ranking:
        """Give every node once, by its strongest lost step; abstains when there is none."""
        scores: dict[str, float] = {}
        indicators: dict[str, list[Indicator]] = {}
        for step in lost_steps(window):
            scores[step.node] = max(scores.get(step.node, 0.0), step.score)
            kind = IndicatorKind.OPERATION if step.is_call else IndicatorKind.LOG_TEMPLATE
            indicators.setdefault(step.node, []).append(Indicator(kind, step.name, step.score))
        return ranked(window, scores, indicators)
