"""Events that are new to a stream of windows or sessions, until they have gone on for so long that they are normal.

Enters: windows in the order of time, each the set of its event ids. Leaves: a score each, judged before it is learned.
What is judged normal is learned at once; an event that is out of the ordinary is not, so that it is told again when it
comes back, save when it goes on for long without a break: then it is the new normal, as in findings.py. Knows no text,
no times and no counts. Not yet part of the log detector, which has lines, not windows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

RARE_SCORE = 1.3
SETTLE_WINDOWS = 50
QUIET_WINDOWS = 8
FALSE_ALARMS = 0.01
EVERYTHING_NEW_SHARE, CALIBRATED_FROM_SHARE = 0.25, 0.5
SUSPECTS_MAX = 10_000


class NewcomerWatch:
    """Scores windows by the events in them that were never part of a normal one.

    settle_windows: windows after which an event that keeps coming is taken as normal. quiet_windows: windows without
    it that break the run. Memory: one entry for each known event and at most SUSPECTS_MAX for others. Cost: about one
    microsecond for each distinct event of a window.

    >>> watch = NewcomerWatch()
    >>> watch.train([{1, 2}] * 1000)
    >>> round(watch.take({1, 7}), 1), watch.take({1, 2}), watch.threshold
    (3.2, 0.0, 1.3)
    """

    def __init__(self, *, settle_windows: int = SETTLE_WINDOWS, quiet_windows: int = QUIET_WINDOWS) -> None:
        self.settle_windows = settle_windows
        self.quiet_windows = quiet_windows
        self.threshold = RARE_SCORE
        self._known: set[int] = set()
        self._suspects: dict[int, tuple[int, int]] = {}
        self._window = self._learned = self._with_new = 0

    def train(self, windows: Sequence[Collection[int]], *, false_alarms: float = FALSE_ALARMS) -> None:
        """Learn windows that are held to be normal, in order, and set the threshold.

        In the first quarter everything is new, and is not counted; the second half is scored, each window before it is
        learned. The threshold is RARE_SCORE, or higher where more than the share `false_alarms` of these pass it.
        """
        scores = []
        for number, window in enumerate(windows):
            if number == int(EVERYTHING_NEW_SHARE * len(windows)):
                self._learned = self._with_new = 0
            if number >= CALIBRATED_FROM_SHARE * len(windows):
                scores.append(self.score(window))
            self._learn(window, normal=True)
        if scores:
            self.threshold = max(RARE_SCORE, float(np.quantile(scores, 1 - false_alarms)))

    def score(self, window: Collection[int]) -> float:
        """Give -log10 of the share of normal windows that brought something new, 0 when nothing in it is new."""
        if self._known.issuperset(window):
            return 0.0
        return max(0.0, -math.log10((self._with_new + 0.5) / (self._learned + 1)))

    def new_in(self, window: Collection[int]) -> set[int]:
        """Give the events of a window that are not known."""
        return {event for event in window if event not in self._known}

    def take(self, window: Collection[int]) -> float:
        """Score a window, then learn from it."""
        score = self.score(window)
        self._learn(window, normal=score <= self.threshold)
        return score

    def _learn(self, window: Collection[int], *, normal: bool) -> None:
        self._window += 1
        new = self.new_in(window)
        if normal:
            self._learned += 1
            self._with_new += bool(new)
            self._known.update(new)
            return
        for event in sorted(new):
            first, last = self._suspects.pop(event, (self._window, self._window))
            if self._window - last > self.quiet_windows + 1:
                first = self._window
            if self._window - first >= self.settle_windows:
                self._known.add(event)
            else:
                self._suspects[event] = (first, self._window)
        while len(self._suspects) > SUSPECTS_MAX:
            del self._suspects[next(iter(self._suspects))]
