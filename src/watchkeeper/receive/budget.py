"""A bound on the memory of requests that are being read, decompressed and decoded, all together.

What has been handed to the store is the store's to bound. A single request may pass the limit when it is alone, so that
whatever the size limits allow can always be sent.
"""

from __future__ import annotations

import threading

from watchkeeper.errors import QueueFull


class Budget:
    """Bytes that requests in flight may hold."""

    def __init__(self, bytes_max: int, retry_after_s: float) -> None:
        self._bytes_max = bytes_max
        self._retry_after_s = retry_after_s
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Give the bytes held now."""
        return self._held

    def lease(self) -> Lease:
        """Begin to hold nothing."""
        return Lease(self)

    def take(self, size: int, already: int) -> None:
        """Hold `size` bytes more for one who holds `already`; raises QueueFull when all together would be too many."""
        with self._lock:
            others = self._held - already
            if others > 0 and self._held + size > self._bytes_max:
                raise QueueFull(
                    f"requests being read hold {self._held} of {self._bytes_max} bytes (queue_bytes_max); retry",
                    retry_after_s=self._retry_after_s,
                )
            self._held += size

    def give(self, size: int) -> None:
        """Hold `size` bytes fewer."""
        with self._lock:
            self._held -= size


class Lease:
    """What one request holds of a Budget; used by one thread at a time."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._closed = False

    def grow(self, size: int) -> None:
        """Hold more; raises QueueFull. Holds nothing once closed: a thread may outlive the request it works for."""
        if self._closed:
            return
        self._budget.take(size, self._size)
        self._size += size

    def close(self) -> None:
        """Give everything back; may be called again."""
        self._closed = True
        size, self._size = self._size, 0
        if size:
            self._budget.give(size)
