"""The event time of each service: its windows, how long it has been learned from, how far behind the newest it is.

Enters: the service and time of readings in order of arrival. Leaves: which readings come before the next window of
their service begins. Knows no values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Services:
    """See the module.

    Arrays by service: `first` and `newest` event time, `now` (the newest, or the clock since), `window` its number,
    `points` taken, `closed` the time up to which windows are closed.
    """

    ARRAYS = ("first", "newest", "now", "window", "points", "closed")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self.first, self.newest, self.now, self.window, self.points, self.closed = (
            np.zeros(0, np.int64) for _ in self.ARRAYS
        )

    def added(self, service: int) -> None:
        """Make room for a new service."""
        if service >= len(self.first):
            more = max(64, service + 1, 2 * len(self.first)) - len(self.first)
            for name in self.ARRAYS:
                setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more, np.int64))))
        for name in self.ARRAYS:
            getattr(self, name)[service] = 0

    def turns(self, service: Ints, times: Ints) -> Iterator[tuple[Ints, Flags]]:
        """Cut readings, in order of arrival, where a window of their service ends.

        Gives the places of readings and the services (S,) whose window ends before these are taken. Late readings, of
        a window that ended, count in the open one.
        """
        windows = times // self._window_ns
        order = np.argsort(service, kind="stable")
        own, at = service[order], windows[order]
        first = np.diff(own, prepend=-1) != 0
        group = np.cumsum(first) - 1
        floor = self.window[own]
        base = min(int(at.min()), int(floor.min()))
        span = max(int(at.max()), int(floor.max())) - base + 1
        highest = np.maximum.accumulate(group * span + np.maximum(at, floor) - base)
        before = np.concatenate(([-1], highest[:-1]))
        before = np.where(first, group * span + floor - base, before)
        total = np.cumsum(highest > before)
        starts = np.flatnonzero(first)
        turn: Ints = total - np.repeat((total - (highest > before))[starts], np.diff(np.append(starts, len(own))))
        by_turn = np.argsort(turn, kind="stable")
        cuts = np.flatnonzero(np.diff(turn[by_turn])) + 1
        for part in np.split(by_turn, cuts):
            places = np.sort(order[part])
            advanced = np.zeros(len(self.first), np.bool_)
            if turn[part[0]] > 0:
                advanced[service[places]] = True
            yield places, advanced & (self.points > 0)
            self.window[own[part]] = highest[part] - group[part] * span + base

    def take(self, service: Ints, times: Ints) -> None:
        """Note readings."""
        new = self.points[service] == 0
        if new.any():
            self.first[service[new]] = np.iinfo(np.int64).max
            np.minimum.at(self.first, service[new], times[new])
            self.closed[service[new]] = self.first[service[new]]
        np.maximum.at(self.newest, service, times)
        np.maximum.at(self.now, service, times)
        np.add.at(self.points, service, 1)

    def advance(self, now_ns: int, out_of_step_ns: int) -> Flags:
        """Let the clock move on; tells the services whose window ended.

        A service far behind the newest keeps its distance.
        """
        live = self.points > 0
        if not live.any():
            return live
        behind = int(self.newest[live].max()) - self.newest
        at = now_ns - np.where(behind > out_of_step_ns, behind, 0)
        window = at // self._window_ns
        advanced = live & (window > self.window)
        self.now[advanced] = np.maximum(self.now, at)[advanced]
        self.window[advanced] = window[advanced]
        return advanced

    def passed_s(self, service: Ints) -> Floats:
        """Give the seconds since the windows of these services were closed last, and note that they are now."""
        seconds: Floats = (self.now[service] - self.closed[service]) / 1e9
        self.closed[service] = self.now[service]
        return seconds

    def go_on(self, service: int, other: Services, at: int) -> None:
        """Let a service go on at the time where the service `at` of `other` is; the time between is not learned."""
        learned = self.newest[service] - self.first[service]
        for name in ("newest", "now", "window", "closed"):
            getattr(self, name)[service] = getattr(other, name)[at]
        self.first[service] = self.newest[service] - learned

    def learned_s(self, service: int) -> float:
        """Give how long a service has been learned from."""
        return float(self.newest[service] - self.first[service]) / 1e9

    def learned_all_s(self) -> Floats:
        """Give the same for all services (S,)."""
        seconds: Floats = (self.newest - self.first) / 1e9
        return seconds

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def take_up(self, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; raises KeyError when one is missing."""
        for name in self.ARRAYS:
            setattr(self, name, np.array(arrays[name], np.int64))
