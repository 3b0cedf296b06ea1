"""The channels of all series: state in the core, recent history to draw, and whose each row is. Also names by number.

A series has one to four channels (readings.py); each is a row here. An entity's joint deviation is a row of its own,
without a series. Rows are given out and taken back; arrays grow by doubling. Judges nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics.core import LEARNED, Scores, SeriesState
from watchkeeper.detect.metrics.readings import CHANNELS_MAX

HISTORY = 64
NO_SLOT = -1

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Names:
    """Numbers for names, given out again once nothing refers to them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.references: list[int] = []
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []

    def take(self, name: str) -> tuple[int, bool]:
        """Refer to a name once more; gives its number, and whether it is new."""
        number = self._numbers.get(name)
        if number is not None:
            self.references[number] += 1
            return number, False
        if not self._free:
            self._free.append(len(self.names))
            self.names.append("")
            self.references.append(0)
        number = self._free.pop()
        self.names[number], self.references[number] = name, 1
        self._numbers[name] = number
        return number, True

    def drop(self, number: int) -> bool:
        """Refer to a name once less; tells whether that was the last time."""
        self.references[number] -= 1
        if self.references[number] == 0:
            del self._numbers[self.names[number]]
            self.names[number] = ""
            self._free.append(number)
            return True
        return False

    def number(self, name: str) -> int:
        """Give the number of a name, -1 when it has none."""
        return self._numbers.get(name, -1)

    def live(self) -> Iterable[tuple[int, str]]:
        """Give numbers and names in use."""
        return ((number, name) for name, number in self._numbers.items())

    def restore(self, names: list[str], references: list[int]) -> None:
        """Take up saved names."""
        self.names, self.references = list(names), list(references)
        self._numbers = {name: at for at, (name, count) in enumerate(zip(names, references, strict=True)) if count > 0}
        self._free = [at for at, count in enumerate(references) if count == 0]


class Bank:
    """See the module.

    Arrays by row: `slot`, `channel`, `entity`, `service`, `live`, and of the newest value `times` and `standards`;
    `history_times` and `history_values` (rows, HISTORY) hold the newest values in a ring that `turns` counts.
    """

    ARRAYS = ("slot", "channel", "entity", "service", "times", "standards", "live", "turns")

    def __init__(self) -> None:
        self.state = SeriesState(64)
        self._free: list[int] = []
        self._used = 0
        self.slot, self.channel, self.entity, self.service = (np.full(64, NO_SLOT, np.int64) for _ in range(4))
        self.times, self.turns = np.zeros(64, np.int64), np.zeros(64, np.int64)
        self.standards, self.live = np.zeros(64), np.zeros(64, np.bool_)
        self.history_times = np.zeros((64, HISTORY), np.int64)
        self.history_values = np.zeros((64, HISTORY), np.float32)
        self.row_of = np.full((0, CHANNELS_MAX), -1, np.int64)
        self.held = np.zeros(0, np.int64)

    @property
    def used(self) -> int:
        """Give the number of rows ever given out; all live rows lie below."""
        return self._used

    def add(self, slot: int, channels: int, entity: int, service: int) -> Ints:
        """Give a series (or, with NO_SLOT, an entity) its rows."""
        rows = [self._free.pop() if self._free else self._next() for _ in range(channels)]
        taken = np.array(rows, np.int64)
        self.slot[taken], self.entity[taken], self.service[taken] = slot, entity, service
        self.channel[taken] = np.arange(channels)
        self.times[taken] = self.turns[taken] = 0
        self.standards[taken], self.live[taken] = 0.0, True
        if slot != NO_SLOT:
            if slot >= len(self.row_of):
                more = np.full((max(64, slot + 1, 2 * len(self.row_of)) - len(self.row_of), CHANNELS_MAX), -1, np.int64)
                self.row_of = np.concatenate((self.row_of, more))
            self.row_of[slot] = -1
            self.row_of[slot, :channels] = taken
        return taken

    def release(self, rows: Ints) -> None:
        """Take rows back."""
        self.live[rows] = False
        self._free += rows.tolist()

    def update(self, rows: Ints, values: Floats, times: Ints, offsets: Floats | None = None) -> Scores:
        """Judge and learn one value (n,) of each row (n,), none twice, and keep it in the history.

        offsets: what the season says of each (n,); it is taken off for the core, not in the history. Rows of `held`
        are judged and do not learn.
        """
        held = np.intersect1d(rows, self.held) if len(self.held) else self.held
        before = self.state.fields[:, held]
        scores = self.state.update(rows, (values if offsets is None else values - offsets)[None])
        if len(held):
            for field in LEARNED:
                self.state.fields[field, held] = before[field]
        said = ~np.isnan(values)
        kept = rows[said]
        place = self.turns[kept] % HISTORY
        self.history_times[kept, place], self.history_values[kept, place] = times[said], values[said]
        self.turns[kept] += 1
        self.times[kept] = times[said]
        self.standards[kept] = scores.standard[0][said]
        return scores

    def points(self, row: int) -> list[tuple[int, float]]:
        """Give the newest values of a row in order of time."""
        turns = int(self.turns[row])
        order = np.arange(max(0, turns - HISTORY), turns) % HISTORY
        values = self.history_values[row, order].astype(np.float64)
        return list(zip(self.history_times[row, order].tolist(), values.tolist(), strict=True))

    def _next(self) -> int:
        if self._used == len(self.slot):
            self._grow(2 * self._used)
        self._used += 1
        return self._used - 1

    def _grow(self, capacity: int) -> None:
        self.state.grow(capacity)
        for name in (*self.ARRAYS, "history_times", "history_values"):
            old = getattr(self, name)
            new = np.zeros((capacity, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        names = (*self.ARRAYS, "history_times", "history_values")
        arrays = {name: getattr(self, name)[: self._used] for name in names}
        arrays["fields"] = self.state.fields[:, : self._used]
        arrays["row_of"], arrays["free"] = self.row_of, np.array(self._free, np.int64)
        return arrays

    def take(self, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        used = len(arrays["slot"])
        capacity = max(64, used)
        self.__init__()  # type: ignore[misc]
        self._grow(capacity)
        for name in (*self.ARRAYS, "history_times", "history_values"):
            getattr(self, name)[:used] = arrays[name]
        self.state.fields[:, :used] = arrays["fields"]
        self.row_of = np.array(arrays["row_of"], np.int64)
        self._free = np.array(arrays["free"], np.int64).tolist()
        self._used = used
