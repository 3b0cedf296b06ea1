"""Several detectors as one: each score becomes the chance of so high a score in normal times, and chances are joined.

Enters: scores of several detectors, first normal ones to calibrate by, then any. Leaves: one score a row, higher is
stranger. A rank says how rare a score is within what was normal, beyond that an exponential tail does, so that no
detector counts more for the scale that it happens to have. One that has nothing to say (not a number) does not count.
Sources: Fisher's sum of logarithms; the exceedances of a high quantile after Pickands, Annals of Statistics 1975.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
TAIL_SHARE = 0.2
SCORE_MAX = 10.0
"""The most that one detector may say, as -log10 of a chance: few normal rows tell little of very rare ones."""


class CalibratedRank:
    """Turns scores of one detector into -log10 of the chance of so high a score in normal times, 0..SCORE_MAX.

    >>> rank = CalibratedRank(np.arange(100.0))
    >>> rank.score(np.array([0.0, 50.0, 99.0, np.nan])).round(1).tolist()
    [0.0, 0.3, 1.7, 0.0]
    """

    def __init__(self, normal: Floats) -> None:
        """Take scores of normal rows (n,), best ones that the detector has not learned from."""
        self.sorted = np.sort(normal[np.isfinite(normal)])
        count = len(self.sorted)
        tail = self.sorted[count - max(2, round(TAIL_SHARE * count)) :] if count > 2 else self.sorted
        self.begin = float(tail[0]) if count else 0.0
        excess = float((tail - self.begin).mean()) if count else 0.0
        spread = float(np.ptp(self.sorted)) if count else 0.0
        self.excess = max(excess, 1e-3 * spread, 1e-12)
        self.share = len(tail) / (count + 1) if count else 1.0

    def score(self, scores: Floats) -> Floats:
        """Give -log10 of the chance for each score (n,); 0 for what is not a number."""
        count = len(self.sorted)
        above = count - np.searchsorted(self.sorted, scores, "left")
        ranked = -np.log10((above + 1) / (count + 1))
        beyond = -np.log10(self.share) + (scores - self.begin) / self.excess / np.log(10)
        highest = self.sorted[-1] if count else np.inf
        told = np.where(scores > highest, np.maximum(beyond, np.log10(count + 1)), ranked)
        return np.asarray(np.where(np.isfinite(scores), np.clip(told, 0.0, SCORE_MAX) + 0.0, 0.0))


def fused(parts: Sequence[Floats]) -> Floats:
    """Give the sum of what detectors say, (n,) each: Fisher's statistic but for a factor."""
    return np.asarray(np.sum(parts, axis=0))
