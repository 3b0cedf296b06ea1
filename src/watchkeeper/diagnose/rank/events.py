"""Which events lost their usual continuation: the trace event support change of an incident, and a ranker by it alone.

Enters: EventCounts of kind `step` ("A → B" beside "A"), or where there are none, of kind `log`, and the failures among
those of kind `span`. Leaves: lost steps, and nodes by their strongest one. In the manner of Nezha (Yu et al., ESEC/FSE
2023), which compares the support of event pairs with and without the fault; here a support is the share of A that B
follows, so that a change of the traffic's mix alone changes nothing, and a change is held against how the share varied
from one normal stretch to the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
SUCCESS, FAILURE = "success", "failure"
"""What an operation ends in, where spans tell."""
ANY_LINE = "any line"
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
    """Give the continuations that were lost since the onset, highest score first; cost: rows x windows.

    Of equal ones a line that was written comes before a call that was made: it tells the place in the code.
    """
    found = [step for pairs in _pairs(window) for step in _lost(pairs, window)]
    return sorted(found, key=lambda step: (-step.score, step.is_call, step.node, step.name))


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


@dataclass(frozen=True)
class _Pairs:
    """Events and what may follow them: names (N,), counts of the pair, of the first event and of errors (N, W)."""

    names: list[tuple[str, str, str]]
    part: Int64s
    whole: Int64s
    failed: Int64s
    starts_unix_ns: Int64s
    width_s: float


def _pairs(window: IncidentWindow) -> Iterator[_Pairs]:
    known = set(window.nodes)
    has_steps = any(events.kind == "step" for events in window.events)
    for events in window.events:
        if events.kind == "step":
            yield _continuations(events, known)
        elif events.kind == "span" and events.errors.any():
            yield _successes(events, known)
        elif events.kind == "log" and not has_steps:
            yield _templates(events, known)


def _continuations(events: EventCounts, known: Collection[str]) -> _Pairs:
    place = {name: row for row, name in enumerate(zip(events.nodes, events.subjects, strict=True))}
    names, rows, firsts = [], [], []
    for (node, subject), row in place.items():
        first, arrow, follower = subject.rpartition(ARROW)
        if arrow and node in known and (node, first) in place:
            names.append((node, first, follower))
            rows.append(row)
            firsts.append(place[node, first])
    return _chosen(events, names, events.counts[rows], events.counts[firsts], events.errors[rows])


def _successes(events: EventCounts, known: Collection[str]) -> _Pairs:
    rows = [row for row, node in enumerate(events.nodes) if node in known]
    counts, errors = events.counts[rows], events.errors[rows]
    told = [(events.nodes[row], f"{events.subjects[row]} start") for row in rows]
    names = [(*one, SUCCESS) for one in told] + [(*one, FAILURE) for one in told]
    both = np.concatenate([counts - errors, errors])
    return _chosen(events, names, both, np.concatenate([counts, counts]), np.concatenate([0 * errors, errors]))


def _templates(events: EventCounts, known: Collection[str]) -> _Pairs:
    """Without ids of spans, the share of a node's lines that are of a template is the next best support."""
    rows = [row for row, node in enumerate(events.nodes) if node in known]
    total = {node: np.zeros(events.counts.shape[1], np.int64) for node in events.nodes}
    for row in rows:
        total[events.nodes[row]] += events.counts[row]
    names = [(events.nodes[row], ANY_LINE, events.subjects[row]) for row in rows]
    whole = np.array([total[node] for node, _, _ in names], np.int64).reshape(len(rows), events.counts.shape[1])
    return _chosen(events, names, events.counts[rows], whole, events.errors[rows])


def _chosen(
    events: EventCounts, names: list[tuple[str, str, str]], part: Int64s, whole: Int64s, failed: Int64s
) -> _Pairs:
    return _Pairs(names, part, whole, failed, events.starts_unix_ns, events.width_s)


def _lost(pairs: _Pairs, window: IncidentWindow) -> list[LostStep]:
    if not pairs.names:
        return []
    usual_to = usual_until(pairs.starts_unix_ns, window)
    block = blocks(pairs.starts_unix_ns, pairs.width_s, usual_to, window.until_unix_ns - window.onset_unix_ns)
    during = (pairs.starts_unix_ns >= window.onset_unix_ns) & (pairs.starts_unix_ns < window.until_unix_ns)
    part, whole = summed(pairs.part, block), summed(pairs.whole, block)
    now, times = pairs.part[:, during].sum(axis=1), pairs.whole[:, during].sum(axis=1)
    failed = pairs.failed[:, during].sum(axis=1) / np.maximum(now, 1)
    z = fall(part, whole, now.astype(float), times.astype(float))
    n0, before, share = whole.sum(axis=1), usual_share(part, whole), now / np.maximum(times, 1)
    chosen = (n0 >= SUPPORT_MIN) & (times >= SUPPORT_MIN) & (before - share >= DROP_MIN) & (z >= Z_MIN)
    siblings: dict[tuple[str, str], list[int]] = {}
    for number, (node, first, _) in enumerate(pairs.names):
        siblings.setdefault((node, first), []).append(number)
    found = []
    for number in np.flatnonzero(chosen).tolist():
        node, first, expected = pairs.names[number]
        if expected in (END, FAILURE):
            continue
        instead = [
            Instead(pairs.names[other][2], float(before[other]), float(share[other]), float(failed[other]))
            for other in siblings[node, first]
            if share[other] > before[other]
        ]
        instead.sort(key=lambda one: (one.before - one.during, one.event))
        found.append(
            LostStep(
                node,
                first,
                expected,
                float(before[number]),
                float(share[number]),
                int(n0[number]),
                int(times[number]),
                float(z[number]),
                is_call=expected.endswith(" start"),
                instead=tuple(instead),
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
