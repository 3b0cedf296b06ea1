"""How much room the disk has, asked at most ten times a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchkeeper.errors import DiskNearlyFull

ASK_EVERY_S = 0.1


class Disk:
    """The free space of the file system that holds a folder."""

    def __init__(
        self, folder: Path, free_bytes_min: int, retry_after_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._free_bytes_min = free_bytes_min
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_s = float("-inf")
        self._free_bytes = 0

    def free_bytes(self) -> int:
        """Give the space that this process may still fill, up to ASK_EVERY_S old."""
        with self._lock:
            now = self._clock()
            if now - self._asked_s >= ASK_EVERY_S:
                answer = os.statvfs(self._folder)
                self._free_bytes, self._asked_s = answer.f_bavail * answer.f_frsize, now
            return self._free_bytes

    def check(self) -> None:
        """Raise DiskNearlyFull below the floor."""
        free = self.free_bytes()
        if free < self._free_bytes_min:
            raise self.full(f"{free >> 20} MiB are free, `disk_free_bytes_min` is {self._free_bytes_min >> 20} MiB")

    def full(self, why: str) -> DiskNearlyFull:
        """Make the error that tells senders to come again."""
        return DiskNearlyFull(
            f"the disk of {self._folder} is nearly full ({why}); make room or lower `*_bytes_max`",
            retry_after_s=self._retry_after_s,
        )
