"""What the agent counts, of each signal, so that nothing it takes in, leaves out or sends on goes unsaid.

Enters: one call an event, from any thread. Leaves: rows for /metrics, and the totals that go to the centre with each
batch. The totals of what was left out go on over restarts: the forwarder keeps them with its place on disk.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import NamedTuple

from watchkeeper.signals.signal import Signal

EVENTS: dict[str, str] = {
    "received": "Records that were made durable here.",
    "deduplicated": "Records of requests that had been stored before.",
    "refused": "Records whose sender was told to come again.",
    "rejected": "Records that are not OTLP, told back to their sender.",
    "dropped": "Records that nobody could be asked to send again, and the spool had no room for.",
    "forwarded": "Records that the centre took.",
    "told_back": "Records that the centre called bad, one by one.",
    "dead_letters": "Records of batches that the centre called bad as a whole; they lie in the folder dead-letters.",
}


class LeftOut(NamedTuple):
    """Totals since the agent's first start: records that will never come, dead letters among them; records refused."""

    dropped: int
    refused: int


class Counts:
    """Counters by event and signal; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Signal]] = Counter()
        self._before: dict[Signal, LeftOut] = {}
        self.attempts_failed = 0
        self.last_error = ""

    def add(self, event: str, signal: Signal, records: int) -> None:
        """Count records; `event` is one of EVENTS."""
        if event not in EVENTS:
            raise ValueError(f"there is no event {event!r}; there are {', '.join(EVENTS)}")
        with self._lock:
            self._counts[event, signal] += records

    def get(self, event: str, signal: Signal) -> int:
        """Give one counter since this start."""
        with self._lock:
            return self._counts[event, signal]

    def resume(self, signal: Signal, before: LeftOut) -> None:
        """Take up the totals of earlier processes."""
        self._before[signal] = before

    def left_out(self, signal: Signal) -> LeftOut:
        """Give the totals of what was left out since the agent's first start."""
        before = self._before.get(signal, LeftOut(0, 0))
        with self._lock:
            gone = self._counts["dropped", signal] + self._counts["dead_letters", signal]
            return LeftOut(before.dropped + gone, before.refused + self._counts["refused", signal])
