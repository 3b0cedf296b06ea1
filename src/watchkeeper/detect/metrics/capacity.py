"""Capacity: which channels fill something up, what their limit is, and when they will reach it.

Enters: the readings of utilisation gauges (0..1 or %), and of usages whose limit is told beside them by the same
entity. Leaves: `metric.forecast` findings. Keeps a coarse course of each such channel over all of its time: when it is
full, neighbours are merged. Does not judge the present: the level is watch.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics import wording
from watchkeeper.detect.metrics.bank import Names
from watchkeeper.detect.metrics.channels import Channels
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.episodes import FORECAST, Episodes, Said
from watchkeeper.detect.metrics.forecast import Forecast, forecast
from watchkeeper.detect.metrics.sources import About
from watchkeeper.detect.metrics.wording import Member
from watchkeeper.signals.aspect import aspect_of
from watchkeeper.signals.finding import Band, Finding, FindingSeverity

COURSE = 96
COURSE_MIN = 32
LOOK_EVERY = 4
BEYOND_HISTORY = 4.0
HISTORY_S_MIN = 7_200.0
CRITICAL_S = 3_600.0
WARNING_S = 21_600.0

FILLS = frozenset({"disk", "memory", "queue", "other"})
_SHARE = re.compile(r"util|percent|ratio|_pct|usage_rate|quota", re.IGNORECASE)
_USED = re.compile(r"(used|usage|working_set|size|in_use|inuse)(_bytes)?$", re.IGNORECASE)
_LIMITS = ("limit", "max", "capacity", "total", "quota")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Capacity:
    """See the module. horizon_s: how far ahead a limit is worth telling.

    Arrays by place (a channel that fills up): `rows`, `filled` points of its course, `width` readings a point,
    `held` readings and `total` their sum since the last point; `times` and `values` (places, COURSE).
    """

    ARRAYS = ("rows", "filled", "width", "held", "total", "times", "values")

    def __init__(
        self, channels: Channels, services: Names, entities: Names, episodes: Episodes, *, horizon_s: float
    ) -> None:
        self._channels, self._services, self._entities, self._episodes = channels, services, entities, episodes
        self._horizon_s = horizon_s
        self.rows, self.filled, self.width, self.held = (np.zeros(0, np.int64) for _ in range(4))
        self.total = np.zeros(0)
        self.times, self.values = np.zeros((0, COURSE), np.int64), np.zeros((0, COURSE))
        self._place = np.full(0, -1, np.int64)
        self.limits: dict[tuple[int, str, str], int] = {}

    def added(self, row: int, about: About, entity: int) -> None:
        """Take note of a new channel: one that fills up, or the limit of one."""
        stem = _limit_stem(about.name)
        if stem:
            self.limits[entity, stem, about.attributes] = row
        if not fills(about):
            return
        self.rows = np.append(self.rows, row)
        for name in ("filled", "held"):
            setattr(self, name, np.append(getattr(self, name), 0))
        self.width, self.total = np.append(self.width, 1), np.append(self.total, 0.0)
        self.times = np.concatenate((self.times, np.zeros((1, COURSE), np.int64)))
        self.values = np.concatenate((self.values, np.zeros((1, COURSE))))
        self._index()

    def gone(self, rows: Ints) -> None:
        """Forget channels."""
        stays = ~np.isin(self.rows, rows)
        for name in self.ARRAYS:
            setattr(self, name, getattr(self, name)[stays])
        lost = set(rows.tolist())
        self.limits = {key: row for key, row in self.limits.items() if row not in lost}
        self._index()

    def take(self, rows: Ints, values: Floats, times: Ints) -> Ints:
        """Take one value of each row in, none twice; gives the places whose course got a new point."""
        known = rows < len(self._place)
        places = np.full(len(rows), -1, np.int64)
        places[known] = self._place[rows[known]]
        own = places >= 0
        places, values, times = places[own], values[own], times[own]
        if not len(places):
            return places
        self.total[places] += values
        self.held[places] += 1
        full = self.held[places] >= self.width[places]
        done, times = places[full], times[full]
        for place in done[self.filled[done] == COURSE].tolist():
            self._merge(place)
        at = self.filled[done]
        self.values[done, at], self.times[done, at] = self.total[done] / self.held[done], times
        self.filled[done] += 1
        self.total[done], self.held[done] = 0.0, 0
        return done

    def tell(self, places: Ints, judging: npt.NDArray[np.bool_]) -> list[Finding]:
        """Give the findings on limits that are near."""
        found = []
        bank = self._channels.bank
        places = places[(self.filled[places] >= COURSE_MIN) & (self.filled[places] % LOOK_EVERY == 0)]
        for place in places.tolist():
            if not self._is_highest(place):
                continue
            row = int(self.rows[place])
            limit = self.limit(row)
            if limit is None or not judging[bank.service[row]]:
                continue
            own = slice(0, int(self.filled[place]))
            times, values = self.times[place, own], self.values[place, own]
            ahead = forecast(times, values, limit=limit, horizon_s=self._horizon_s)
            if is_near(ahead, float(values[-1]), limit):
                found.append(self._tell(place, row, limit, ahead))
        return found

    def limit(self, row: int) -> float | None:
        """Give the limit of a channel, None when it is not known."""
        about, bank = self._channels.about(row), self._channels.bank
        if is_share(about):
            high = float(bank.state.fields[Field.HIGH, row])
            return 1.0 if about.unit == "1" or (about.unit != "%" and high <= 1.0) else 100.0
        key = (int(bank.entity[row]), _used_stem(about.name), about.attributes)
        beside = self.limits.get(key)
        limit = float(bank.state.fields[Field.LAST, beside]) if beside is not None else 0.0
        return limit if limit > 0 else None

    def _is_highest(self, place: int) -> bool:
        """Tell whether the newest points lie above the earlier course: what needs no forecast is cheap to rule out."""
        filled = int(self.filled[place])
        course = self.values[place, :filled]
        return float(course[-LOOK_EVERY:].mean()) >= float(course[: filled // 2].max())

    def _tell(self, place: int, row: int, limit: float, ahead: Forecast) -> Finding:
        bank = self._channels.bank
        member = self._channels.member(row)
        filled = int(self.filled[place])
        history_s = float(self.times[place, filled - 1] - self.times[place, 0]) / 1e9
        member.step_s = LOOK_EVERY * history_s / max(filled - 1, 1)
        member.first_ns = member.last_ns = int(self.times[place, filled - 1])
        member.value, member.learned_s, member.readings = float(self.values[place, filled - 1]), ahead.history_s, 1
        entity, service = int(bank.entity[row]), int(bank.service[row])
        name = self._entities.names[entity]
        about = (name, self._services.names[service])
        course = list(zip(self.times[place, :filled].tolist(), self.values[place, :filled].tolist(), strict=True))
        return self._episodes.tell(
            FORECAST,
            about,
            [member],
            _said(name, limit, ahead),
            lambda _: course,
            now_ns=member.last_ns,
            subject=self._channels.key(row).replace("\x1f", " "),
        )

    def _merge(self, place: int) -> None:
        """Halve the resolution of a course."""
        half = COURSE // 2
        self.values[place, :half] = self.values[place].reshape(half, 2).mean(axis=1)
        self.times[place, :half] = self.times[place, 1::2]
        self.filled[place] = half
        self.width[place] *= 2

    def _index(self) -> None:
        self._place = np.full(int(self.rows.max()) + 1 if len(self.rows) else 0, -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def take_up(self, arrays: dict[str, npt.NDArray[np.generic]], limits: list[list[object]]) -> None:
        """Take up what was saved; raises KeyError or ValueError when it does not fit."""
        for name in self.ARRAYS:
            setattr(self, name, np.array(arrays[name], getattr(self, name).dtype))
        self.limits = {(int(str(entity)), str(stem), str(more)): int(str(row)) for entity, stem, more, row in limits}
        self._index()


def fills(about: About) -> bool:
    """Tell whether a series is of something that fills up, by its name, unit and kind."""
    if about.kind not in {"gauge", "sum"} or aspect_of(about.name, about.unit) not in FILLS:
        return False
    return is_share(about) or bool(_USED.search(about.name.replace(".", "_")))


def is_share(about: About) -> bool:
    """Tell whether a series is a share of what there is."""
    return about.unit == "%" or bool(_SHARE.search(about.name)) or (about.unit == "1" and about.name.endswith("usage"))


def is_near(ahead: Forecast, now: float, limit: float) -> bool:
    """Tell whether a limit is near enough to tell: a trend reaches it, and not too far beyond what was seen of it."""
    if not ahead.is_trend or ahead.slope_per_s <= 0 or ahead.time_to_limit_s is None or now >= limit:
        return False
    return ahead.history_s >= HISTORY_S_MIN and ahead.time_to_limit_s <= BEYOND_HISTORY * ahead.history_s


def _said(entity: str, limit: float, ahead: Forecast) -> Callable[[list[Member]], Said]:
    expected_s = ahead.time_to_limit_s or 0.0
    earliest_s, latest_s = ahead.earliest_s, ahead.latest_s

    def said(members: list[Member]) -> Said:
        first = members[0]
        top = wording.amount(limit, first.unit)
        late = wording.duration(latest_s) if latest_s is not None else "later"
        rise = wording.amount(ahead.slope_per_s * 3600.0, first.unit)
        level = FindingSeverity.INFO
        if expected_s < WARNING_S:
            level = FindingSeverity.CRITICAL if expected_s < CRITICAL_S else FindingSeverity.WARNING
        return Said(
            f"{wording.shown(entity)}: {first.name} will reach {top} in about {wording.duration(expected_s)}",
            f"{first.name} is at {wording.amount(first.value, first.unit)} and rose by {rise} an hour over "
            f"{wording.duration(ahead.history_s)} without falling back. If it goes on like that, it reaches its limit "
            f"of {top} in {wording.duration(earliest_s or 0.0)} to {late}.",
            level,
            min(12.0, abs(ahead.z)),
            Band(f"below {top}", None, limit, first.unit),
            Band(wording.amount(first.value, first.unit), first.value, first.value, first.unit),
            {"limit": limit, "time_to_limit_s": [earliest_s, expected_s, latest_s]},
        )

    return said


def _limit_stem(name: str) -> str:
    """Give what a limit is of: its name without the word for limit; "" when it is none."""
    plain = name.lower().replace(".", "_").removesuffix("_bytes")
    for word in _LIMITS:
        if plain.endswith(f"_{word}"):
            return plain.removesuffix(f"_{word}")
    return ""


def _used_stem(name: str) -> str:
    return _USED.sub("", name.lower().replace(".", "_")).rstrip("_")
