"""Judges one sample of one thing by its past windows: latency, failures, the gap of an edge.

Enters: a Sample, its past. Leaves: suspicions, each with how sure it is; watch.py asks for a run of them, whose scores
reach RUN_SCORE_MIN together, unless one is massive. A latency is judged by how the same figure varied from window to
window, and must be slower by a factor too. Pure functions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.bands import Bands, upper_scores
from watchkeeper.detect.traces.history import FAILURES, HIGH, MIDDLE, PART, TRIALS, Figures, Histories
from watchkeeper.detect.traces.judgement import Kind
from watchkeeper.detect.traces.samples import Sample
from watchkeeper.detect.traces.shares import share_score

LATENCY_SCORE_MIN, LATENCY_SCORE_MASSIVE = 3.0, 6.0
RUN_SCORE_MIN = 8.0
LATENCY_RATIO_MIN, LATENCY_RATIO_MASSIVE = 1.5, 4.0
LATENCY_SPANS_MIN, LATENCY_SPANS_MASSIVE = 3, 8
GAP_RATIO_MIN, GAP_SHARE_MIN = 2.0, 0.25
FAILURES_SCORE_WEAK = 1.5
FAILURES_SCORE_MIN, FAILURES_SCORE_MASSIVE = 4.0, 6.0
FAILURES_MIN, FAILURES_RATIO_MIN = 3, 2.0
WINDOWS_LEARNED_MIN = 3

Floats = npt.NDArray[np.float64]


class Suspicion(NamedTuple):
    """One figure out of its band. column: of the history.

    massive: needs no second window. weak: is not told by itself, but neither learned before the next window.
    """

    kind: Kind
    measure: str
    column: int
    score: float
    massive: bool
    seen: float
    usual: float
    high: float
    unit: str
    weak: bool = False


def suspicions(sample: Sample, figures: Figures, past: Histories, row: int, *, edge: bool) -> list[Suspicion]:
    """Judge a sample; gives what is out of its band, at most one for each kind."""
    if past.length(row) < WINDOWS_LEARNED_MIN:
        return []
    bands = past.bands(row)
    scores = upper_scores(np.array([figures[MIDDLE:]]), bands)[0]
    found = [_slow(sample, figures, bands, scores), failures(figures.trials, figures.failures, past, row)]
    if edge:
        found.append(_gap(figures, bands, float(scores[PART - MIDDLE])))
    return [one for one in found if one is not None]


def _slow(sample: Sample, figures: Figures, bands: Bands, scores: Floats) -> Suspicion | None:
    found: list[Suspicion] = []
    for column, measure in ((MIDDLE, "median"), (HIGH, "slowest tenth")):
        place, score = column - MIDDLE, float(scores[column - MIDDLE])
        ratio = math.exp(min(50.0, figures[column] - bands.middle[place]))
        if score < LATENCY_SCORE_MIN:
            continue
        many = np.count_nonzero(np.log(sample.seconds) > bands.start[place]) >= LATENCY_SPANS_MIN
        weak = ratio < LATENCY_RATIO_MIN or not many
        massive = score >= LATENCY_SCORE_MASSIVE and ratio >= LATENCY_RATIO_MASSIVE
        massive &= len(sample.seconds) >= LATENCY_SPANS_MASSIVE
        usual, high = math.exp(bands.middle[place]), math.exp(bands.start[place])
        seen = math.exp(figures[column])
        found.append(Suspicion(Kind.LATENCY, measure, column, score, massive, seen, usual, high, "s", weak))
    return max(found, key=lambda one: (one.massive, not one.weak, one.score), default=None)


def _gap(figures: Figures, bands: Bands, score: float) -> Suspicion | None:
    place = PART - MIDDLE
    if math.isnan(figures.part) or score < LATENCY_SCORE_MIN:
        return None
    seen, usual = math.exp(figures.part), math.exp(bands.middle[place])
    whole = math.exp(bands.middle[MIDDLE - MIDDLE])
    if seen < GAP_RATIO_MIN * usual or seen - usual < GAP_SHARE_MIN * whole:
        return None
    massive = score >= LATENCY_SCORE_MASSIVE and seen >= LATENCY_RATIO_MASSIVE * usual
    massive &= figures.trials >= LATENCY_SPANS_MASSIVE
    high = math.exp(bands.start[place])
    return Suspicion(Kind.GAP, "gap", PART, score, massive, seen, usual, high, "s")


def failures(trials: int, failed: int, past: Histories, row: int, kind: Kind = Kind.ERRORS) -> Suspicion | None:
    """Judge how many of some trials failed."""
    if not failed:
        return None
    share, size = past.share(row)
    score = share_score(failed, trials, share, size)
    if score < FAILURES_SCORE_WEAK or failed < FAILURES_RATIO_MIN * share * trials:
        return None
    high = min(1.0, share + 3 * math.sqrt(share * (1 - share) * (1 / trials + 1 / size)))
    massive = score >= FAILURES_SCORE_MASSIVE and failed >= FAILURES_MIN
    weak = score < FAILURES_SCORE_MIN or failed < FAILURES_MIN
    return Suspicion(kind, "share", FAILURES, score, massive, failed / trials, share, high, "1", weak)


def points(past: Histories, row: int, column: int, now: Figures, window: int, width_ns: int) -> list[tuple[int, float]]:
    """Give window starts and values of a column, past and now, to draw: seconds, or the share of failures."""
    windows, figures = past.past(row)
    windows, figures = np.append(windows, window), np.vstack([figures, np.array(now, np.float64)])
    if column == FAILURES:
        values = figures[:, FAILURES] / np.maximum(figures[:, TRIALS], 1.0)
    else:
        values = np.exp(figures[:, column])
    told = [(int(at) * width_ns, float(value)) for at, value in zip(windows, values, strict=True)]
    return [one for one in told if not math.isnan(one[1])]
