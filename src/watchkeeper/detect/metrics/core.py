"""The state of all series in one array, and the step that judges values and learns from them.

Enters: which series (rows of the bank) and their values. Leaves: the surprise of each value, -log10 of how likely so
large a deviation is by the tail of the series' own past deviations (few values cannot make for much of it), and its
deviation in scales. By the compiled core
(native/metric_core.c) where it is built, else by the twin here; both give the same to the last bit.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.native.library import native_library

CORE_VERSION = 1
SURPRISE_MAX = 12.0
TAIL_SHARE = 0.02
TAIL_FIRST = 1.5
EXCESS_FIRST = 0.4

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Field(IntEnum):
    """What is known of a series, one double each.

    LEVEL: robust exponentially weighted mean (Huber's clipping at 3 scales). SCALE: mean absolute deviation, alike.
    LOW, HIGH: the range seen, fading slowly towards the level. FAST: mean deviation of the last some values. TAIL,
    EXCESS: log2(1 + deviation) exceeds TAIL in TAIL_SHARE of all cases, and then by EXCESS on average. HEAT: mean
    surprise of the last some values. COUNT: values seen. LAST: the newest. RUN: how often it has been repeated.
    RUN_MAX: the longest such run that ended. MOVE: share of values unlike the one before. RATE: weight of a new value
    once COUNT is large. WARM: values that are only learned from.
    """

    LEVEL = 0
    SCALE = 1
    LOW = 2
    HIGH = 3
    FAST = 4
    TAIL = 5
    EXCESS = 6
    HEAT = 7
    COUNT = 8
    LAST = 9
    RUN = 10
    RUN_MAX = 11
    MOVE = 12
    RATE = 13
    WARM = 14


LEARNED = (Field.LEVEL, Field.SCALE, Field.LOW, Field.HIGH, Field.TAIL, Field.EXCESS)
"""What is learned as normal of a series; the rest tells what it does now."""


class Scores(NamedTuple):
    """What an update gives.

    surprise: (T, n) 0..SURPRISE_MAX, higher = more anomalous, 0 for NaN and while warming up. standard: (T, n) signed
    deviation in scales, -64..64, NaN for NaN.
    """

    surprise: Floats
    standard: Floats


class SeriesState:
    """The state of up to `capacity` series: `fields` (len(Field), capacity); grows when told to."""

    def __init__(self, capacity: int = 1024) -> None:
        self.fields: Floats = np.zeros((len(Field), capacity))
        self._update = _native_update()

    @property
    def capacity(self) -> int:
        """Give how many series there is room for."""
        return int(self.fields.shape[1])

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` series, never less than there is now."""
        if capacity > self.capacity:
            more = np.zeros((len(Field), capacity - self.capacity))
            self.fields = np.concatenate((self.fields, more), axis=1)

    def begin(self, rows: Ints, *, rate: Floats | float, warm: Floats | float) -> None:
        """Make these rows new series. rate: 0..1, weight of a value. warm: values that are only learned from."""
        self.fields[:, rows] = 0.0
        self.fields[Field.TAIL, rows] = TAIL_FIRST
        self.fields[Field.EXCESS, rows] = EXCESS_FIRST
        self.fields[Field.RATE, rows] = rate
        self.fields[Field.WARM, rows] = warm

    def update(self, rows: Ints, values: Floats, *, out: Scores | None = None) -> Scores:
        """Judge, then learn. rows: (n,) none twice. values: (T, n) in order of time, NaN where nothing was said.

        Infinite values are the caller's to leave out. out: where the scores go, float64 in C order of the shape of
        `values`; new arrays when None. Cost: about 20 ns a value.
        """
        values = np.ascontiguousarray(values, np.float64)
        rows = np.ascontiguousarray(rows, np.int64)
        if values.ndim != 2 or values.shape[1] != len(rows):
            raise ValueError(f"values of shape {values.shape} do not fit {len(rows)} rows")
        if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < self.capacity):
            raise IndexError(f"a row is not in 0..{self.capacity - 1}")
        scores = out or Scores(np.empty_like(values), np.empty_like(values))
        if any(one.shape != values.shape or not one.flags.c_contiguous or one.dtype != np.float64 for one in scores):
            raise ValueError(f"`out` does not fit values of shape {values.shape}")
        if self._update is None:
            return self._update_twin(rows, values, scores)
        self._update(
            self.fields.ctypes.data,
            self.capacity,
            rows.ctypes.data,
            len(rows),
            values.ctypes.data,
            len(values),
            scores.surprise.ctypes.data,
            scores.standard.ctypes.data,
            0,
        )
        return scores

    def _update_twin(self, rows: Ints, values: Floats, scores: Scores) -> Scores:
        state = self.fields[:, rows]
        with np.errstate(invalid="ignore", over="ignore"):
            for at, row in enumerate(values):
                scores.surprise[at], scores.standard[at] = twin_step(state, row)
        self.fields[:, rows] = state
        return scores

    def copy(self) -> SeriesState:
        """Give a state of its own with the same content."""
        other = SeriesState(0)
        other.fields, other._update = self.fields.copy(), self._update
        return other

    def use_twin(self) -> None:
        """Judge by the twin in Python from now on."""
        self._update = None


