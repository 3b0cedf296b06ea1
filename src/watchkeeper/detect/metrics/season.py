"""The daily and weekly season of series: what is usual at this time of the day, taken off before the core judges.

Enters: rows, values and event times, in order of time. Leaves: what to take off. Each series that has been watched for
two days at a step of STEP_S_MIN or more gets a place: a level for each of up to 288 slots of the day (UTC), and after
two weeks one for each hour of the week. A season is used only while it explains the series better than none did, by
errors of about the last day, each made before its value was learned. Knows no metrics and no thresholds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics.core import Field, SeriesState

SLOTS = 288
HOURS = 168
STEP_S_MIN = 30.0
HISTORY_S = 2 * 86_400.0
DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
NONE, DAILY, WEEKLY = 0, 1, 2
BETTER = 0.85
WORSE = 0.97
SLOT_RATE = 0.15
CLIP = 4.0
RANGE = 5.0
SHRINK = 0.5
RUNS = (Field.RUN, Field.RUN_MAX, Field.MOVE, Field.LAST)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


class Season:
    """See the module. places_max: series with a season, about 2.9 kB each; who comes first has one.

    Arrays by place: `rows`, `mode` in use, `slots` of its day, `per_slot` readings a slot and day, `begun` (ns), `rate`
    of its level and `day_rate`, `base` the mean of some days; `level` and `error` (3, places) without a season, with
    the daily one, with both; `daily`, `daily_seen` (places, SLOTS), `weekly`, `weekly_seen` (places, HOURS): levels and
    readings; `runs` (4, places): what the core keeps of repetitions, by plain values.
    """

    VECTORS = ("rows", "mode", "slots", "begun", "per_slot", "rate", "day_rate", "base")
    STACKS = ("level", "error", "runs")
    TABLES = ("daily", "daily_seen", "weekly", "weekly_seen")

    def __init__(self, places_max: int) -> None:
        self.places_max = places_max
        self.used = 0
        self._free: list[int] = []
        self._place = np.full(0, -1, np.int64)
        self.rows, self.mode, self.slots, self.begun = (np.zeros(0, np.int64) for _ in range(4))
        self.per_slot, self.rate, self.day_rate, self.base = (np.zeros(0) for _ in range(4))
        self.level, self.error, self.runs = np.zeros((3, 0)), np.zeros((3, 0)), np.zeros((len(RUNS), 0))
        self.daily: Singles = np.zeros((0, SLOTS), np.float32)
        self.daily_seen: Singles = self.daily.copy()
        self.weekly: Singles = np.zeros((0, HOURS), np.float32)
        self.weekly_seen: Singles = self.weekly.copy()

    def __len__(self) -> int:
        return self.used - len(self._free)

    def consider(self, rows: Ints, step_s: Floats, times: Ints, state: SeriesState) -> None:
        """Give a place to rows (n,) of this step (n,) that have been watched for long enough."""
        fields = state.fields
        old = (fields[Field.COUNT, rows] * step_s >= HISTORY_S) & (step_s >= STEP_S_MIN)
        if not old.any():
            return
        old &= self.places(rows) < 0
        for at in np.flatnonzero(old).tolist():
            if len(self) >= self.places_max:
                return
            self._begin(int(rows[at]), float(step_s[at]), int(times[at]), state)

    def gone(self, rows: Ints) -> None:
        """Forget rows."""
        places = self.places(rows)
        for place in places[places >= 0].tolist():
            self._place[self.rows[place]] = -1
            self.rows[place] = -1
            self._free.append(place)

    def places(self, rows: Ints) -> Ints:
        """Give the place of each row (n,), -1 for none."""
        if not len(self._place):
            return np.full(len(rows), -1, np.int64)
        return np.where(rows < len(self._place), self._place[np.minimum(rows, len(self._place) - 1)], -1)

    def offsets(self, rows: Ints, times: Ints) -> Floats:
        """Give what the season in use says of each row (n,) at a time (n,), 0 for none."""
        result = np.zeros(len(rows))
        places = self.places(rows)
        own = np.flatnonzero(places >= 0)
        own = own[self.mode[places[own]] != NONE]
        if len(own):
            expected = self._expected(places[own], times[own])
            result[own] = expected[self.mode[places[own]], np.arange(len(own))]
        return result

    def learn(self, rows: Ints, values: Floats, times: Ints, state: SeriesState) -> None:
        """Learn values (n,) of rows (n,), none twice, after the core has; changes which season is in use."""
        places = self.places(rows)
        own = np.flatnonzero(places >= 0)
        if not len(own):
            return
        places, values, times = places[own], values[own], times[own]
        expected = self._expected(places, times)
        self._judge(places, values - expected, times)
        self._learn_slots(places, values, times, expected)
        self._keep_runs(places, values, state)
        self._choose(places, times, state)

    # -- steps ----------------------------------------------------------------------------------------------------

    def _expected(self, places: Ints, times: Ints) -> Floats:
        """Give (3, n): nothing, the daily season, both; each slot leans on its neighbours, and on 0 when new."""
        slots = self.slots[places]
        at = times % DAY_NS * slots // DAY_NS
        around = np.stack(((at - 1) % slots, at, (at + 1) % slots))
        weight = np.array([[1.0], [2.0], [1.0]]) * np.minimum(
            self.daily_seen[places, around] / self.per_slot[places], 8
        )
        total = weight.sum(axis=0)
        daily = (weight * self.daily[places, around]).sum(axis=0) / (total + SHRINK)
        hour = times // HOUR_NS % HOURS
        weeks = self.weekly_seen[places, hour] / (self.per_slot[places] * slots / 24)
        weekly = daily + self.weekly[places, hour] * weeks / (weeks + SHRINK)
        return np.stack((np.zeros(len(places)), daily, weekly))

    def _judge(self, places: Ints, rest: Floats, times: Ints) -> None:
        """Learn level and error (3, n) of what each season leaves; a far value counts as one that is less far."""
        level, error = self.level[:, places], self.error[:, places]
        off = rest - level
        age_s = (times - self.begun[places]) / 1e9
        first = age_s < DAY_S
        bound = np.where(first | (error == 0.0), np.inf, CLIP * error[NONE])
        held = np.clip(off, -bound, bound)
        self.level[:, places] = level + self.rate[places] * held
        # Errors of a season that is still being learned say nothing: until then all are as large as without.
        size = np.abs(held)
        size[DAILY] = np.where(first, size[NONE], size[DAILY])
        size[WEEKLY] = np.where(age_s < 2 * WEEK_S, size[DAILY], size[WEEKLY])
        since_s = np.stack([np.where(age_s < begun, age_s, age_s - begun) for begun in (DAY_S, DAY_S, 2 * WEEK_S)])
        rate = self.day_rate[places]
        weight = np.minimum(np.maximum(rate, rate * DAY_S / np.maximum(since_s, 1.0)), 0.5)
        self.error[:, places] = error + weight * (size - error)

    def _learn_slots(self, places: Ints, values: Floats, times: Ints, expected: Floats) -> None:
        bound = CLIP * np.where(self.error[NONE, places] > 0, self.error[NONE, places], np.inf)
        slots, per_slot = self.slots[places], self.per_slot[places]
        base = self.base[places]
        at = times % DAY_NS * slots // DAY_NS
        known, seen = self.daily[places, at], self.daily_seen[places, at]
        young = seen < 2 * per_slot
        off = values - base - known
        held = np.where(young, off, np.clip(off, -bound, bound))
        self.daily[places, at] = known + np.maximum(1.0 / (seen + 1.0), SLOT_RATE / per_slot) * held
        self.daily_seen[places, at] = seen + 1.0
        self.base[places] = base + 0.5 * self.day_rate[places] * np.clip(values - expected[DAILY] - base, -bound, bound)
        week = np.flatnonzero(times - self.begun[places] >= int(WEEK_S * 1e9))
        if len(week):
            places, hour = places[week], times[week] // HOUR_NS % HOURS
            known, seen = self.weekly[places, hour], self.weekly_seen[places, hour]
            per_hour = self.per_slot[places] * self.slots[places] / 24
            off = np.clip((values - expected[DAILY])[week] - self.base[places] - known, -bound[week], bound[week])
            self.weekly[places, hour] = known + np.maximum(1.0 / (seen + 1.0), SLOT_RATE / per_hour) * off
            self.weekly_seen[places, hour] = seen + 1.0

    def _keep_runs(self, places: Ints, values: Floats, state: SeriesState) -> None:
        """Keep how often plain values repeat, for those with a season in use: what the core sees never does."""
        rows, fields = self.rows[places], state.fields
        run, longest, move, last = self.runs[:, places]
        moved = values != last
        self.runs[:, places] = (
            np.where(moved, 0.0, run + 1.0),
            np.where(moved, np.maximum(longest, run), longest),
            move + fields[Field.RATE, rows] * (moved - move),
            values,
        )
        used = self.mode[places] != NONE
        for at, name in enumerate(RUNS):
            fields[name, rows[used]] = self.runs[at, places[used]]

    def _choose(self, places: Ints, times: Ints, state: SeriesState) -> None:
        """Use the season with the smallest error where it is clearly smaller than that of the one in use."""
        mode, error = self.mode[places], self.error[:, places]
        now = error[mode, np.arange(len(places))]
        ready = times - self.begun[places] >= int(2 * DAY_S * 1e9)
        best = np.argmin(error, axis=0)
        better = (best != mode) & (error[best, np.arange(len(places))] < np.where(best > mode, BETTER, WORSE) * now)
        for at in np.flatnonzero(better & ready).tolist():
            place, chosen = int(places[at]), int(best[at])
            self.mode[place] = chosen
            row, level = int(self.rows[place]), self.level[chosen, place]
            reach = RANGE * self.error[chosen, place]
            fields = state.fields
            fields[Field.LEVEL, row], fields[Field.FAST, row] = level, 0.0
            fields[Field.SCALE, row] = self.error[chosen, place]
            fields[Field.LOW, row], fields[Field.HIGH, row] = level - reach, level + reach

    def _begin(self, row: int, step_s: float, time_ns: int, state: SeriesState) -> None:
        if not self._free:
            if self.used == len(self.rows):
                self._grow(max(64, 2 * self.used))
            self._free.append(self.used)
            self.used += 1
        place = self._free.pop()
        if row >= len(self._place):
            more = max(64, row + 1, 2 * len(self._place)) - len(self._place)
            self._place = np.concatenate((self._place, np.full(more, -1, np.int64)))
        self._place[row] = place
        fields = state.fields[:, row]
        slots = int(min(SLOTS, max(24, DAY_S // step_s)))
        self.rows[place], self.mode[place], self.slots[place], self.begun[place] = row, NONE, slots, time_ns
        self.per_slot[place] = max(1.0, DAY_S / slots / step_s)
        self.rate[place], self.day_rate[place] = fields[Field.RATE], min(step_s / DAY_S, 0.2)
        self.base[place] = fields[Field.LEVEL]
        self.level[:, place], self.error[:, place] = fields[Field.LEVEL], fields[Field.SCALE]
        self.runs[:, place] = [fields[name] for name in RUNS]
        for name in self.TABLES:
            getattr(self, name)[place] = 0.0

    def _grow(self, capacity: int) -> None:
        for name in (*self.VECTORS, *self.TABLES, *self.STACKS):
            old, axis = getattr(self, name), -1 if name in self.STACKS else 0
            shape = list(old.shape)
            shape[axis] = capacity - shape[axis]
            setattr(self, name, np.concatenate((old, np.zeros(shape, old.dtype)), axis=axis))

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        arrays = {name: getattr(self, name)[: self.used] for name in (*self.VECTORS, *self.TABLES)}
        arrays.update({name: getattr(self, name)[:, : self.used] for name in self.STACKS})
        return arrays

    def take(self, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        for name in (*self.VECTORS, *self.TABLES, *self.STACKS):
            setattr(self, name, np.array(arrays[name], getattr(self, name).dtype))
        self.used = len(self.rows)
        if any(getattr(self, name).shape[-1 if name in self.STACKS else 0] != self.used for name in arrays):
            raise ValueError("arrays of seasons are of different lengths")
        self._free = np.flatnonzero(self.rows < 0).tolist()
        live = np.flatnonzero(self.rows >= 0)
        self._place = np.full(int(self.rows.max(initial=-1)) + 1, -1, np.int64)
        self._place[self.rows[live]] = live
