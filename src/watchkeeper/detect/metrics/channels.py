"""What is known of a channel in people's terms: its name, what is usual for it, since when it is unusual.

Enters: a row of the bank. Leaves: a Member (wording.py) for a finding. Looks things up; decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics import wording
from watchkeeper.detect.metrics.bank import NO_SLOT, Bank
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.readings import channels_of
from watchkeeper.detect.metrics.season import Season
from watchkeeper.detect.metrics.sources import About, Sources
from watchkeeper.detect.metrics.wording import Member

FRESH_STEPS = 3.5
USUAL_SCALES = 4.0

Ints = npt.NDArray[np.int64]
Points = list[tuple[int, float]]


class Channels:
    """See the module."""

    def __init__(self, bank: Bank, sources: Sources, season: Season) -> None:
        self.bank, self.sources, self.season = bank, sources, season
        self._live: Ints | None = None

    def changed(self) -> None:
        """Note that series came or went."""
        self._live = None

    def live(self) -> Ints:
        """Give all rows of series in use, in order of series number and channel, however they came."""
        if self._live is None:
            rows = np.flatnonzero(self.bank.live[: self.bank.used])
            rows = rows[self.bank.slot[rows] != NO_SLOT]
            self._live = rows[np.lexsort((self.bank.channel[rows], self.sources.series[self.bank.slot[rows]]))]
        return self._live

    def is_fresh(self, rows: Ints, now: Ints) -> npt.NDArray[np.bool_]:
        """Tell which rows (n,) of series have said something lately; now: event time of each service."""
        step_s = self.sources.step_s[self.bank.slot[rows]]
        return (now[self.bank.service[rows]] - self.bank.times[rows]) <= FRESH_STEPS * step_s * 1e9 + 1e9

    def about(self, row: int) -> About:
        """Give what is said of the row's series."""
        about = self.sources.abouts[int(self.bank.slot[row])]
        assert about is not None
        return about

    def key(self, row: int) -> str:
        """Give what tells the channel apart within its entity."""
        about = self.about(row)
        return f"{self._named(about, row)[0]}\x1f{about.attributes}"

    def points(self, member: Member) -> Points:
        """Give the newest values of a member."""
        return self.bank.points(member.row)

    def member(self, row: int) -> Member:
        """Give what a finding tells of a row as it is now."""
        fields, about = self.bank.state.fields[:, row], self.about(row)
        name, channel, unit = self._named(about, row)
        level, reach = float(fields[Field.LEVEL]), USUAL_SCALES * float(fields[Field.SCALE])
        now = float(self.season.offsets(np.array([row]), self.bank.times[[row]])[0])
        low, high = (
            max(float(fields[Field.LOW]), level - reach) + now,
            min(float(fields[Field.HIGH]), level + reach) + now,
        )
        step_s = float(self.sources.step_s[self.bank.slot[row]])
        points = self.bank.points(row)
        own = points[-max(1, _unusual([value for _, value in points], low, high)) :]
        middle = (low + high) / 2
        return Member(
            row=row,
            name=name,
            metric=about.name,
            unit=unit,
            attributes=about.attributes,
            aspect=wording.aspect(about.name, channel, about.unit),
            low=low,
            high=high,
            value=max((value for _, value in own), key=lambda value: abs(value - middle)),
            heat=float(fields[Field.HEAT]),
            first_ns=own[0][0],
            last_ns=int(self.bank.times[row]),
            readings=len(own),
            learned_s=float(fields[Field.COUNT]) * step_s,
            step_s=step_s,
        )

    def _named(self, about: About, row: int) -> tuple[str, str, str]:
        kind, _, more = about.kind.partition(".")
        offered = channels_of(kind, about.unit, monotonic="monotonic" in more, delta="delta" in more)
        channel, unit = offered[int(self.bank.channel[row])]
        return f"{about.name} {channel}".rstrip(), channel, unit


def _unusual(values: Sequence[float], low: float, high: float) -> int:
    """Count the newest values that are beyond the same end of the range as the newest is.

    >>> _unusual([0.0, 0.0, 5.0, 6.0], 0.1, 1.0), _unusual([0.5, 0.6], 0.1, 1.0)
    (2, 0)
    """
    count = 0
    for value in reversed(values):
        beyond = value > high if values[-1] > high else value < low
        if not beyond:
            break
        count += 1
    return count
