"""Thresholds of kinds of series in fleets: what many of the same kind do now and then is told a few times, then usual.

Enters: hot channels of kinds that many entities have. Leaves: the threshold of a kind, in -log10 of chance a reading.
Crossings that come together count once: a fleet that moves at once is one event. Kinds that few entities have are
judged by their service's threshold alone (thresholds.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.metrics.peers import Kind
from watchkeeper.detect.metrics.thresholds import DAY_S, FADE_DAYS, LEVELS

FLEET_MIN = 20
ALARMS_A_DAY = 1.0 / 500.0
TOGETHER_NS = 900_000_000_000

Floats = npt.NDArray[np.float64]


@dataclass
class _Known:
    """Of one kind: how often each of LEVELS was crossed, when last (Unix ns), since when it is counted, fading."""

    since_ns: int
    faded_ns: int
    crossings: Floats = field(default_factory=lambda: np.zeros(len(LEVELS)))
    last_ns: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(LEVELS), np.int64))


class Kinds:
    """See the module. One entry for each kind of a fleet that was ever hot; ALARMS_A_DAY a series are borne."""

    def __init__(self) -> None:
        self._known: dict[Kind, _Known] = {}

    def limit(self, kind: Kind, entities: int, since_ns: int, now_ns: int) -> float:
        """Give the threshold of a kind that `entities` have: 0 for none, infinite when all levels are crossed often.

        since_ns: when the service that asks began to be watched.
        """
        known = self._known.get(kind)
        if known is None or entities < FLEET_MIN:
            return 0.0
        days = min((now_ns - min(known.since_ns, since_ns)) / 1e9 / DAY_S, FADE_DAYS)
        borne = known.crossings <= 1.0 + ALARMS_A_DAY * entities * days
        return float(LEVELS[np.argmax(borne)]) if borne.any() else np.inf

    def note(self, kind: Kind, heat: float, since_ns: int, now_ns: int) -> None:
        """Note that a channel of the kind is hot."""
        known = self._known.setdefault(kind, _Known(since_ns, now_ns))
        known.since_ns = min(known.since_ns, since_ns)
        known.crossings *= np.exp(-max(now_ns - known.faded_ns, 0) / 1e9 / DAY_S / FADE_DAYS)
        known.faded_ns = max(known.faded_ns, now_ns)
        above = heat >= LEVELS
        known.crossings[above & (now_ns - known.last_ns > TOGETHER_NS)] += 1.0
        known.last_ns[above] = now_ns

    # -- state ----------------------------------------------------------------------------------------------------

    def as_list(self) -> list[list[Any]]:
        """Give plain data to save."""
        return [
            [list(kind), one.since_ns, one.faded_ns, one.crossings.tolist(), one.last_ns.tolist()]
            for kind, one in self._known.items()
        ]

    def take(self, saved: list[list[Any]]) -> None:
        """Take up what `as_list` gave; raises KeyError, TypeError or ValueError when it does not fit."""
        self._known = {
            (str(kind[0]), str(kind[1]), str(kind[2]), int(kind[3])): _Known(
                int(since), int(faded), np.array(crossings, np.float64), np.array(last, np.int64)
            )
            for kind, since, faded, crossings, last in saved
        }
