"""How far a job is and how long it will take: the work that is left in each stage, at the pace of such work just now.

Enters: amounts of work (rows, steps, seconds) planned and done, and the pace of work to come, as timed on this machine
a moment ago (learn/trial.py). Leaves: seconds, and a percentage that never goes back. The present stage's pace is that
of its latest work; what is to come is slower than timed by as much as the present stage is. No pace is guessed: until
those of all that is left were timed, there is no telling. Pure, with a clock; knows nothing of models.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from watchkeeper.training.job import STAGES, Stage, Statistics

HALF_LIFE_S = 30.0
"""Age at which what a stage's pace was counts half: others come and go on the machine, some for seconds only."""
TRUSTED_S = 3.0
"""Time in a stage after which its own pace counts, and no longer the expected one."""


@dataclass
class _Pace:
    """What a stage took: seconds and units, older ones weighing less; `expected` seconds a unit, 0 for not known."""

    planned: float = 0.0
    done: float = 0.0
    expected: float = 0.0
    seconds: float = 0.0
    units: float = 0.0
    spent_s: float = 0.0
    worked: float = 0.0

    def take(self, seconds: float, units: float) -> None:
        fade = math.exp2(-seconds / HALF_LIFE_S)
        self.seconds, self.units = self.seconds * fade + seconds, self.units * fade + units
        self.spent_s, self.worked, self.done = self.spent_s + seconds, self.worked + units, self.done + units

    def pace(self, drift: float) -> float | None:
        """Give seconds a unit: as expected, drift times as slow, then more and more as it is; None for no telling."""
        if self.units <= 0 or self.seconds <= 0:
            return self.expected * drift or None
        own = self.seconds / self.units
        trust = min(1.0, self.spent_s / TRUSTED_S) if self.expected else 1.0
        return trust * own + (1.0 - trust) * self.expected * drift


@dataclass
class Estimate:
    """The progress of one job. before_s, percentage: what an earlier process of the same job had come to."""

    before_s: float = 0.0
    percentage: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Begin to count."""
        self._stages = {stage: _Pace() for stage in STAGES}
        self.stage = Stage.FETCHING
        self._drift = 1.0
        self._begun_s = self._last_s = self.clock()

    def plan(self, stage: Stage, units: float) -> None:
        """Set how much work a stage is."""
        self._stages[stage].planned = units

    def expect(self, stage: Stage, seconds: float) -> None:
        """Set what a unit of a stage takes, as timed just now."""
        self._stages[stage].expected = seconds
        self._drift = 1.0

    def begin(self, stage: Stage) -> None:
        """Go over to a stage."""
        self._drift = self._drift_now()
        self._pass(0.0)
        for earlier in STAGES[: STAGES.index(stage)]:
            self._stages[earlier].planned = self._stages[earlier].done
        self.stage = stage

    def skip(self, *, but_s: float = 0.0) -> None:
        """Count the time since the last word, but for its last seconds, towards no stage: it was needed once only."""
        self._last_s = max(self._last_s, self.clock() - but_s)

    def resume(self, done: float) -> None:
        """Note work of the present stage that an earlier process did."""
        self._pass(0.0)
        self._stages[self.stage].done = done

    def reach(self, done: float) -> None:
        """Tell how much of the present stage's work is done, in all."""
        self._pass(max(0.0, done - self._stages[self.stage].done))

    def finish(self) -> None:
        """Tell that the present stage is done, whatever was planned."""
        self.reach(self._stages[self.stage].planned)

    def elapsed_s(self) -> float:
        """Give the seconds of work, earlier processes included."""
        return self.before_s + self.clock() - self._begun_s

    def remaining_s(self) -> float | None:
        """Give the seconds that are left, as far as is known now; None while the pace of any of it is not known."""
        left = [self._left_s(stage) for stage in STAGES[STAGES.index(self.stage) :]]
        return None if None in left else sum(each for each in left if each is not None)

    def measured(self) -> dict[str, float]:
        """Give the pace of each stage that did any work: seconds a unit."""
        return {stage.value: own.spent_s / own.worked for stage, own in self._stages.items() if own.worked > 0}

    def statistics(self, *, epoch: int, accuracy: float | None) -> Statistics:
        """Give the Statistics of now."""
        elapsed_s, remaining_s = self.elapsed_s(), self.remaining_s()
        if remaining_s is not None and elapsed_s + remaining_s > 0:
            share = elapsed_s / (elapsed_s + remaining_s)
            self.percentage = max(self.percentage, min(99.9, 100.0 * share))
        return Statistics(elapsed_s, self.percentage, remaining_s, epoch, accuracy, self.stage)

    def _pass(self, units: float) -> None:
        now_s = self.clock()
        self._stages[self.stage].take(now_s - self._last_s, units)
        self._last_s = now_s

    def _left_s(self, stage: Stage) -> float | None:
        own = self._stages[stage]
        present = stage is self.stage
        pace = own.pace(self._drift if present else self._drift_now())
        if pace is None:
            return None
        since_s = self.clock() - self._last_s if present else 0.0
        return max(max(0.0, own.planned - own.done) * pace - since_s, 0.0)

    def _drift_now(self) -> float:
        """Give how many times slower than timed the work is now, as far as the present stage tells."""
        own = self._stages[self.stage]
        pace = own.pace(self._drift)
        return pace / own.expected if pace is not None and own.expected > 0 else self._drift
