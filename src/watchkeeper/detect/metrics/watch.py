"""Closes windows: looks over the channels of the services whose window ended and says what is out of the ordinary.

Enters: the bank after the window's values, and which services to look at. Leaves: findings. A channel is hot while the
mean surprise of its newest readings is at or above its service's threshold (thresholds.py); hot channels of one entity
are one finding. Many channels a little off at once are the entity's joint deviation (joint.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics import joint, wording
from watchkeeper.detect.metrics.bank import NO_SLOT, Names
from watchkeeper.detect.metrics.channels import Channels
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.episodes import JOINT, LEVEL, Episodes, Said, plain
from watchkeeper.detect.metrics.stillness import Stillness
from watchkeeper.detect.metrics.thresholds import Thresholds
from watchkeeper.detect.metrics.wording import Member
from watchkeeper.signals.finding import Band, Finding, FindingSeverity

COOLS_AT = 0.5
JOINS_AT = 0.6
JOINT_RATE = 1.0 / 120.0
JOINT_WARM = 60.0
JOINT_TOLD_MAX = 4

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Watch:
    """See the module. Arrays by entity: `newest` event time, when it was scored jointly, that row, its service."""

    ARRAYS = ("newest", "joint_at", "joint_row", "service_of")

    def __init__(
        self,
        channels: Channels,
        services: Names,
        entities: Names,
        episodes: Episodes,
        thresholds: Thresholds,
        scorer: joint.JointMaker | None,
    ) -> None:
        self.channels, self.bank = channels, channels.bank
        self.services, self.entities = services, entities
        self.episodes, self.thresholds = episodes, thresholds
        self.stillness = Stillness(channels, services, entities, episodes)
        self._make_scorer = scorer
        self.scorers: dict[int, tuple[Ints, joint.JointScorer]] = {}
        self.newest, self.joint_at, self.joint_row, self.service_of = (np.zeros(0, np.int64) for _ in range(4))

    def entity_added(self, entity: int, service: int) -> None:
        """Make room for a new entity."""
        if entity >= len(self.newest):
            more = max(64, entity + 1, 2 * len(self.newest)) - len(self.newest)
            for name in self.ARRAYS:
                setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more, np.int64))))
        self.newest[entity] = self.joint_at[entity] = 0
        self.joint_row[entity], self.service_of[entity] = -1, service
        self.thresholds.entity_added(entity)

    def entity_gone(self, entity: int, name: str) -> list[Finding]:
        """Give up an entity, closing what is open of it."""
        if self.joint_row[entity] >= 0:
            self.bank.release(self.joint_row[[entity]])
            self.joint_row[entity] = -1
        self.scorers.pop(entity, None)
        return self.episodes.forget(name)

    def take_scorer(self, entity: int, rows: Ints, path: Path) -> None:
        """Take up the saved scorer of an entity; without a maker of scorers it is left out."""
        if self._make_scorer is not None:
            self.scorers[entity] = (rows, self._make_scorer.load(path))

    def close(self, closing: Flags, judging: Flags, now: Ints) -> list[Finding]:
        """Look over the services marked in `closing` (S,), told only where `judging`; now: (S,) their event times."""
        bank, channels = self.bank, self.channels
        own = channels.live()
        own = own[closing[bank.service[own]]]
        if not len(own):
            return []
        fresh = own[channels.is_fresh(own, now)]
        scored = self._judge_jointly(fresh)
        hottest = np.concatenate((fresh, scored))
        heat = bank.state.fields[Field.HEAT, hottest]
        limits = self.thresholds.of(bank.service[hottest])
        told = judging[bank.service[hottest]]
        found = self._hot(hottest[(heat >= limits * COOLS_AT) & told], now)
        self.thresholds.note(hottest, heat, bank.entity, bank.service)
        found += self.stillness.flat(fresh[judging[bank.service[fresh]]], now)
        slots = channels.sources.live
        slots = slots[(closing & judging)[channels.sources.service[slots]]]
        found += self.stillness.missing(slots, self.newest, now)
        for name in sorted(self.episodes.entities()):
            service = int(self.service_of[self.entities.number(name)])
            if closing[service]:
                found += self.episodes.sweep(name, int(now[service]))
        return found

    def _judge_jointly(self, rows: Ints) -> Ints:
        """Score the entities that have something new since they were scored last; gives their rows."""
        bank, fields = self.bank, self.bank.state.fields
        rows = rows[fields[Field.COUNT, rows] >= fields[Field.WARM, rows]]
        entity, count = bank.entity[rows], len(self.entities.names)
        newest = np.zeros(count, np.int64)
        np.maximum.at(newest, entity, bank.times[rows])
        values, sizes = joint.root_mean_square(bank.standards[rows], entity, count)
        due = np.flatnonzero((sizes >= joint.CHANNELS_MIN) & (newest > self.joint_at[:count]))
        if not len(due):
            return due
        if self._make_scorer is not None:
            for one in due.tolist():
                values[one] = self._scored(one, rows[entity == one])
        for one in due[self.joint_row[due] < 0].tolist():
            row = bank.add(NO_SLOT, 1, one, int(self.service_of[one]))
            bank.state.begin(row, rate=JOINT_RATE, warm=JOINT_WARM)
            self.joint_row[one] = row[0]
        bank.update(self.joint_row[due], values[due], newest[due])
        self.joint_at[due] = newest[due]
        return self.joint_row[due]

    def _scored(self, entity: int, rows: Ints) -> float:
        """Score by the scorer of the entity; a new one begins when its channels are not the same any more."""
        assert self._make_scorer is not None
        known = self.scorers.get(entity)
        step_s = float(np.median(self.channels.sources.step_s[self.bank.slot[rows]]))
        if known is None or not np.array_equal(known[0], rows):
            known = self.scorers[entity] = (rows.copy(), self._make_scorer(len(rows), step_s))
        return float(known[1].score_learn(self.bank.standards[rows][None])[0])

    def _hot(self, rows: Ints, now: Ints) -> list[Finding]:
        """Tell the hot rows, entity by entity."""
        bank, found = self.bank, []
        for entity in sorted(np.unique(bank.entity[rows]).tolist(), key=lambda one: self.entities.names[one]):
            group = rows[bank.entity[rows] == entity]
            service, name = int(self.service_of[entity]), self.entities.names[entity]
            limit = float(self.thresholds.of(np.array([service]))[0])
            known = self.episodes.get(LEVEL, name)
            series = group[bank.slot[group] != NO_SLOT].tolist()
            heat = {row: float(bank.state.fields[Field.HEAT, row]) for row in series}
            is_hot = max(heat.values(), default=0.0) >= limit
            members = [
                self.channels.member(row)
                for row in series
                if (is_hot and heat[row] >= limit * JOINS_AT)
                or (known is not None and self.channels.key(row) in known.members)
            ]
            if members:
                found += self.episodes.drop(JOINT, name)
                about, said = (name, self.services.names[service]), _level_said(name)
                now_ns = int(now[service])
                found.append(self.episodes.tell(LEVEL, about, members, said, self.channels.points, now_ns=now_ns))
            elif known is None and self.joint_row[entity] in group:
                found += self._joint(entity, limit, now)
        return found

    def _joint(self, entity: int, limit: float, now: Ints) -> list[Finding]:
        """Tell an entity's joint deviation."""
        bank, row, name = self.bank, int(self.joint_row[entity]), self.entities.names[entity]
        service = int(self.service_of[entity])
        fields = bank.state.fields[:, row]
        heat, value = float(fields[Field.HEAT]), float(fields[Field.LAST])
        usual = min(float(fields[Field.HIGH]), float(fields[Field.LEVEL] + 4.0 * fields[Field.SCALE]))
        least = limit if self.episodes.get(JOINT, name) is None else limit * COOLS_AT
        own = self.channels.live()
        own = own[bank.entity[own] == entity]
        own = own[self.channels.is_fresh(own, now)]
        if heat < least or value <= usual or not len(own):
            return []
        far = sorted(own.tolist(), key=lambda one: (-abs(float(bank.standards[one])), self.channels.key(one)))
        members = [self.channels.member(one) for one in far[:JOINT_TOLD_MAX]]
        for member in members:
            member.heat = heat

        def said(everyone: list[Member]) -> Said:
            return Said(
                f"{wording.shown(name)}: its metrics are off together, {everyone[0].name} most",
                wording.joint_why(len(own), value, usual, heat),
                FindingSeverity.WARNING,
                heat,
                Band(f"at most {usual:.1f} scales together", 0.0, usual, "scales"),
                Band(f"{value:.1f} scales together", value, value, "scales"),
            )

        about = (name, self.services.names[service])
        now_ns = int(now[service])
        return [self.episodes.tell(JOINT, about, members, said, self.channels.points, now_ns=now_ns)]


def _level_said(entity: str) -> Callable[[list[Member]], Said]:
    def said(members: list[Member]) -> Said:
        title = wording.level_title(wording.shown(entity), members[0], len(members) - 1)
        return plain(members, title, wording.level_why(members[0]))

    return said
