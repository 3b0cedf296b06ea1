"""How often each operation runs: more than ever, or far less than is due.

Enters: the counts of every operation in each closed window, zero included. Leaves: suspicions. A callee that is called
more or less because its caller is, is not told. Rates are learned as those of log lines are (detect/series.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.series import SeriesBank
from watchkeeper.detect.tails import upper_score
from watchkeeper.detect.traces.shares import lower_score
from watchkeeper.detect.traces.structure import OUTSIDE

SCORE_MIN = 5.0
RATIO_MIN = 2.0
DUE_MIN = 10.0
SAME_AS_CALLER = 1.5

Ints = npt.NDArray[np.int64]


class Changed(NamedTuple):
    """One operation's count out of its band."""

    operation: int
    score: float
    spans: int
    mean: float
    low: float
    high: float


class Volumes:
    """See the module. Operations are numbered as in spans.Operations."""

    def __init__(self, windows_min: int) -> None:
        self._windows_min = windows_min
        self.bank = SeriesBank()

    def close(
        self, window: int, counts: Ints, first_ns: Ints, parent_of: Callable[[int], int], settled: set[int]
    ) -> list[Changed]:
        """Judge and learn one window. counts, first_ns: (k,), k >= those known. settled: learned whatever they do."""
        while self.bank.size < len(counts):
            self.bank.add(int(first_ns[self.bank.size]))
        counts = np.concatenate([counts, np.zeros(self.bank.size - len(counts), np.int64)])
        found = [one for one in self._changed(counts) if not self._as_its_caller(one, counts, parent_of)]
        anomalous = np.array([one.operation for one in found if one.operation not in settled], np.int64)
        self.bank.close(window, counts, anomalous)
        return found

    def _changed(self, counts: Ints) -> list[Changed]:
        bank, found = self.bank, []
        expected = bank.expected() if bank.size else np.empty(0)
        learned = bank.windows[: bank.size] >= self._windows_min
        far = (counts >= RATIO_MIN * expected) | (counts * RATIO_MIN <= expected)
        for place in np.flatnonzero(learned & far & (np.maximum(counts, expected) >= DUE_MIN)).tolist():
            count, mean, spread = int(counts[place]), float(expected[place]), float(bank.dispersion(place))
            score = upper_score(count, mean, spread) if count > mean else lower_score(count, mean, spread)
            if score >= SCORE_MIN:
                deviation = 3 * float(np.sqrt(mean + spread * mean**2))
                found.append(Changed(place, score, count, mean, max(0.0, mean - deviation), mean + deviation + 1))
        return found

    def _as_its_caller(self, one: Changed, counts: Ints, parent_of: Callable[[int], int]) -> bool:
        parent = parent_of(one.operation)
        if parent == OUTSIDE or parent >= self.bank.size:
            return False
        own = (one.spans + 1.0) / (one.mean + 1.0)
        callers = (int(counts[parent]) + 1.0) / (float(self.bank.expected(parent)) + 1.0)
        return 1 / SAME_AS_CALLER <= own / callers <= SAME_AS_CALLER

    def points(self, operation: int, width_ns: int) -> list[tuple[int, float]]:
        """Give window starts and counts, oldest first."""
        return [(window * width_ns, float(count)) for window, count in self.bank.points(operation)]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays."""
        return {f"volume.{name}": array for name, array in self.bank.arrays().items()}

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take up what `arrays` gave."""
        own = {name.removeprefix("volume."): array for name, array in arrays.items() if name.startswith("volume.")}
        self.bank = SeriesBank.from_arrays(own)
