"""The spans of one thing in one window or, where traffic is thin, in a few of them together.

Enters: spans of a closed window with what they waited for. Leaves: a Sample once it is large enough to be judged. What
is too little waits here for the next windows, for SAMPLE_WINDOWS_MAX of them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.calls import Waits
from watchkeeper.detect.traces.history import Figures, Key, Watched
from watchkeeper.detect.traces.spans import Spans

SAMPLE_SPANS_MIN = 5
SAMPLE_FAILURES_MIN = 3
SAMPLE_WINDOWS_MAX = 6
HIGH_SHARE = 0.1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Sample(NamedTuple):
    """Spans, (n,) each, of `windows` windows of which `window` is the last. See Waits for the last three."""

    window: int
    windows: int
    seconds: Floats
    failed: npt.NDArray[np.bool_]
    end_ns: Ints
    trace: npt.NDArray[np.uint64]
    part_s: Floats
    longest: Ints
    bad_child: Ints

    def figures(self) -> Figures:
        """Give what a history keeps of it.

        The high end is exceeded by a tenth of the spans and by one at the least, so that one slow span makes no window.
        """
        count = len(self.seconds)
        logs = np.sort(np.log(self.seconds))
        high = logs[max(0, count - 1 - max(1, int(count * HIGH_SHARE)))]
        parts = self.part_s[~np.isnan(self.part_s)]
        part = math.log(max(float(np.median(parts)), 1e-6)) if len(parts) else math.nan
        return Figures(count, int(self.failed.sum()), float(np.median(logs)), float(high), part)


class Samples:
    """Gathers the spans of each thing until there are enough."""

    def __init__(self) -> None:
        self._waiting: dict[Key, Sample] = {}

    def add(self, key: Key, window: int, spans: Spans, waits: Waits) -> Sample | None:
        """Add spans of a window; gives the sample when it is complete."""
        sample = Sample(window, 1, spans.duration_s, spans.failed, spans.end_ns, spans.trace, *waits)
        before = self._waiting.pop(key, None)
        if before is not None and window - before.window <= SAMPLE_WINDOWS_MAX:
            joined = (np.concatenate(columns) for columns in zip(before[2:], sample[2:], strict=True))
            sample = Sample(window, before.windows + window - before.window, *joined)
        enough = len(sample.seconds) >= SAMPLE_SPANS_MIN or int(sample.failed.sum()) >= SAMPLE_FAILURES_MIN
        if enough or sample.windows >= SAMPLE_WINDOWS_MAX:
            return sample
        self._waiting[key] = sample
        return None

    def forget_before(self, window: int) -> None:
        """Drop what has waited in vain."""
        for key in [key for key, one in self._waiting.items() if one.window < window - SAMPLE_WINDOWS_MAX]:
            del self._waiting[key]

    def as_lists(self) -> list[list[Any]]:
        """Give plain data to save: it is a few spans of each thing."""
        return [
            [list(key), one.window, one.windows, *(np.asarray(column).tolist() for column in one[2:])]
            for key, one in self._waiting.items()
        ]

    def restore(self, saved: list[list[Any]]) -> None:
        """Take up what `as_lists` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._waiting = {}
        for name, window, windows, *columns in saved:
            seconds, failed, end_ns, trace, part, longest, bad = columns
            self._waiting[Key(Watched(name[0]), *name[1:])] = Sample(
                int(window),
                int(windows),
                np.array(seconds, np.float64),
                np.array(failed, bool),
                np.array(end_ns, np.int64),
                np.array(trace, np.uint64).reshape(-1, 2),
                np.array([math.nan if one is None else one for one in part], np.float64),
                np.array(longest, np.int64),
                np.array(bad, np.int64),
            )
