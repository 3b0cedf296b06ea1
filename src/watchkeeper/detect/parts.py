"""What the watch over a service is given and gives: its part of a batch, its durations, what it may ask, what it says.

Shapes only, with the weight that a line's severity has. Series 0 to 2 of a service count all its lines, its errors and
its warnings; those of its templates follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.judgement import Judgement

LINES, ERRORS, WARNINGS, FIXED_SERIES = 0, 1, 2, 3
LATE_WINDOWS = 2
WINDOWS_LEARNED_MIN = 3
SEVERITY_WARN, SEVERITY_ERROR, SEVERITY_FATAL = 13, 17, 21

Ints = npt.NDArray[np.int64]


class Timing(NamedTuple):
    """The durations a watch goes by: learning before judging, and one window."""

    warmup_s: float
    window_s: float

    @property
    def window_ns(self) -> int:
        """Give the window's length in nanoseconds."""
        return int(self.window_s * 1e9)

    @property
    def windows_min(self) -> int:
        """Give how many closed windows a rate must have been learned from to be judged."""
        return max(WINDOWS_LEARNED_MIN, int(self.warmup_s / self.window_s) - LATE_WINDOWS - 1)


class Part(NamedTuple):
    """One service's lines of a batch, in the order received; `rows` are their places in the batch."""

    templates: Ints
    times: Ints
    severities: Ints
    rows: Ints


class About(NamedTuple):
    """What the watch may ask about a template that is new to it.

    known_elsewhere: whether another service logs it, which makes it less of a surprise in this one. implied_severity:
    what its words suggest when the record carries no severity. alike: how much of what it says, 0..1, a template of
    this service says that is at least as grave, by a template and the severity its record carries, 0 for none.
    """

    known_elsewhere: Callable[[int], bool]
    implied_severity: Callable[[int], int]
    alike: Callable[[int, int], float]


class Touched(NamedTuple):
    """Lines of a template that somebody asked about."""

    template_id: int
    lines: int
    last_ns: int
    rows: Ints


@dataclass
class Said:
    """What came of one part. met: the templates that were new."""

    judgements: list[Judgement] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    met: list[int] = field(default_factory=list)


def severity_weight(severity: int) -> float:
    """Give what a line's severity adds to its surprise: a new error says more than a new greeting."""
    if severity >= SEVERITY_FATAL:
        return 3.0
    if severity >= SEVERITY_ERROR:
        return 2.5
    return 0.8 if severity >= SEVERITY_WARN else -0.3


def grade(severity: int) -> int:
    """Give 2 for an error and worse, 1 for a warning, 0 for the rest."""
    return 2 if severity >= SEVERITY_ERROR else 1 if severity >= SEVERITY_WARN else 0
