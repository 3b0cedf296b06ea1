"""The memory of which requests were stored lately, so that a retry is recognised.

A batch with a place in a stream (store/position.py) is known by that place, as long as the stream is heard of. Another
request is known by the hash of its sender, signal, encoding and payload. It is remembered for `dedup_window_s`
after it came, across restarts: the hashes stand in the log's records and, once sealed, in the catalog. Memory: about
200 bytes a request, at most REMEMBERED_MAX of them, the oldest going first. Not safe between threads by itself.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from watchkeeper.signals.signal import Signal
from watchkeeper.store.wal import HASH_BYTES

if TYPE_CHECKING:
    from watchkeeper.store.position import Position

REMEMBERED_MAX = 200_000
STREAMS_MAX = 50_000

P = TypeVar("P")


def content_hash(signal: Signal, encoding: str, sender: str, payload: bytes) -> bytes:
    """Give the 16 bytes by which a request is known. Cost: about 1 GB/s."""
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    for part in (signal.value, encoding, sender):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    digest.update(payload)
    return digest.digest()


class Dedup(Generic[P]):
    """Requests that were stored (by sequence) or are on their way to the disk (as `P`)."""

    def __init__(self, window_s: float, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self.window_ns = int(window_s * 1e9)
        self._remembered_max = remembered_max
        self._stored: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._flying: dict[bytes, P] = {}
        self._places: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def flying(self, key: bytes) -> P | None:
        """Give the request on its way to the disk that has this content."""
        return self._flying.get(key)

    def stored(self, key: bytes, now_unix_ns: int) -> int | None:
        """Give the sequence under which this content was stored within the window."""
        found = self._stored.get(key)
        return found[0] if found is not None and now_unix_ns - found[1] < self.window_ns else None

    def passed(self, position: Position) -> tuple[int, int] | None:
        """Give place and sequence of the last batch of a stream if it is here or beyond: this one was stored."""
        found = self._places.get(position.stream)
        return found if found is not None and position.place <= found[0] else None

    def reach(self, position: Position, sequence: int) -> None:
        """Note that a batch of a stream is stored, for as long as the stream is heard of."""
        if position.place > self._places.get(position.stream, (0, 0))[0]:
            self._places[position.stream] = (position.place, sequence)
        self._places.move_to_end(position.stream)
        while len(self._places) > STREAMS_MAX:
            self._places.popitem(last=False)

    def depart(self, key: bytes, request: P) -> None:
        """Note that a request is on its way to the disk."""
        if self.window_ns:
            self._flying[key] = request

    def fail(self, key: bytes) -> None:
        """Note that it did not arrive, so a retry is a first."""
        self._flying.pop(key, None)

    def arrive(self, key: bytes, sequence: int, received_unix_ns: int) -> None:
        """Note that it is stored, and forget what is out of the window."""
        self._flying.pop(key, None)
        if not self.window_ns:
            return
        self._stored[key] = (sequence, received_unix_ns)
        self._stored.move_to_end(key)
        while len(self._stored) > self._remembered_max:
            self._stored.popitem(last=False)
        while self._stored:
            oldest = next(iter(self._stored))
            if received_unix_ns - self._stored[oldest][1] < self.window_ns:
                break
            del self._stored[oldest]
