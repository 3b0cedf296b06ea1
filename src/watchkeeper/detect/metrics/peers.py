"""Series of the same kind on other entities: whether a series that was idle only woke up to what its peers do.

Enters: channels as they come and go, and one that is out of its own range. Leaves: yes or no. A kind is a metric's
name, unit and attributes. Latency and errors are never excused: that others are slow makes nobody's slowness usual.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics.bank import Bank
from watchkeeper.detect.metrics.core import Field
from watchkeeper.detect.metrics.sources import About
from watchkeeper.detect.metrics.wording import Member

PEERS_MIN = 5
IDLE_SHARE = 0.05
USUAL_SHARE = 0.9
PEERS_ASKED_MAX = 1_000

Ints = npt.NDArray[np.int64]
Kind = tuple[str, str, str, int]


class Peers:
    """See the module."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._kind_of: dict[int, Kind] = {}
        self._rows: dict[Kind, dict[int, None]] = {}

    def added(self, rows: Ints, about: About) -> None:
        """Take note of the rows (channels,) of a new series."""
        for channel, row in enumerate(rows.tolist()):
            kind = (about.name, about.unit, about.attributes, channel)
            self._kind_of[row] = kind
            self._rows.setdefault(kind, {})[row] = None

    def gone(self, rows: Ints) -> None:
        """Forget rows."""
        for row in rows.tolist():
            kind = self._kind_of.pop(row)
            del self._rows[kind][row]
            if not self._rows[kind]:
                del self._rows[kind]

    def kind(self, row: int) -> tuple[Kind, int]:
        """Give the kind of a row and how many channels there are of it."""
        kind = self._kind_of[row]
        return kind, len(self._rows[kind])

    def woke_up(self, member: Member) -> bool:
        """Tell whether a member was idle, as its peers are not, and now does what they do.

        Idle: its usual range ends below IDLE_SHARE of the median of theirs. What they do: up to the USUAL_SHARE
        quantile of the highest that each has done. Needs PEERS_MIN peers on other entities that are past their warm-up.
        """
        if member.aspect in {"latency", "errors"} or not member.rises or member.low < 0:
            return False
        fields = self._bank.state.fields
        rows = np.fromiter(islice(self._rows[self._kind_of[member.row]], PEERS_ASKED_MAX), np.int64)
        rows = rows[self._bank.entity[rows] != self._bank.entity[member.row]]
        rows = rows[fields[Field.COUNT, rows] >= fields[Field.WARM, rows]]
        if len(rows) < PEERS_MIN:
            return False
        highs = fields[Field.HIGH, rows]
        is_idle = member.high <= IDLE_SHARE * float(np.median(highs))
        return is_idle and member.value <= float(np.quantile(highs, USUAL_SHARE))
