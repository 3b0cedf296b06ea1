"""How surprising a new template is in a service that brings new ones at some rate.

Enters: the times at which new templates came. Leaves: -log10 of the chance that one comes within a window. Three clocks
a service (errors, warnings, the rest), so that a chatty service does not excuse a new error. The first half of the
warm-up, when everything is new, is not counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR_EVENTS = 0.5
FORGET_S = 6 * 3600.0
ALARMED_WEIGHT = 0.25


@dataclass(slots=True)
class NoveltyClock:
    """The rate of new templates since `from_ns`, older events fading over FORGET_S.

    >>> clock = NoveltyClock(from_ns=0)
    >>> round(clock.surprise(3600 * 10**9, 10.0), 2)
    2.82
    """

    from_ns: int
    events: float = 0.0
    at_ns: int = 0

    def add(self, time_ns: int, weight: float) -> None:
        """Count a new template; `weight` 0..1, below 1 when it was told as an anomaly."""
        if time_ns < self.from_ns:
            return
        self.events = self._faded(time_ns) + weight
        self.at_ns = max(self.at_ns, time_ns)

    def skip(self, passed_ns: int) -> None:
        """Let time pass unseen: the rate stays what it was."""
        self.from_ns += passed_ns
        self.at_ns += passed_ns if self.at_ns else 0

    def rate(self, time_ns: int) -> float:
        """Give the expected new templates a second at a time (Unix nanoseconds)."""
        seconds = max(1.0, (time_ns - self.from_ns) / 1e9)
        watched_s = FORGET_S * -math.expm1(-seconds / FORGET_S)
        return (PRIOR_EVENTS + self._faded(time_ns)) / watched_s

    def surprise(self, time_ns: int, window_s: float) -> float:
        """Give -log10 of the chance that at least one new template comes within `window_s`; >= 0."""
        return -math.log10(max(1e-300, -math.expm1(-self.rate(time_ns) * window_s)))

    def _faded(self, time_ns: int) -> float:
        passed_s = max(0, time_ns - self.at_ns) / 1e9 if self.at_ns else 0.0
        return self.events * math.exp(-passed_s / FORGET_S)
