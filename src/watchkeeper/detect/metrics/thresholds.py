"""How hot a channel must be to be told: one threshold a service, raised where it is crossed more often than is borne.

Enters: the heat of channels at the end of a window. Leaves: thresholds, in -log10 of chance a reading. Each level of
LEVELS counts how often an entity of the service rose above it; the threshold is the lowest level crossed no more than
allowed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS = np.arange(3.5, 7.01, 0.5)
DAY_S = 86_400.0
FADE_DAYS = 7.0

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Thresholds:
    """See the module. alarms_max: crossings a day of a service that are borne; the first one is free."""

    def __init__(self, alarms_max: float) -> None:
        self._alarms_max = alarms_max
        self.crossings = np.zeros((0, len(LEVELS)))
        self.days = np.zeros(0)
        self.heat = np.zeros(0)

    def service_added(self, service: int) -> None:
        """Make room for a new service."""
        if service >= len(self.days):
            more = max(64, service + 1, 2 * len(self.days)) - len(self.days)
            self.crossings = np.concatenate((self.crossings, np.zeros((more, len(LEVELS)))))
            self.days = np.concatenate((self.days, np.zeros(more)))
        self.crossings[service], self.days[service] = 0.0, 0.0

    def entity_added(self, entity: int) -> None:
        """Make room for a new entity."""
        if entity >= len(self.heat):
            self.heat = np.concatenate((self.heat, np.zeros(max(64, entity + 1, 2 * len(self.heat)) - len(self.heat))))
        self.heat[entity] = 0.0

    def of(self, services: Ints) -> Floats:
        """Give the threshold of each service (n,): LEVELS[0] to LEVELS[-1]."""
        allowed = 1.0 + self._alarms_max * self.days[services]
        borne = self.crossings[services] <= allowed[:, None]
        borne[:, -1] = True
        thresholds: Floats = LEVELS[np.argmax(borne, axis=1)]
        return thresholds

    def note(self, rows: Ints, heat: Floats, entity: Ints, service: Ints) -> None:
        """Count the levels that the hottest channel of an entity rose above. entity, service: of every row."""
        if not len(rows):
            return
        owners = entity[rows]
        hottest = np.zeros(len(self.heat))
        np.maximum.at(hottest, owners, heat)
        here = np.zeros(len(self.heat), np.bool_)
        here[owners] = True
        rising = np.flatnonzero(here & (hottest >= LEVELS[0]) & (hottest > self.heat))
        if len(rising):
            service_of = np.zeros(len(self.heat), np.int64)
            service_of[owners] = service[rows]
            above = (hottest[rising, None] >= LEVELS) & (self.heat[rising, None] < LEVELS)
            np.add.at(self.crossings, service_of[rising], above.astype(np.float64))
        cooled = here & (hottest < LEVELS[0] / 2)
        self.heat = np.where(here, np.where(cooled, 0.0, np.maximum(self.heat, hottest)), self.heat)

    def passed(self, services: Ints, seconds: Floats) -> None:
        """Let event time pass for services (n,), none twice: days grow, and old crossings fade."""
        days = np.maximum(seconds, 0.0) / DAY_S
        self.days[services] = np.minimum(self.days[services] + days, FADE_DAYS)
        self.crossings[services] *= np.exp(-days / FADE_DAYS)[:, None]

    # -- state ----------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give the arrays to save."""
        return {"crossings": self.crossings, "days": self.days, "heat": self.heat}

    def take(self, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        self.crossings = np.array(arrays["crossings"], np.float64).reshape(-1, len(LEVELS))
        self.days, self.heat = np.array(arrays["days"], np.float64), np.array(arrays["heat"], np.float64)
