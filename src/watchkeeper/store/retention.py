"""Retention: which segments are to be deleted, whole, oldest first.

By age: when the newest row of a segment was *received* more than `<signal>_days_max` ago, so that late or replayed
telemetry is kept for as long as any other. By size: when a signal's segments together are over `<signal>_bytes_max`,
those with the oldest event times go. Pure; deletes nothing itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.settings import DAY_S
from watchkeeper.store.segments import Segment


def expired(segments: Sequence[Segment], now_unix_ns: int, *, days_max: int, bytes_max: int) -> list[Segment]:
    """Give the segments of one signal that are to go; a limit of 0 is no limit.

    >>> expired([], 0, days_max=1, bytes_max=1)
    []
    """
    horizon = now_unix_ns - days_max * DAY_S * 10**9
    gone = [s for s in segments if days_max and s.received_max_unix_ns < horizon]
    gone_ids = {s.id for s in gone}
    kept = sorted((s for s in segments if s.id not in gone_ids), key=lambda s: (s.max_time_unix_ns, s.id))
    size = sum(s.bytes for s in kept)
    for segment in kept:
        if not bytes_max or size <= bytes_max:
            break
        gone.append(segment)
        size -= segment.bytes
    return gone
