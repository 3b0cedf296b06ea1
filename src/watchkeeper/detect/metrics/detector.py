"""The metric detector: batches of metric points in, findings out; all series are judged together.

Takes readings from points (readings.py), lets the core judge and learn them (core.py), and at the end of each window
of a service looks over its channels (watch.py). Event time rules, and each service has its own, so that an old day can
be replayed beside a live one. Rows count in their order of arrival, so batches may be cut anywhere. Does no I/O but
save and load.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.detect.base import LearningState
from watchkeeper.detect.metrics import readings, state
from watchkeeper.detect.metrics.bank import Bank, Names
from watchkeeper.detect.metrics.capacity import Capacity
from watchkeeper.detect.metrics.channels import Channels
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.episodes import JOINT, Episodes
from watchkeeper.detect.metrics.joint import JointMaker
from watchkeeper.detect.metrics.joint_entities import JointEntities
from watchkeeper.detect.metrics.peers import Peers
from watchkeeper.detect.metrics.readings import Readings, Told
from watchkeeper.detect.metrics.season import Season
from watchkeeper.detect.metrics.services import Services
from watchkeeper.detect.metrics.sources import Sources
from watchkeeper.detect.metrics.thresholds import Thresholds
from watchkeeper.detect.metrics.watch import Watch
from watchkeeper.detect.protection import Confirmed
from watchkeeper.signals.finding import Finding

MEMORY_S = 3600.0
MEMORY_READINGS_MIN = 60.0
WARM_READINGS_MIN = 20.0
WARM_SHARE = 0.5
WARM_STEP_S = 15.0
NEVER = 1e18
SEASONS_MAX = 20_000
OUT_OF_STEP_NS = 600_000_000_000

Ints = npt.NDArray[np.int64]


class MetricDetector:
    """Watches metrics; see detect/base.py for the interface.

    warmup_s: event time of a service that is only learned from. window_s: how often a service is looked over. close_s:
    quiet time after which a finding closes. series_max: series kept; those unheard for longest go first, and the count
    is told. forecast_horizon_s: how near a limit must be to be told. alarms_max: how often a day a service's threshold
    may be crossed before it rises. joint: makes the scorer of an entity's joint deviation, given its number of
    channels and their step; without it, and until it has learned, the root mean square serves. joint_bytes_max: memory
    of these scorers, about 7 kB a channel; entities beyond it keep the root mean square and are counted. season:
    whether daily and weekly seasons are learned, of SEASONS_MAX slow series at most, 2.9 kB each. Cost: some
    microseconds a point in batches of thousands, and about 2 kB of memory a channel.
    """

    def __init__(
        self,
        *,
        warmup_s: float = 1800.0,
        window_s: float = 10.0,
        close_s: float = 120.0,
        series_max: int = 100_000,
        forecast_horizon_s: float = 86_400.0,
        alarms_max: float = 0.1,
        joint: JointMaker | None = None,
        joint_bytes_max: int = 64 * 2**20,
        season: bool = True,
    ) -> None:
        self._warmup_s, self._window_ns = warmup_s, max(1, int(window_s * 1e9))
        self._forecast_horizon_s = forecast_horizon_s
        self._close_s, self._series_max, self._alarms_max, self._joint = close_s, series_max, alarms_max, joint
        self._joint_bytes_max, self._with_season = joint_bytes_max, season
        self._protected: frozenset[tuple[str, str, str]] = frozenset()
        self._empty()

    def _empty(self) -> None:
        self.told = Told()
        self.sources, self.bank = Sources(self._series_max), Bank()
        self.names, self.entities = Names(), Names()
        self.services = Services(self._window_ns)
        self.episodes, self.thresholds = Episodes(self._close_s), Thresholds(self._alarms_max)
        self.episodes.protected = self._protected
        self.season = Season(SEASONS_MAX)
        self.channels = Channels(self.bank, self.sources, self.season)
        self.capacity = Capacity(
            self.channels, self.names, self.entities, self.episodes, horizon_s=self._forecast_horizon_s
        )
        self.peers = Peers(self.bank)
        self.joints = JointEntities(self.bank, self._joint, self._joint_bytes_max)
        self.watch = Watch(
            self.channels, self.names, self.entities, self.episodes, self.thresholds, self.peers, self.joints
        )

    def score(self, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
        """Give each row's score (n,): the highest surprise of its channels, -log10 of chance by the series' own past.

        0..12, higher = more anomalous; 0 while its series is new or warming up. Changes nothing; costs a copy of the
        state.
        """
        scores = np.zeros(batch.num_rows)
        if batch.num_rows == 0 or not len(self.sources):
            return scores
        own, fields = self.sources.copy(), self.bank.state.copy()
        slots = own.find(readings.numbers(batch, "series"))
        taken, rows_in = readings.read(batch, slots, own, Told())
        for places in _turns(taken.slots):
            rows, values, at, which = self._flat(taken, places)
            surprise = fields.update(rows, (values - self.season.offsets(rows, at))[None]).surprise[0]
            np.maximum.at(scores, rows_in[places][which], surprise)
        return scores

    def learn(self, batch: pa.RecordBatch) -> list[Finding]:
        """Take the batch in and give the findings that it opened, changed or closed; each once, as it is now."""
        changed: dict[str, Finding] = {}
        if batch.num_rows == 0:
            return []
        slots = self._slots(batch, changed)
        taken, _ = readings.read(batch, slots, self.sources, self.told)
        if len(taken.slots):
            service = self.sources.service[taken.slots]
            for places, advanced in self.services.turns(service, taken.times):
                if advanced.any():
                    self._close(advanced, changed)
                for finding in self._take(taken, places):
                    changed[finding.id] = finding
        for finding in self.episodes.trim():
            changed[finding.id] = finding
        return list(changed.values())

    def flush(self, now_unix_ns: int) -> list[Finding]:
        """Close the windows that ended before `now_unix_ns` (event time), and give the findings this changed."""
        changed: dict[str, Finding] = {}
        advanced = self.services.advance(now_unix_ns, OUT_OF_STEP_NS)
        if advanced.any():
            self._close(advanced, changed)
        return list(changed.values())

    def learning(self) -> list[LearningState]:
        """Tell, for each service, how far learning has come; `lines` counts points."""
        said = []
        for number, name in sorted(self.names.live(), key=lambda one: one[1]):
            learned_s = self.services.learned_s(number)
            state_now = "warming" if learned_s < self._warmup_s else "watching"
            said.append(
                LearningState(
                    name, state_now, min(learned_s, self._warmup_s), self._warmup_s, int(self.services.points[number])
                )
            )
        return said

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        """Never learn these as normal while they go on; see detect/protection.py."""
        own = (one for one in confirmed if one.kind.startswith("metric."))
        self._protected = frozenset((one.kind, one.entity, "" if one.kind == JOINT else one.subject) for one in own)
        self.episodes.protected = self._protected

    @property
    def evicted_series(self) -> int:
        """Give how many series were given up because there were more than `series_max`."""
        return self.sources.evicted

    @property
    def joint_refused(self) -> int:
        """Give how many entities there is no room for a joint scorer of."""
        return len(self.joints.refused)

    def save(self, folder: Path) -> None:
        """Write the state to `metrics.json` and `metrics.npz` in the folder, which is made when missing."""
        state.save(folder, self)

    def load(self, folder: Path) -> None:
        """Take up what `save` wrote in place of what is known; raises StoreError when it is damaged or newer."""
        saved = state.read(folder)
        self._empty()
        state.take(folder, saved, self)
        for slot in self.sources.live.tolist():
            about, rows = self.sources.abouts[slot], self.bank.row_of[slot]
            assert about is not None
            self.peers.added(rows[rows >= 0], about)
        self.channels.changed()

    def take_over(self, previous: Self) -> list[Finding]:
        """Go on where `previous` is; see detect/base.py."""
        closed = previous.episodes.close_all()
        self.episodes.close_all()
        self.sources.read_on(previous.sources)
        for number, name in self.names.live():
            at = previous.names.number(name)
            if at >= 0:
                self.services.go_on(number, previous.services, at)
        self.watch.go_on(previous.watch)
        return closed

    # -- taking in ------------------------------------------------------------------------------------------------

    def _slots(self, batch: pa.RecordBatch, changed: dict[str, Finding]) -> Ints:
        """Give each row's slot, making those of new series; -1 where there is no room."""
        series = readings.numbers(batch, "series")
        slots = self.sources.find(series)
        unknown = np.flatnonzero(slots < 0)
        if not len(unknown):
            return slots
        fresh, first = np.unique(series[unknown], return_index=True)
        order = np.argsort(first, kind="stable")
        fresh, first = fresh[order], unknown[first[order]]
        room, gone = self.sources.make_room(len(fresh), np.unique(slots[slots >= 0]))
        self._gone(gone, changed)
        self.sources.refused_points += int(np.isin(series, fresh[room:]).sum())
        self._add(batch, fresh[:room], first[:room])
        return self.sources.find(series)

    def _add(self, batch: pa.RecordBatch, series: Ints, rows: Ints) -> None:
        if not len(rows):
            return
        abouts = [readings.about(batch, row) for row in rows.tolist()]
        services, entities = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
        for place, about in enumerate(abouts):
            services[place], new = self.names.take(about.service)
            if new:
                self.services.added(int(services[place]))
                self.thresholds.service_added(int(services[place]))
            entities[place], new = self.entities.take(f"{about.entity or about.service}")
            if new:
                self.watch.entity_added(int(entities[place]), int(services[place]))
        slots = self.sources.add(series, abouts, services, entities)
        for slot, about, service, entity in zip(
            slots.tolist(), abouts, services.tolist(), entities.tolist(), strict=True
        ):
            kind, _, more = about.kind.partition(".")
            offered = readings.channels_of(kind, about.unit, monotonic="monotonic" in more, delta="delta" in more)
            own = self.bank.add(slot, len(offered), entity, service)
            self.bank.state.begin(own, rate=0.0, warm=NEVER)
            self.peers.added(own, about)
            self.capacity.added(int(own[0]), about, entity)
        self.channels.changed()

    def _gone(self, slots: Ints, changed: dict[str, Finding]) -> None:
        """Give up the rows of evicted slots, and names nobody refers to any more."""
        if len(slots):
            rows = self.bank.row_of[slots]
            self.capacity.gone(rows[rows >= 0])
        for slot in slots.tolist():
            rows = self.bank.row_of[slot][self.bank.row_of[slot] >= 0]
            self.peers.gone(rows)
            self.season.gone(rows)
            self.joints.rows_gone(int(self.sources.entity[slot]), rows)
            self.bank.release(rows)
            self.bank.row_of[slot] = -1
            entity = int(self.sources.entity[slot])
            name = self.entities.names[entity]
            if self.entities.drop(entity):
                for finding in self.watch.entity_gone(entity, name):
                    changed[finding.id] = finding
            self.names.drop(int(self.sources.service[slot]))
        if len(slots):
            self.channels.changed()

    def _take(self, taken: Readings, places: Ints) -> list[Finding]:
        """Judge and learn readings of one window, those of one series in their order."""
        sources, found = self.sources, []
        for turn in _turns(taken.slots[places]):
            now = places[turn]
            slots, times = taken.slots[now], taken.times[now]
            self._settle(sources.heard(slots, times))
            rows, values, at, _ = self._flat(taken, now)
            if self._with_season:
                self.bank.update(rows, values, at, self.season.offsets(rows, at))
                learns = ~np.isin(rows, self.bank.held)
                self.season.learn(rows[learns], values[learns], at[learns], self.bank.state)
                self.season.consider(rows, sources.step_s[self.bank.slot[rows]], at, self.bank.state)
            else:
                self.bank.update(rows, values, at)
            np.maximum.at(self.watch.newest, sources.entity[slots], times)
            self.services.take(sources.service[slots], times)
            fuller = self.capacity.take(rows, values, at)
            if len(fuller):
                found += self.capacity.tell(fuller, self._judging())
        return found

    def _flat(self, taken: Readings, places: Ints) -> tuple[Ints, npt.NDArray[np.float64], Ints, Ints]:
        """Give rows, values and times of all channels of readings, and which reading each is of."""
        rows = self.bank.row_of[taken.slots[places]]
        which, channel = np.nonzero((rows >= 0) & ~np.isnan(taken.values[places]))
        return rows[which, channel], taken.values[places][which, channel], taken.times[places][which], which

    def _settle(self, slots: Ints) -> None:
        """Fix how fast channels learn, once the usual interval of their series is known."""
        if not len(slots):
            return
        step_s = np.maximum(self.sources.step_s[slots], 1e-3)
        rate = 1.0 / np.maximum(MEMORY_S / step_s, MEMORY_READINGS_MIN)
        usual = max(WARM_READINGS_MIN, self._warmup_s / WARM_STEP_S)  # a slow series is judged by as many readings
        warm = np.maximum(usual, np.ceil(WARM_SHARE * self._warmup_s / step_s))
        rows = self.bank.row_of[slots]
        which, channel = np.nonzero(rows >= 0)
        own = rows[which, channel]
        self.bank.state.fields[Field.RATE, own] = rate[which]
        self.bank.state.fields[Field.WARM, own] = warm[which]

    def _close(self, advanced: npt.NDArray[np.bool_], changed: dict[str, Finding]) -> None:
        """End the windows of services."""
        numbers = np.flatnonzero(advanced)
        self.thresholds.passed(numbers, self.services.passed_s(numbers))
        for finding in self.watch.close(advanced, self._judging(), self.services.now):
            changed[finding.id] = finding
        if len(self.bank.held) or self.episodes.protected:
            self.bank.held = np.array(self.episodes.held_rows(), np.int64)

    def _judging(self) -> npt.NDArray[np.bool_]:
        """Tell of each service whether it has been learned from for long enough."""
        return self.services.learned_all_s() >= self._warmup_s


def _turns(slots: Ints) -> list[Ints]:
    """Split readings so that each part has a series once at most, and a series' readings stay in order."""
    if not len(slots):
        return []
    order = np.argsort(slots, kind="stable")
    first = np.flatnonzero(np.diff(slots[order], prepend=-1))
    rank = np.empty(len(slots), np.int64)
    rank[order] = np.arange(len(slots)) - np.repeat(first, np.diff(np.append(first, len(slots))))
    if not rank.any():
        return [np.arange(len(slots))]
    return [np.flatnonzero(rank == turn) for turn in range(int(rank.max()) + 1)]
