"""Too many lines: which counts of a service's series are more than chance would give.

Enters: learned series and the counts of one or a few windows. Leaves: scores. Pure functions; who judges, when and how
often, is the watch's business (detect/service.py).
"""

from __future__ import annotations

import numpy as np

from watchkeeper.detect.parts import ERRORS, LINES, WARNINGS, Ints
from watchkeeper.detect.series import SeriesBank
from watchkeeper.detect.tails import upper_score

TEMPLATE_LINES_MIN, ERROR_LINES_MIN, RATIO_MIN = 10, 5, 2.0


def candidates(bank: SeriesBank, counts: Ints, span: int, windows_min: int) -> list[int]:
    """Give the series whose counts (size,) of `span` windows together are many enough to be held against chance.

    windows_min: closed windows that a rate must have been learned from.
    """
    floor = np.full(bank.size, TEMPLATE_LINES_MIN)
    floor[[ERRORS, WARNINGS]] = ERROR_LINES_MIN
    many = (counts >= floor) & (bank.windows[: bank.size] >= max(windows_min, span // 2))
    many[LINES] = False
    many &= counts >= RATIO_MIN * span * bank.expected()
    found: list[int] = np.flatnonzero(many).tolist()
    return found


def excess(bank: SeriesBank, index: int, counts: Ints, span: int) -> tuple[float, float]:
    """Give the score of a count of `span` windows and the mean it was held against.

    The mean rises with the rest of the service's traffic, so what is too many is so both in number and as a share.
    """
    count = int(counts[index])
    mean = span * float(bank.expected(index))
    spread = float(bank.dispersion(index))
    usual = span * float(bank.mean[LINES] - bank.mean[index])
    traffic = float(counts[LINES] - counts[index]) / usual if usual >= 1.0 else 1.0
    mean *= min(max(traffic, 1.0), 100.0)
    return upper_score(count, mean, spread), mean


def band_end(mean: float, spread: float) -> float:
    """Give the end of the band that is shown for an expected count; the verdict itself rests on the tail."""
    return mean + 3 * float(np.sqrt(mean + spread * mean**2)) + 1
