"""When records are said to have happened, and when they are sent.

Enters: the times that the lines say, the moment the replay began. Leaves: the time that is sent, and for `speed` the
moment at which it is due. Knows no clock of its own and waits for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from watchkeeper.edge.timestamps import TIME_MAX_UNIX_NS


class When(Enum):
    """Which time records are sent with: as recorded, or moved to now."""

    ORIGINAL = "original"
    NOW = "now"


@dataclass
class Timeline:
    """Moves times.

    `speed` > 0 divides the gaps and makes each record due at its moved time; 0 sends at once and keeps the gaps: then
    `last_unix_ns`, where it is known, is moved to the start of the replay (a history that ends now), else the first.
    """

    when: When
    speed: float
    started_unix_ns: int
    first_unix_ns: int = 0
    last_unix_ns: int = 0

    def saw(self, time_unix_ns: int) -> None:
        """Take the first time as the origin, unless one is known."""
        if time_unix_ns and not self.first_unix_ns:
            self.first_unix_ns = time_unix_ns

    def spans(self, time_unix_ns: int) -> None:
        """Widen what is known beforehand: the first and the last time."""
        if time_unix_ns:
            self.first_unix_ns = min(self.first_unix_ns or time_unix_ns, time_unix_ns)
            self.last_unix_ns = max(self.last_unix_ns, time_unix_ns)

    def moved(self, time_unix_ns: int) -> int:
        """Give the time to send; 0 stays 0, for it says that none is known."""
        if not time_unix_ns or self.when is When.ORIGINAL:
            return time_unix_ns
        if self.speed > 0:
            return self._in_range(self._due(time_unix_ns))
        return self._in_range(time_unix_ns + self.shift_ns)

    def due(self, time_unix_ns: int) -> int | None:
        """Give the moment (Unix nanoseconds) before which a record is not to be sent; None for at once."""
        return self._due(time_unix_ns) if self.speed > 0 and time_unix_ns else None

    @property
    def shift_ns(self) -> int:
        """How far times are moved when gaps are kept."""
        if self.when is When.ORIGINAL or not self.first_unix_ns:
            return 0
        return self.started_unix_ns - (self.last_unix_ns or self.first_unix_ns)

    def _due(self, time_unix_ns: int) -> int:
        return self.started_unix_ns + int((time_unix_ns - self.first_unix_ns) / self.speed)

    @staticmethod
    def _in_range(time_unix_ns: int) -> int:
        return min(max(time_unix_ns, 1), TIME_MAX_UNIX_NS)
