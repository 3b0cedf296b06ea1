"""Incidents against labelled events: precision, recall, F1, false incidents a machine-day, delay.

Enters: a score and labels by step. Leaves: figures by event, so that a long event counts as much as a short one. The
point-adjusted F1 is here as well, only to be shown beside what a random score gets: it credits a whole range for one
lucky step (Kim et al., "Towards a Rigorous Evaluation of Time-series Anomaly Detection", AAAI 2022).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.scores.bootstrap import Interval
from watchkeeper.bench.scores.vus import Floats, Ints, ranges

DAY_S = 86_400.0
_THRESHOLDS = 400
DRAWS = 2_000
"""Bootstrap samples of an interval."""
EARLY_S = 600.0


class Incidents(NamedTuple):
    """First and last step (inclusive) of each incident, in order."""

    begins: Ints
    ends: Ints


class EventCounts(NamedTuple):
    """What one machine's incidents met: counts can be added up over machines."""

    events: int
    found: int
    incidents: int
    right: int
    days: float
    delays_steps: tuple[int, ...]


class EventScore(NamedTuple):
    """Event figures: precision, recall, F1 in 0..1, higher is better; the others, lower is better."""

    precision: float
    recall: float
    f1: float
    false_per_day: float
    median_delay_s: float


def incidents(score: npt.ArrayLike, threshold: float, *, close_share: float = 0.5, gap_steps: int = 0) -> Incidents:
    """Give the incidents of a score (T,): opened at or over `threshold`, closed under `close_share` x threshold.

    An incident that opens within `gap_steps` of the last one's end continues it. Causal: what is later changes neither
    when an incident opens nor whether it is the same as the last. Cost: a few passes over T.
    """
    scores = np.asarray(score, np.float64)
    begins, ends = ranges(scores >= threshold * close_share)
    above = np.flatnonzero(scores >= threshold)
    opened = np.append(above, len(scores))[np.searchsorted(above, begins)]  # the first step above from each begin on
    kept = opened <= ends
    begins, ends = opened[kept], ends[kept]
    if not len(begins):
        return Incidents(begins, ends)
    apart = np.flatnonzero(begins[1:] - ends[:-1] - 1 > gap_steps)
    return Incidents(begins[np.r_[0, apart + 1]], ends[np.r_[apart, len(ends) - 1]])


def count_events(found: Incidents, label: npt.ArrayLike, step_s: float) -> EventCounts:
    """Count incidents that open in an event, or at most EARLY_S before it, and the events in which one opens.

    An incident that was open long before tells nothing new: one that never closes must not find every event. The delay
    runs from the event's first step.
    """
    firsts, lasts = ranges(label)
    early = firsts - round(EARLY_S / step_s)
    meets = (found.begins[:, None] <= lasts) & (found.begins[:, None] >= early)  # (incidents, events)
    delays = [
        max(0, int(found.begins[meets[:, event]][0] - firsts[event])) for event in np.flatnonzero(meets.any(axis=0))
    ]
    steps = len(np.asarray(label))
    met, right = int(meets.any(axis=0).sum()), int(meets.any(axis=1).sum())
    return EventCounts(len(firsts), met, len(found.begins), right, steps * step_s / DAY_S, tuple(delays))


def event_score(counts: list[EventCounts], step_s: float) -> EventScore:
    """Give the figures over all machines together; what has no case is 0, a delay without any event found infinite."""
    events, found = sum(each.events for each in counts), sum(each.found for each in counts)
    told, right = sum(each.incidents for each in counts), sum(each.right for each in counts)
    precision, recall = right / max(told, 1), found / max(events, 1)
    delays = [delay for each in counts for delay in each.delays_steps]
    return EventScore(
        precision,
        recall,
        2 * precision * recall / max(precision + recall, 1e-12),
        (told - right) / max(sum(each.days for each in counts), 1e-12),
        float(np.median(delays)) * step_s if delays else float("inf"),
    )


def event_intervals(
    counts: list[EventCounts], step_s: float, *, coverage: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Give each figure of `event_score` by name with its percentile bootstrap interval, machines drawn whole.

    {} for fewer than two machines. A delay's upper end is infinite where too many draws find no event. Cost: DRAWS x
    machines.
    """
    if len(counts) < 2:
        return {}
    random = np.random.default_rng(seed)
    drawn = [
        event_score([counts[at] for at in random.integers(0, len(counts), len(counts))], step_s) for _ in range(DRAWS)
    ]
    ends = ((1 - coverage) / 2, (1 + coverage) / 2)
    lows, highs = np.quantile(np.array(drawn), ends, axis=0, method="nearest")
    whole = event_score(counts, step_s)
    return {
        name: Interval(value, float(low), float(high))
        for name, value, low, high in zip(EventScore._fields, whole, lows, highs, strict=True)
    }


def threshold_for_budget(
    normal: npt.ArrayLike, step_s: float, per_day: float, *, close_share: float = 0.5, gap_steps: int = 0
) -> float:
    """Give the lowest of a grid of thresholds that opens at most `per_day` incidents a day on normal scores (T,)."""
    scores: Floats = np.asarray(normal, np.float64)
    allowed = per_day * len(scores) * step_s / DAY_S
    grid = np.unique(np.quantile(scores, 1 - np.geomspace(1 / len(scores), 1.0, _THRESHOLDS)))
    best = float(np.nextafter(scores.max(), np.inf))
    for threshold in grid[::-1].tolist():
        if len(incidents(scores, threshold, close_share=close_share, gap_steps=gap_steps).begins) > allowed:
            break
        best = threshold
    return best


def point_adjusted_f1(score: npt.ArrayLike, label: npt.ArrayLike) -> float:
    """Give the best point-adjusted F1 over all thresholds, 0 to 1: a range counts whole once one of its steps is over.

    Not a result: a random score gets about as much as a good one. Show it only beside that of a random score.
    """
    scores, flags = np.asarray(score, np.float64), np.asarray(label) > 0
    firsts, lasts = ranges(flags)
    peaks = np.array([scores[a : b + 1].max() for a, b in zip(firsts, lasts, strict=True)])
    order = np.argsort(-peaks, kind="stable")
    hits = np.cumsum((lasts - firsts + 1)[order])
    normal = np.sort(scores[~flags])
    false = len(normal) - np.searchsorted(normal, peaks[order], side="left")
    return float(np.max(2 * hits / (hits + false + flags.sum())))
