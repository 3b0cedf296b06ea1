"""The interface of an online detector.

Enters: Arrow batches in the order received, logs already carrying their template ids. Leaves: findings. Score first,
learn after: a batch is judged by what was known before it. Event time rules, never the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.signals.finding import Finding


@dataclass(frozen=True)
class LearningState:
    """What a detector knows of one service: `warming` until `learned_s` reaches `needed_s`, then `watching`."""

    service: str
    state: str
    learned_s: float
    needed_s: float
    lines: int


class Detector(Protocol):
    """Scores telemetry and learns from it."""

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Give each row's score (n,), >= 0, higher = more anomalous; 0 while warming up. Changes nothing."""

    def learn(self, batch: pa.RecordBatch) -> list[Finding]:
        """Take the batch in and give the findings that it opened, changed or closed."""

    def flush(self, now_unix_ns: int) -> list[Finding]:
        """Close the windows that ended before `now_unix_ns` (event time), and give the findings this changed."""

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come."""

    def save(self, folder: Path) -> None:
        """Write the state as versioned data files (no pickle)."""

    def load(self, folder: Path) -> None:
        """Take the state up again; raises StoreError when it is of a newer version or damaged."""

    def take_over(self, previous: Self) -> list[Finding]:
        """Go on at the event time where `previous` is, with what this one has learned; `previous` is used up.

        The time between this one's newest event and then counts as not seen: nothing is missing in it and nothing is
        learned from it. Gives the findings that were open, closed, for they were judged by another's knowledge.
        """
