"""Closes windows: looks over the channels of the services whose window ended and says what is out of the ordinary.

Enters: the bank after the window's values, and which services to look at. Leaves: findings. A channel is hot while the
mean surprise of its newest readings is at or above its service's threshold (thresholds.py); hot channels of one entity
are one finding. Many channels a little off at once are the entity's joint deviation (joint.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics import joint, joint_entities, wording
from watchkeeper.detect.metrics.bank import NO_SLOT, Names
from watchkeeper.detect.metrics.channels import Channels
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.episodes import JOINT, LEVEL, Episodes, Said, plain
from watchkeeper.detect.metrics.joint_budget import CLOSE_SHARE, GAP_S
from watchkeeper.detect.metrics.joint_entities import JointEntities, JointScore
from watchkeeper.detect.metrics.kinds import Kinds
from watchkeeper.detect.metrics.peers import Peers
from watchkeeper.detect.metrics.stillness import Stillness
from watchkeeper.detect.metrics.thresholds import LEVELS, Thresholds
from watchkeeper.detect.metrics.wording import Member
from watchkeeper.signals.finding import Band, Finding, FindingSeverity

COOLS_AT = 0.5
JOINS_AT = 0.6
JOINT_RATE = 1.0 / 120.0
JOINT_WARM = 60.0
JOINT_TOLD_MAX = 4
JOINT_QUIET_S = GAP_S

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Watch:
    """See the module.

    Arrays by entity: `newest` event time, when it was scored jointly and when its scorer is due, that row, its service.
    """

    ARRAYS = ("newest", "joint_at", "joint_due", "joint_row", "service_of")

    def __init__(
        self,
        channels: Channels,
        services: Names,
        entities: Names,
        episodes: Episodes,
        thresholds: Thresholds,
        peers: Peers,
        joints: JointEntities,
    ) -> None:
        self.channels, self.bank = channels, channels.bank
        self.services, self.entities = services, entities
        self.episodes, self.thresholds, self.peers = episodes, thresholds, peers
        self.stillness = Stillness(channels, services, entities, episodes)
        self.kinds = Kinds()
        self.joints = joints
        self.newest, self.joint_at, self.joint_due, self.joint_row, self.service_of = (
            np.zeros(0, np.int64) for _ in self.ARRAYS
        )

    def entity_added(self, entity: int, service: int) -> None:
        """Make room for a new entity."""
        if entity >= len(self.newest):
            more = max(64, entity + 1, 2 * len(self.newest)) - len(self.newest)
            for name in self.ARRAYS:
                setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more, np.int64))))
        self.newest[entity] = self.joint_at[entity] = self.joint_due[entity] = 0
        self.joint_row[entity], self.service_of[entity] = -1, service
        self.thresholds.entity_added(entity)

    def go_on(self, other: Watch) -> None:
        """Go on at the times where `other` is."""
        for entity, name in self.entities.live():
            at = other.entities.number(name)
            if at >= 0:
                self.newest[entity] = max(self.newest[entity], other.newest[at])

    def entity_gone(self, entity: int, name: str) -> list[Finding]:
        """Give up an entity, closing what is open of it."""
        if self.joint_row[entity] >= 0:
            self.bank.release(self.joint_row[[entity]])
            self.joint_row[entity] = -1
        self.joints.gone(entity)
        return self.episodes.forget(name)

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
        found += self._fed_jointly(fresh, judging, now)
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
        for one in due[self.joint_row[due] < 0].tolist():
            row = bank.add(NO_SLOT, 1, one, int(self.service_of[one]))
            bank.state.begin(row, rate=JOINT_RATE, warm=JOINT_WARM)
            self.joint_row[one] = row[0]
        bank.update(self.joint_row[due], values[due], newest[due])
        self.joint_at[due] = newest[due]
        return self.joint_row[due]

    def _fed_jointly(self, rows: Ints, judging: Flags, now: Ints) -> list[Finding]:
        """Feed the entities' scorers, and tell what is over its threshold where `judging`."""
        found: list[Finding] = []
        if not self.joints.is_wanted:
            return found
        bank, fields = self.bank, self.bank.state.fields
        rows = rows[fields[Field.COUNT, rows] >= fields[Field.WARM, rows]]
        entity = bank.entity[rows]
        newest = np.zeros(len(self.newest), np.int64)
        np.maximum.at(newest, entity, bank.times[rows])
        due = np.flatnonzero(newest > np.maximum(self.joint_due, 0))
        if not len(due):
            return found
        order = np.argsort(entity, kind="stable")
        starts = np.searchsorted(entity[order], due, "left")
        ends = np.searchsorted(entity[order], due, "right")
        for one, begin, end in zip(due.tolist(), starts.tolist(), ends.tolist(), strict=True):
            own = rows[order[begin:end]]
            step_s = float(np.median(self.channels.sources.step_s[bank.slot[own]]))
            held = self.episodes.is_held(JOINT, self.entities.names[one])
            scored = self.joints.feed(one, own, step_s, int(newest[one]), held=held)
            grid_ns = int(max(joint_entities.GRID_S, step_s) * 1e9)
            self.joint_due[one] = (int(newest[one]) // grid_ns + 1) * grid_ns - 1
            if scored is not None and judging[self.service_of[one]]:
                found += self._scored(scored, int(now[self.service_of[one]]))
        return found

    def _scored(self, scored: JointScore, now_ns: int) -> list[Finding]:
        """Tell what a scorer says of an entity, when that is over its threshold or goes on."""
        name = self.entities.names[scored.entity]
        known = self.episodes.get(JOINT, name)
        least = scored.threshold if known is None else scored.threshold * CLOSE_SHARE
        total = float(scored.shares.sum())
        if scored.score < least or total <= 0 or self.episodes.get(LEVEL, name) is not None:
            return []
        order = np.argsort(-scored.shares, kind="stable")[:JOINT_TOLD_MAX]
        order = order[scored.shares[order] > 0]
        members = [self.channels.member(row) for row in scored.rows[order].tolist()]
        for member, share in zip(members, scored.shares[order].tolist(), strict=True):
            member.heat = share
        shares = [(one.name, float(share / total)) for one, share in zip(members, scored.shares[order], strict=True)]

        def said(everyone: list[Member]) -> Said:
            return Said(
                f"{wording.shown(name)}: its metrics do not go together as usual, {everyone[0].name} most",
                wording.joint_scored_why(shares, len(scored.rows), scored.score, scored.threshold, scored.days),
                FindingSeverity.WARNING,
                min(12.0, LEVELS[0] * scored.score / scored.threshold),
                Band(f"a score of at most {scored.threshold:.1f}", 0.0, scored.threshold, ""),
                Band(f"a score of {scored.score:.1f}", scored.score, scored.score, ""),
            )

        about = (name, self.services.names[int(self.service_of[scored.entity])])
        told = self.episodes.tell(
            JOINT, about, members, said, self.channels.points, now_ns=now_ns, quiet_s=JOINT_QUIET_S
        )
        return [told]

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
            if known is None:
                members = self._worth_telling(members, int(now[service]))
            if members:
                found += self.episodes.drop(JOINT, name)
                about, said = (name, self.services.names[service]), _level_said(name)
                now_ns = int(now[service])
                found.append(self.episodes.tell(LEVEL, about, members, said, self.channels.points, now_ns=now_ns))
            elif known is None and self.joint_row[entity] in group and not self.joints.is_ready(entity):
                found += self._joint(entity, limit, now)
        return found

    def _worth_telling(self, members: list[Member], now_ns: int) -> list[Member]:
        """Leave out what only woke up to what its peers do; give none unless one got worse and is hot for its kind."""
        members = [member for member in members if not self.peers.woke_up(member)]
        since_ns = int(now_ns - max(member.learned_s for member in members) * 1e9) if members else now_ns
        is_hot = False
        for member in members:
            kind, entities = self.peers.kind(member.row)
            is_hot |= member.is_bad and member.heat >= self.kinds.limit(kind, entities, since_ns, now_ns)
            self.kinds.note(kind, member.heat, since_ns, now_ns)
        return members if is_hot else []

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
            member.heat = heat * min(1.0, abs(float(bank.standards[member.row])) / joint.CLIP)

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