def twin_step(state: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Judge and learn one value of each series; `state` (len(Field), n) changes. The reference for the C core."""
    count, scale, last = state[Field.COUNT].copy(), state[Field.SCALE].copy(), state[Field.LAST].copy()
    said, first = value == value, count == 0.0  # noqa: PLR0124 - NaN is not equal to itself
    learns = said & ~first
    x = np.where(said, value, state[Field.LEVEL])
    level, low, high = (np.where(first & said, x, state[one]) for one in (Field.LEVEL, Field.LOW, Field.HIGH))

    off = x - level
    size = np.abs(off)
    unit = _larger(scale, np.abs(level) * 0.01)
    still = unit == 0.0
    safe = np.where(still, _larger(size, np.finfo(float).tiny), unit)
    inverse = 1.0 / safe
    beyond = _larger(_larger(x - high, low - x), 0.0)
    bound = 4.0 * safe
    fast = state[Field.FAST] + 0.25 * (_larger(_smaller(off, bound), -bound) - state[Field.FAST])
    score = np.where(still & (size > 0.0), 64.0, (beyond + np.abs(fast)) * inverse)
    score = _smaller(score, 1048576.0)
    standard = np.where(said, _larger(_smaller(off * inverse, 64.0), -64.0), value)

    over = _log_2(1.0 + score) - state[Field.TAIL]
    surprise = 1.6989700043360187 + over / (state[Field.EXCESS] * 2.302585092994046)
    share = 1.0 / (count + 1.0)
    surprise = _larger(_smaller(surprise, SURPRISE_MAX - 300.0 * share), 0.0)
    surprise = np.where(learns & (count >= state[Field.WARM]), surprise, 0.0)

    rate = _larger(state[Field.RATE], share)
    _learn_tail(state, learns, said, over, surprise, share)
    state[Field.FAST] = np.where(learns, fast, state[Field.FAST])

    clip = np.where(still, 0.3 * size, np.where(count < 8.0, size, 3.0 * safe))
    held = _smaller(size, clip)
    state[Field.SCALE] = np.where(learns, scale + rate * (held - scale), scale)
    state[Field.LEVEL] = np.where(learns, level + rate * np.where(off < 0.0, -held, held), level)

    warm = count >= state[Field.WARM]
    reach = np.where(warm, 0.1 * safe, size)
    fade = np.where(warm, 0.02 * state[Field.RATE], 0.0)
    raised = np.where(x > high, high + _smaller(x - high, reach), high - fade * (high - level))
    lowered = np.where(x < low, low - _smaller(low - x, reach), low + fade * (level - low))
    state[Field.HIGH] = np.where(learns, raised, high)
    state[Field.LOW] = np.where(learns, lowered, low)

    same, moved = learns & (x == last), learns & (x != last)
    run = state[Field.RUN].copy()
    state[Field.RUN_MAX] = np.where(moved, _larger(state[Field.RUN_MAX], run), state[Field.RUN_MAX])
    state[Field.MOVE] = np.where(
        learns, state[Field.MOVE] + rate * (np.where(moved, 1.0, 0.0) - state[Field.MOVE]), state[Field.MOVE]
    )
    state[Field.RUN] = np.where(same, run + 1.0, np.where(moved, 0.0, run))
    state[Field.LAST] = np.where(said, x, last)
    state[Field.COUNT] = np.where(said, count + 1.0, count)
    return surprise, standard


def _learn_tail(
    state: Floats,
    learns: npt.NDArray[np.bool_],
    said: npt.NDArray[np.bool_],
    over: Floats,
    surprise: Floats,
    share: Floats,
) -> None:
    calm = np.where(state[Field.HEAT] > 2.0, 0.1, 1.0)
    tail = state[Field.TAIL] + calm * _smaller(0.05 + 5.0 * share, 0.5) * np.where(over > 0.0, 0.98, -0.02)
    weight = _smaller(calm * (0.02 + 6.0 * share), 0.2)
    excess = state[Field.EXCESS] + weight * (_smaller(over, 4.0 * state[Field.EXCESS]) - state[Field.EXCESS])
    steady = learns & (state[Field.COUNT] >= 8.0)
    state[Field.TAIL] = np.where(steady, _larger(tail, 1.0), state[Field.TAIL])
    state[Field.EXCESS] = np.where(steady & (over > 0.0), _larger(excess, 0.2), state[Field.EXCESS])
    heat = state[Field.HEAT] + 0.3 * (_smaller(surprise, 8.0) - state[Field.HEAT])
    state[Field.HEAT] = np.where(said, heat, state[Field.HEAT])


def _larger(a: Floats, b: Floats | float) -> Floats:
    return np.where(a > b, a, b)


def _smaller(a: Floats, b: Floats | float) -> Floats:
    return np.where(a < b, a, b)


def _log_2(a: Floats) -> Floats:
    """Give log2 of finite numbers >= 1 within 2e-5, by the steps of the C core."""
    bits = a.view(np.int64)
    exponent = ((bits >> 52) | 0x4330000000000000).view(np.float64) - 4503599627371519.0
    part = ((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    t = (part - 1.0) / (part + 1.0)
    square = t * t
    series = ((square * (1.0 / 7.0) + (1.0 / 5.0)) * square + (1.0 / 3.0)) * square + 1.0
    result: Floats = exponent + 2.8853900817779268 * (t * series)
    return result


def _native_update() -> ctypes._NamedFuncPointer | None:
    library = native_library()
    if library is None or not hasattr(library, "wk_metric_version") or library.wk_metric_version() != CORE_VERSION:
        return None
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    update = library.wk_metric_update
    update.argtypes = [pointer, size, pointer, size, pointer, size, pointer, pointer, ctypes.c_int32]
    update.restype = None
    return update
