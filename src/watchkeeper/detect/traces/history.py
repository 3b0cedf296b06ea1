"""What past windows were like: for each watched thing the last HISTORY windows in which it had traffic.

A thing is an operation, an edge between services, or a child that an operation calls. Enters: figures of one window.
Leaves: bands of the windows' medians and upper ends, learned shares, points to draw. It is the variation from window to
window that is learned, so that one band holds for steady and for restless services. Bounded; judges nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.bands import Bands, bands_of
from watchkeeper.detect.traces.shares import learned_share

HISTORY = 120
ROWS_MAX = 6_000
FIELDS = ("trials", "failures", "middle", "high", "part")
TRIALS, FAILURES, MIDDLE, HIGH, PART = range(len(FIELDS))

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Watched(StrEnum):
    """The kinds of things with a history of their own."""

    OPERATION = "operation"
    EDGE = "edge"
    CHILD = "child"


class Key(NamedTuple):
    """Names one thing: an operation of a service, a caller and its callee, or a parent operation and a child."""

    watched: Watched
    service: str
    name: str
    other_service: str = ""
    other_name: str = ""


class Figures(NamedTuple):
    """One window of a thing. middle, high, part: natural logarithms of seconds, NaN when unknown.

    trials, failures: spans and failed ones; parents, and those without the child. part: own work of an operation, gap
    of an edge.
    """

    trials: int
    failures: int
    middle: float = float("nan")
    high: float = float("nan")
    part: float = float("nan")


class Histories:
    """See the module. Rows are numbered; beyond ROWS_MAX the half that was seen longest ago is forgotten."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._rows_max = rows_max
        self.rows: dict[Key, int] = {}
        self._reserve(32)

    def _reserve(self, capacity: int) -> None:
        self.figures = np.full((capacity, HISTORY, len(FIELDS)), np.nan, np.float32)
        self.windows = np.full((capacity, HISTORY), -1, np.int64)
        self.filled = np.zeros(capacity, np.int64)

    def row(self, key: Key) -> int:
        """Give the row of a thing, a new one if it is not known."""
        known = self.rows.get(key)
        if known is not None:
            return known
        if len(self.rows) >= self._rows_max:
            self._forget()
        if len(self.rows) == len(self.filled):
            self._grow(2 * len(self.filled))
        self.rows[key] = len(self.rows)
        return self.rows[key]

    def append(self, row: int, window: int, figures: Figures) -> None:
        """Learn one window."""
        place = int(self.filled[row]) % HISTORY
        self.figures[row, place] = figures
        self.windows[row, place] = window
        self.filled[row] += 1

    def bands(self, row: int) -> Bands:
        """Give the bands of middle, high and part, (3,) each, over the windows of a row."""
        return bands_of(self.figures[row, : self._length(row), MIDDLE:].astype(np.float64))

    def share(self, row: int) -> tuple[float, float]:
        """Give the learned share of failures and its size for `share_score`."""
        past = self.figures[row : row + 1, : self._length(row)].astype(np.float64)
        share, size = learned_share(past[:, :, FAILURES], past[:, :, TRIALS])
        return float(share[0]), float(size[0])

    def trials(self, row: int) -> int:
        """Give how many trials the windows of a row hold."""
        return int(np.nansum(self.figures[row, : self._length(row), TRIALS]))

    def length(self, row: int) -> int:
        """Give how many windows a row holds."""
        return self._length(row)

    def past(self, row: int) -> tuple[Ints, Floats]:
        """Give the window numbers (w,), oldest first, and their figures (w, len(FIELDS))."""
        length = self._length(row)
        order = np.argsort(self.windows[row, :length], kind="stable")
        return self.windows[row, :length][order], self.figures[row, :length][order].astype(np.float64)

    def _length(self, row: int) -> int:
        return min(int(self.filled[row]), HISTORY)

    def _grow(self, capacity: int) -> None:
        old = (self.figures, self.windows, self.filled)
        self._reserve(capacity)
        self._fill(*old)

    def _forget(self) -> None:
        newest = self.windows[: len(self.rows)].max(axis=1)
        kept = np.sort(np.argsort(-newest, kind="stable")[: self._rows_max // 2])
        keys = list(self.rows)
        self.rows = {keys[old]: new for new, old in enumerate(kept.tolist())}
        old = (self.figures[kept], self.windows[kept], self.filled[kept])
        self._reserve(max(32, len(kept)))
        self._fill(*old)

    def _fill(self, figures: npt.NDArray[np.float32], windows: Ints, filled: Ints) -> None:
        self.figures[: len(figures)] = figures
        self.windows[: len(windows)] = windows
        self.filled[: len(filled)] = filled

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays; the keys are saved beside them."""
        size = len(self.rows)
        return {name: getattr(self, name)[:size].copy() for name in ("figures", "windows", "filled")}

    def restore(self, keys: list[list[str]], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        self.rows = {Key(Watched(key[0]), *key[1:]): row for row, key in enumerate(keys)}
        self._reserve(max(32, len(keys)))
        for name in ("figures", "windows", "filled"):
            getattr(self, name)[: len(keys)] = arrays[name]
