"""Events that are new to a stream of windows or sessions, until they have gone on for so long that they are normal.

Enters: windows in the order of time, each the set of its event ids, and the texts of the events where there are any.
Leaves: a score each, judged before it is learned. What is judged normal is learned at once; an event that is out of
the ordinary is not, so that it is told again when it comes back, save when it goes on for long without a break: then it
is the new normal, as in findings.py. Knows no times and no counts. The log detector judges lines the same way
(service.py); this is for logs that come as windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from watchkeeper.detect.likeness import Likeness
from watchkeeper.detect.parts import SEVERITY_ERROR, SEVERITY_WARN, grade, severity_weight
from watchkeeper.detect.service import UNSEEN_SCORE_MIN
from watchkeeper.detect.words import implied_severity

RARE_SCORE = 1.3
SETTLE_WINDOWS, GRAVE_SETTLE_WINDOWS, UNREAD_SETTLE_WINDOWS = 10, 100, 50
QUIET_WINDOWS = 3
FALSE_ALARMS = 0.01
EVERYTHING_NEW_SHARE, CALIBRATED_FROM_SHARE = 0.25, 0.5
SUSPECTS_MAX = 10_000
GRADES = (0, SEVERITY_WARN, SEVERITY_ERROR)


class NewcomerWatch:
    """Scores windows by the events in them that were never part of a normal one.

    text: gives an event's template, "" when it is not known; without it every event is as grave as any other and like
    none. settle_windows, grave_settle_windows: windows after which an event, and one that reads like an error, is taken
    as normal when it keeps coming; UNREAD_SETTLE_WINDOWS without texts. quiet_windows: windows without it that break
    the run. Memory: one entry for each known event and at most SUSPECTS_MAX for others. Cost: about one microsecond for
    each distinct event of a window.

    >>> watch = NewcomerWatch()
    >>> watch.train([{1, 2}] * 1000)
    >>> round(watch.take({1, 7}), 1), watch.take({1, 2}), watch.threshold
    (3.2, 0.0, 1.3)
    """

    def __init__(
        self,
        text: Callable[[int], str] | None = None,
        *,
        settle_windows: int | None = None,
        grave_settle_windows: int = GRAVE_SETTLE_WINDOWS,
        quiet_windows: int = QUIET_WINDOWS,
    ) -> None:
        usual = UNREAD_SETTLE_WINDOWS if text is None else SETTLE_WINDOWS
        self.settle_windows = usual if settle_windows is None else settle_windows
        self.grave_settle_windows = grave_settle_windows
        self.quiet_windows = quiet_windows
        self.threshold = self._threshold_min = RARE_SCORE if text is None else UNSEEN_SCORE_MIN
        self._text = text
        self._grades: dict[int, int] = {}
        self._known: set[int] = set()
        self._likeness = Likeness(text or (lambda event: ""))
        self._alike: dict[int, tuple[int, float]] = {}
        self._suspects: dict[int, tuple[int, int]] = {}
        self._window = self._learned = 0
        self._with_new = [0] * len(GRADES)

    def train(
        self, windows: Sequence[Collection[int]], *, clean: bool = True, false_alarms: float = FALSE_ALARMS
    ) -> None:
        """Learn windows in order. clean: whether all of them are held to be normal.

        In the first quarter everything is new, and is not counted; it is learned as normal. When clean, the second half
        is scored, each window before it is learned, and the threshold rises from its least value to where no more than
        the share `false_alarms` of these pass it. Otherwise windows from the second quarter on go the way of `take`.
        """
        scores = []
        for number, window in enumerate(windows):
            settled = number >= int(EVERYTHING_NEW_SHARE * len(windows))
            if number == int(EVERYTHING_NEW_SHARE * len(windows)):
                self._learned, self._with_new = 0, [0] * len(GRADES)
            if not clean and settled:
                self.take(window)
                continue
            if clean and number >= CALIBRATED_FROM_SHARE * len(windows):
                scores.append(self.score(window))
            self._learn(window, normal=True)
        if scores:
            self.threshold = max(self._threshold_min, float(np.quantile(scores, 1 - false_alarms)))

    def score(self, window: Collection[int]) -> float:
        """Give how surprising the most surprising new event of a window is, 0 when nothing in it is new.

        That is -log10 of the share of normal windows that brought something new as grave, and with texts what the
        event's gravity adds to it, less the share that a known event at least as grave already says in like words.
        """
        return max((self._surprise(event) for event in self.new_in(window)), default=0.0)

    def new_in(self, window: Collection[int]) -> set[int]:
        """Give the events of a window that are not known."""
        if self._known.issuperset(window):
            return set()
        return {event for event in window if event not in self._known}

    def take(self, window: Collection[int]) -> float:
        """Score a window, then learn from it."""
        score = self.score(window)
        self._learn(window, normal=score <= self.threshold)
        return score

    def _surprise(self, event: int) -> float:
        own = self._grade(event)
        rarity = -math.log10((self._with_new[own] + 0.5) / (self._learned + 1))
        if self._text is None:
            return max(0.0, rarity)
        return max(0.0, rarity + severity_weight(GRADES[own])) * (1.0 - self._likeness_to_known(event, own))

    def _grade(self, event: int) -> int:
        known = self._grades.get(event)
        if known is None:
            severity = implied_severity(self._text(event)) if self._text else 0
            known = self._grades[event] = grade(severity)
        return known

    def _likeness_to_known(self, event: int, least: int) -> float:
        known, alike = self._alike.get(event, (-1, 0.0))
        if known != len(self._known):
            alike = self._likeness.nearest(event, lambda other: self._grade(other) >= least)
            self._alike[event] = len(self._known), alike
        return alike

    def _learn(self, window: Collection[int], *, normal: bool) -> None:
        self._window += 1
        new = self.new_in(window)
        if normal:
            self._learned += 1
            for new_grade in {self._grade(event) for event in new}:
                self._with_new[new_grade] += 1
            for event in sorted(new):
                self._know(event)
            return
        for event in sorted(new):
            first, last = self._suspects.pop(event, (self._window, self._window))
            if self._window - last > self.quiet_windows + 1:
                first = self._window
            grave = GRADES[self._grade(event)] >= SEVERITY_ERROR
            if self._window - first >= (self.grave_settle_windows if grave else self.settle_windows):
                self._know(event)
            else:
                self._suspects[event] = (first, self._window)
        while len(self._suspects) > SUSPECTS_MAX:
            del self._suspects[next(iter(self._suspects))]

    def _know(self, event: int) -> None:
        self._known.add(event)
        self._alike.pop(event, None)
        if self._text is not None:
            self._likeness.add(event)
