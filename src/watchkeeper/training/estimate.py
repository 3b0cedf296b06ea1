"""How far a job is and how long it will take: from the work of each stage, and how fast such work went until now.

Enters: amounts of work (rows, steps, lines) planned and done. Leaves: seconds, and a percentage that never goes back.
The time of a stage that has not begun is its planned work at the pace of an earlier job, or of the machine the defaults
were taken on, times how much slower than expected this job has been. Pure, with a clock; knows nothing of models.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from watchkeeper.training.job import STAGES, Stage, Statistics

PACES: Mapping[Stage, float] = {
    Stage.FETCHING: 8e-6,
    Stage.TRAIN: 0.16,
    Stage.EVALUATE: 0.009,
    Stage.SAVE: 1.0,
}
"""Seconds for a stored row, a step of training, a line judged, a save, on a core of 2023: a first guess only."""
HALF_LIFE_S = 20.0
"""Age at which what a stage's pace was counts half: others may come and go on the machine."""
TRUSTED_S = 1.0
"""Time in a stage after which its own pace counts more than the expected one."""


@dataclass
class _Pace:
    """What a stage took: seconds and units, older ones weighing less."""

    planned: float = 0.0
    done: float = 0.0
    seconds: float = 0.0
    units: float = 0.0
    spent_s: float = 0.0
    worked: float = 0.0

    def take(self, seconds: float, units: float) -> None:
        fade = math.exp2(-seconds / HALF_LIFE_S)
        self.seconds, self.units = self.seconds * fade + seconds, self.units * fade + units
        self.spent_s, self.worked, self.done = self.spent_s + seconds, self.worked + units, self.done + units


@dataclass
class Estimate:
    """The progress of one job. paces: seconds a unit of each stage, from an earlier job.

    before_s, percentage: what an earlier process of the same job had come to.
    """

    paces: Mapping[Stage, float] = field(default_factory=dict)
    before_s: float = 0.0
    percentage: float = 0.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Begin to count."""
        self._expected = {**PACES, **self.paces}
        self._stages = {stage: _Pace() for stage in STAGES}
        self.stage = Stage.FETCHING
        self._begun_s = self._last_s = self.clock()

    def plan(self, stage: Stage, units: float) -> None:
        """Set how much work a stage is."""
        self._stages[stage].planned = units

    def begin(self, stage: Stage) -> None:
        """Go over to a stage."""
        self._pass(0.0)
        for earlier in STAGES[: STAGES.index(stage)]:
            self._stages[earlier].planned = self._stages[earlier].done
        self.stage = stage

    def skip(self) -> None:
        """Count the time since the last word towards no stage: it was spent on what is needed once."""
        self._last_s = self.clock()

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

    def remaining_s(self) -> float:
        """Give the seconds that are left, as far as is known now."""
        return sum(self._left_s(stage) for stage in STAGES[STAGES.index(self.stage) :])

    def measured(self) -> dict[str, float]:
        """Give the pace of each stage that did any work: seconds a unit, for the estimate of the next job."""
        return {stage.value: own.spent_s / own.worked for stage, own in self._stages.items() if own.worked > 0}

    def statistics(self, *, epoch: int, accuracy: float | None) -> Statistics:
        """Give the Statistics of now."""
        if not any(own.planned for own in self._stages.values()):
            return Statistics(self.elapsed_s(), self.percentage, None, epoch, accuracy, self.stage)
        elapsed_s, remaining_s = self.elapsed_s(), self.remaining_s()
        share = elapsed_s / (elapsed_s + remaining_s) if elapsed_s + remaining_s > 0 else 0.0
        self.percentage = max(self.percentage, min(99.9, 100.0 * share))
        return Statistics(elapsed_s, self.percentage, remaining_s, epoch, accuracy, self.stage)

    def _pass(self, units: float) -> None:
        now_s = self.clock()
        self._stages[self.stage].take(now_s - self._last_s, units)
        self._last_s = now_s

    def _left_s(self, stage: Stage) -> float:
        own = self._stages[stage]
        left = max(0.0, own.planned - own.done)
        expected = self._expected[stage] * self._slowness()
        since_s = self.clock() - self._last_s if stage is self.stage else 0.0
        if own.units <= 0:
            return max(left * expected - since_s, 0.0)
        trust = min(1.0, own.seconds / TRUSTED_S)
        pace = trust * own.seconds / own.units + (1.0 - trust) * expected
        return max(left * pace - since_s, 0.0)

    def _slowness(self) -> float:
        """Give how many times longer than expected the work took until now; the present stage's pace for what it is."""
        told = [(own.spent_s, own.worked * self._expected[stage]) for stage, own in self._stages.items() if own.worked]
        took, expected = sum(took for took, _ in told), sum(expected for _, expected in told)
        return took / expected if expected > 0 and took > 0 else 1.0
