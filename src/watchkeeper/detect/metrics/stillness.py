"""Series that stand still though they always moved, and series that are no longer sent though their entity still talks.

Enters: bank and sources after a window. Leaves: findings `metric.flat` and `metric.missing`. An entity that is silent
altogether is not told here: its service's logs tell that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics import wording
from watchkeeper.detect.metrics.bank import Names
from watchkeeper.detect.metrics.channels import Channels
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.episodes import FLAT, LEVEL, MISSING, Episodes, Said
from watchkeeper.detect.metrics.wording import Member
from watchkeeper.signals.finding import Band, Finding, FindingSeverity

FLAT_MOVE_MIN = 0.5
FLAT_RUN_MIN = 20
FLAT_RUNS = 3.0
FLAT_POINTS_MIN = 120
FLAT_LOG_CHANCE = 20.7
MISSING_POINTS_MIN = 120
MISSING_STEPS = 6.0
MISSING_GAPS = 3.0
MISSING_UNSTEADY = 2.5
MISSING_S_MIN = 120.0
MISSING_TOLD_S = 1800.0

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Stillness:
    """See the module."""

    def __init__(self, channels: Channels, services: Names, entities: Names, episodes: Episodes) -> None:
        self._channels, self._services, self._entities, self._episodes = channels, services, entities, episodes

    def flat(self, rows: Ints, now: Ints) -> list[Finding]:
        """Find series that always moved and stand still: by the chance of so long a run, and their longest so far."""
        bank, fields = self._channels.bank, self._channels.bank.state.fields
        rows = rows[fields[Field.RUN, rows] >= FLAT_RUN_MIN]
        run, move = fields[Field.RUN, rows], fields[Field.MOVE, rows]
        needed = FLAT_LOG_CHANCE / np.maximum(-np.log1p(-np.minimum(move, 1 - 1e-9)), 1e-9)
        still = (
            (move >= FLAT_MOVE_MIN)
            & (fields[Field.COUNT, rows] >= FLAT_POINTS_MIN)
            & (run >= np.maximum(needed, FLAT_RUNS * fields[Field.RUN_MAX, rows]))
        )
        rows = rows[still | self._goes_on(rows)]
        found = []
        for _, name, own in self._grouped(rows, bank.entity[rows]):
            if self._episodes.get(LEVEL, name) is None:
                members = [self._channels.member(row) for row in own.tolist()]
                told, about = self._flat_said(name), (name, self._services.names[int(bank.service[own[0]])])
                now_ns = int(now[bank.service[own[0]]])
                found.append(self._episodes.tell(FLAT, about, members, told, self._channels.points, now_ns=now_ns))
        return found

    def missing(self, slots: Ints, newest: Ints, now: Ints) -> list[Finding]:
        """Find series that came at a steady pace and stay away, for MISSING_TOLD_S. newest: time of each entity."""
        sources = self._channels.sources
        quiet_s = (newest[sources.entity[slots]] - sources.seen_ns[slots]) / 1e9
        limit_s = np.maximum(MISSING_STEPS * sources.step_s[slots], MISSING_GAPS * sources.gap_s[slots])
        limit_s = np.maximum(limit_s, MISSING_S_MIN)
        gone = (quiet_s > limit_s) & (quiet_s < limit_s + MISSING_TOLD_S)
        steady = sources.gap_s[slots] <= MISSING_UNSTEADY * sources.step_s[slots]
        slots = slots[gone & steady & (sources.points[slots] >= MISSING_POINTS_MIN)]
        found = []
        for entity, name, own in self._grouped(slots, sources.entity[slots]):
            service = int(sources.service[own[0]])
            at_ns = int(newest[entity])
            members = [self._missing_member(slot, at_ns) for slot in own.tolist()]
            told, about = self._missing_said(name, at_ns), (name, self._services.names[service])
            found.append(
                self._episodes.tell(MISSING, about, members, told, self._channels.points, now_ns=int(now[service]))
            )
        return found

    def _grouped(self, items: Ints, entity: Ints) -> Iterator[tuple[int, str, Ints]]:
        names = {one: self._entities.names[one] for one in np.unique(entity).tolist()}
        for one, name in sorted(names.items(), key=lambda pair: pair[1]):
            yield one, name, items[entity == one]

    def _goes_on(self, rows: Ints) -> Flags:
        """Tell which rows belong to an open episode and have not moved since."""
        belongs = np.zeros(len(rows), np.bool_)
        for place, row in enumerate(rows.tolist()):
            episode = self._episodes.get(FLAT, self._entities.names[int(self._channels.bank.entity[row])])
            belongs[place] = episode is not None and self._channels.key(row) in episode.members
        return belongs

    def _flat_said(self, entity: str) -> Callable[[list[Member]], Said]:
        def said(members: list[Member]) -> Said:
            first = members[0]
            fields = self._channels.bank.state.fields[:, first.row]
            run, longest = int(fields[Field.RUN]), int(fields[Field.RUN_MAX])
            moved = float(fields[Field.MOVE])
            at = wording.amount(first.value, first.unit)
            return Said(
                wording.flat_title(wording.shown(entity), first, len(members) - 1),
                wording.flat_why(first, run, moved, longest),
                FindingSeverity.INFO,
                min(12.0, run * -float(np.log10(1.0 - min(moved, 0.999)))),
                wording.band(first.low, first.high, first.unit),
                Band(f"{at} for {run} readings", first.value, first.value, first.unit),
            )

        return said

    def _missing_member(self, slot: int, at_ns: int) -> Member:
        member = self._channels.member(int(self._channels.bank.row_of[slot, 0]))
        member.first_ns = int(self._channels.sources.seen_ns[slot])
        member.last_ns = at_ns
        member.readings = 1
        return member

    def _missing_said(self, entity: str, at_ns: int) -> Callable[[list[Member]], Said]:
        def said(members: list[Member]) -> Said:
            first, sources = members[0], self._channels.sources
            slot = int(self._channels.bank.slot[first.row])
            quiet_s = (at_ns - int(sources.seen_ns[slot])) / 1e9
            step_s, others = float(sources.step_s[slot]), len(members) - 1
            more = f" and {others} more" if others else ""
            return Said(
                f"{wording.shown(entity)}: {first.metric}{more} no longer comes",
                wording.missing_why(
                    first.metric, others, quiet_s, step_s, int(sources.points[slot]), float(sources.gap_s[slot])
                ),
                FindingSeverity.INFO,
                min(12.0, quiet_s / max(step_s, float(sources.gap_s[slot]), 1e-9)),
                Band(f"a point every {wording.duration(step_s)}", None, None, ""),
                Band(f"none for {wording.duration(quiet_s)}", None, None, ""),
            )

        return said
