"""The time series known: where each is kept, whose it is, how often it reports. Bounded; the longest unheard go first.

Enters: series numbers (signals/schema.py `series`) and event times. Leaves: slots, indices into arrays of one entry a
series. Knows neither values nor detection.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STEP_POINTS = 4


class About(NamedTuple):
    """What is said of a series. kind: OTLP's, in lower case. attributes: JSON text of the point's attributes."""

    name: str
    unit: str
    kind: str
    attributes: str
    service: str
    entity: str


class Sources:
    """See the module. series_max: slots at most.

    Arrays by slot: `series` numbers; of the newest point read, its time `last_ns`, its counter's start `start_ns`, and
    its `value`, or `total` and `count`; of the points judged so far, the newest time `seen_ns`, the usual interval
    `step_s` (fixed by the first four), the longest one `gap_s` and their number `points`; and the numbers of its
    `service` and `entity`.
    """

    ARRAYS = (
        "series",
        "last_ns",
        "seen_ns",
        "start_ns",
        "value",
        "total",
        "count",
        "step_s",
        "gap_s",
        "points",
        "service",
        "entity",
    )

    def __init__(self, series_max: int) -> None:
        self.series_max = series_max
        self.abouts: list[About | None] = []
        self.buckets: dict[int, npt.NDArray[np.float64]] = {}
        self.evicted = 0
        self.refused_points = 0
        self._free: list[int] = []
        self._sorted = np.empty(0, np.int64)
        self._slots = np.empty(0, np.int64)
        ints, floats = np.zeros(0, np.int64), np.zeros(0)
        self.series, self.last_ns, self.seen_ns, self.start_ns = (ints.copy() for _ in range(4))
        self.points, self.service, self.entity = (ints.copy() for _ in range(3))
        self.value, self.total, self.count = floats, floats.copy(), floats.copy()
        self.step_s, self.gap_s = floats.copy(), floats.copy()

    def __len__(self) -> int:
        return len(self._sorted)

    @property
    def live(self) -> Ints:
        """Give the slots in use, in order of series number."""
        return self._slots

    def find(self, series: Ints) -> Ints:
        """Give the slot of each series (n,), -1 for those not known. Cost: one binary search each."""
        if not len(self._sorted):
            return np.full(len(series), -1, np.int64)
        places = np.minimum(np.searchsorted(self._sorted, series), len(self._sorted) - 1)
        return np.where(self._sorted[places] == series, self._slots[places], -1)

    def make_room(self, wanted: int, keep: Ints) -> tuple[int, Ints]:
        """Make room for new series, leaving out those unheard for longest but none of the slots in `keep`.

        Gives how many of `wanted` there is room for, and the slots that were given up.
        """
        excess = len(self) + wanted - self.series_max
        if excess <= 0:
            return wanted, np.empty(0, np.int64)
        going = self._slots[~np.isin(self._slots, keep)]
        order = np.lexsort((self.series[going], self.last_ns[going]))
        going = going[order[:excess]]
        self.forget(going)
        self.evicted += len(going)
        return max(0, min(wanted, self.series_max - len(self))), going

    def forget(self, slots: Ints) -> None:
        """Give slots up."""
        for slot in slots.tolist():
            self.abouts[slot] = None
            self.buckets.pop(slot, None)
            self._free.append(slot)
        stays = ~np.isin(self._slots, slots)
        self._sorted, self._slots = self._sorted[stays], self._slots[stays]

    def add(self, series: Ints, abouts: list[About], services: Ints, entities: Ints) -> Ints:
        """Give new series their slots; `make_room` comes first."""
        wanted = len(series)
        slots = [self._free.pop() for _ in range(min(wanted, len(self._free)))]
        fresh = wanted - len(slots)
        begin = len(self.abouts)
        slots += range(begin, begin + fresh)
        self.abouts += [None] * fresh
        if len(self.abouts) > len(self.series):
            self._grow(max(len(self.abouts), min(2 * len(self.series), self.series_max), 64))
        taken = np.array(slots, np.int64)
        for name in self.ARRAYS:
            getattr(self, name)[taken] = 0
        self.series[taken], self.service[taken], self.entity[taken] = series, services, entities
        for slot, about in zip(slots, abouts, strict=True):
            self.abouts[slot] = about
        self._slots = np.concatenate((self._slots, taken))
        self._sorted = np.concatenate((self._sorted, series))
        order = np.argsort(self._sorted, kind="stable")
        self._sorted, self._slots = self._sorted[order], self._slots[order]
        return taken

    def heard(self, slots: Ints, times: Ints) -> Ints:
        """Note that points of distinct slots are judged, each later than those before.

        Gives the slots whose usual interval is known by this.
        """
        interval = (times - self.seen_ns[slots]) / 1e9
        points = self.points[slots]
        self.step_s[slots] = np.where(
            (points > 0) & (points < STEP_POINTS),
            np.where(points == 1, interval, np.minimum(self.step_s[slots], interval)),
            self.step_s[slots],
        )
        self.gap_s[slots] = np.where(points > 0, np.maximum(self.gap_s[slots], interval), 0.0)
        self.seen_ns[slots] = times
        self.points[slots] = points + 1
        known: Ints = slots[points + 1 == STEP_POINTS]
        return known

    def read_on(self, other: Sources) -> None:
        """Go on reading where `other` is: a counter's gain is counted from the newest point that other read."""
        places = other.find(self.series[self._slots])
        own, others = self._slots[places >= 0], places[places >= 0]
        for name in ("last_ns", "seen_ns", "start_ns", "value", "total", "count"):
            getattr(self, name)[own] = getattr(other, name)[others]
        for slot, at in zip(own.tolist(), others.tolist(), strict=True):
            self.buckets.pop(slot, None)
            if at in other.buckets:
                self.buckets[slot] = other.buckets[at].copy()

    def copy(self) -> Sources:
        """Give sources of their own with the same content."""
        other = Sources(self.series_max)
        other.take(self.arrays(), [None if one is None else list(one) for one in self.abouts])
        return other

    def _grow(self, capacity: int) -> None:
        for name in self.ARRAYS:
            old = getattr(self, name)
            new = np.zeros(capacity, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        arrays: dict[str, npt.NDArray[np.generic]] = {name: getattr(self, name) for name in self.ARRAYS}
        arrays.update({f"buckets.{slot}": counts for slot, counts in self.buckets.items()})
        arrays["slots"], arrays["free"] = self._slots, np.array(self._free, np.int64)
        return arrays

    def take(self, arrays: dict[str, npt.NDArray[np.generic]], abouts: list[list[str] | None]) -> None:
        """Take up what `arrays` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        for name in self.ARRAYS:
            setattr(self, name, np.array(arrays[name], getattr(self, name).dtype))
        self.abouts = [None if one is None else About(*one) for one in abouts]
        self._slots = np.array(arrays["slots"], np.int64)
        if len({len(getattr(self, name)) for name in self.ARRAYS}) != 1 or len(self.abouts) > len(self.series):
            raise ValueError("arrays of series are of different lengths")
        self._sorted = self.series[self._slots]
        self._free = np.array(arrays["free"], np.int64).tolist()
        self.buckets = {
            int(name.removeprefix("buckets.")): np.array(array, np.float64)
            for name, array in arrays.items()
            if name.startswith("buckets.")
        }
