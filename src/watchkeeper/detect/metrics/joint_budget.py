"""When a joint score is worth telling: the lowest level that its own past crossed no more often than is borne.

Enters: one entity's joint scores in order of time. Leaves: a threshold. Each of LEVELS counts the incidents that
it would have told; an incident opens at the level, ends below CLOSE_SHARE of it, and goes on when it opens again within
GAP_S. So the budget is of incidents a day, not of steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS = np.geomspace(0.25, 1000.0, 96)
CLOSE_SHARE = 0.25
GAP_S = 3600.0
INCIDENTS_A_DAY = 0.5
SKIPPED_S = 1.25 * 86_400.0
DAYS_MIN = 2.0
FADE_DAYS = 30.0
DAY_S = 86_400.0

Floats = npt.NDArray[np.float64]


class JointBudget:
    """See the module. The first SKIPPED_S are not counted, for a scorer that still learns bands scores high."""

    SIZE = 2 + 3 * len(LEVELS)

    def __init__(self) -> None:
        self.seen_s = 0.0
        self.days = 0.0
        self._count = np.zeros(len(LEVELS))
        self._open = np.zeros(len(LEVELS), np.bool_)
        self._since_s = np.full(len(LEVELS), np.inf)

    @property
    def threshold(self) -> float:
        """Give the threshold; infinite while less than DAYS_MIN are counted."""
        if self.days < DAYS_MIN:
            return np.inf
        borne = self._count <= INCIDENTS_A_DAY * self.days
        return float(LEVELS[np.argmax(borne)]) if borne.any() else np.inf

    def note(self, score: float, passed_s: float) -> None:
        """Count a score that stood for `passed_s` seconds."""
        self.seen_s += passed_s
        if self.seen_s < SKIPPED_S:
            return
        keep = np.exp(-passed_s / DAY_S / FADE_DAYS)
        self._count *= keep
        self.days = self.days * keep + passed_s / DAY_S
        above = score >= LEVELS
        self._since_s += passed_s
        self._count[above & ~self._open & (self._since_s > GAP_S)] += 1.0
        self._open = above | (self._open & (score >= CLOSE_SHARE * LEVELS))
        self._since_s[self._open] = 0.0

    def array(self) -> Floats:
        """Give the state as (SIZE,) numbers."""
        return np.concatenate(([self.seen_s, self.days], self._count, self._open, self._since_s))

    @classmethod
    def of(cls, array: Floats) -> JointBudget:
        """Take up what `array` gave; raises ValueError when it does not fit."""
        if array.shape != (cls.SIZE,):
            raise ValueError(f"a joint budget has {cls.SIZE} numbers, not {array.shape}")
        own = cls()
        own.seen_s, own.days = float(array[0]), float(array[1])
        count, is_open, since = np.split(np.asarray(array[2:], np.float64), 3)
        own._count, own._open, own._since_s = count.copy(), is_open > 0, since.copy()
        return own
