"""Passes log lines on to a slow listener, such as a collector behind a network, without ever holding a job up.

Enters: LogLines from any thread. Leaves: batches of them, in order, to one function that sends. What cannot be taken
or sent is counted. Knows no OTLP: who makes a shipper gives it the function.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from watchkeeper.errors import WatchkeeperError
from watchkeeper.infer.job_log import LogLine

BATCH_MAX = 512
WAITING_MAX = 10_000


class LogShipper:
    """Sends lines in a thread of its own. send: gives how many it sent; raises WatchkeeperError when it cannot."""

    def __init__(self, send: Callable[[Sequence[LogLine]], int]) -> None:
        self._send = send
        self._waiting: deque[LogLine] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self.sent, self.lost, self.reason = 0, 0, ""
        self._thread = threading.Thread(target=self._run, name="infer-log-shipper", daemon=True)
        self._thread.start()

    def __call__(self, line: LogLine) -> None:
        """Take a line; one beyond WAITING_MAX is counted as lost. Cost: no wait."""
        with self._changed:
            if len(self._waiting) >= WAITING_MAX or self._closing:
                self._lose(1, "too many lines wait for the collector")
                return
            self._waiting.append(line)
            self._changed.notify()

    def close(self, timeout_s: float = 10.0) -> bool:
        """Send what waits, at most so long; tells whether all was sent. `reason` tells why not."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            if self._waiting or self._thread.is_alive():
                self._lose(len(self._waiting), "the collector took too long")
                self._waiting.clear()
            return not self.lost and not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                sent = self._send(batch)
            except WatchkeeperError as error:
                sent, reason = 0, str(error)
            else:
                reason = "the collector told some lines back"
            with self._changed:
                self.sent += sent
                if sent < len(batch):
                    self._lose(len(batch) - sent, reason)

    def _lose(self, lines: int, reason: str) -> None:
        self.lost += lines
        self.reason = reason
