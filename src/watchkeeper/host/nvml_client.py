"""Readings of the GPUs with a time-out: asks the worker process, and ends it when the driver does not answer.

Enters: the path of the library and how long to wait. Leaves: a GpuSnapshot a reading, or one that says why there is
none. The worker lives from reading to reading, for the driver's own events would be lost between two; it is ended by
`close`, and killed when it answers too late. Judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
import sys
from types import TracebackType
from typing import Any

from watchkeeper.host import nvml as binding
from watchkeeper.host.gpu import GpuSnapshot, snapshot_from_answer


class NvmlClient:
    """A reader of all GPUs; `library` is the path of libnvidia-ml.so.1, by name from where the system finds it."""

    def __init__(self, library: str = binding.LIBRARY, *, timeout_s: float = 10.0) -> None:
        self._library = library
        self._timeout_s = timeout_s
        self._worker: subprocess.Popen[bytes] | None = None
        self._dying: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> NvmlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self) -> GpuSnapshot:
        """Read every GPU once; never raises for what the driver does, at the most `timeout_s` long."""
        worker = self._worker or self._start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(b"read\n")
            worker.stdin.flush()
        except OSError:
            return self._broken()
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                self._kill()
                return snapshot_from_answer(
                    {"code": binding.TIMEOUT, "text": f"the driver did not answer within {self._timeout_s:g} s"}
                )
        line = worker.stdout.readline()
        try:
            answer: Any = json.loads(line)
        except ValueError:
            return self._broken()
        return snapshot_from_answer(answer)

    def close(self) -> None:
        """End the worker."""
        worker, self._worker = self._worker, None
        for dying in self._dying:
            with contextlib.suppress(subprocess.TimeoutExpired):
                dying.wait(timeout=0.2)
        self._dying = []
        if worker is None:
            return
        assert worker.stdin is not None
        assert worker.stdout is not None
        with contextlib.suppress(OSError):
            worker.stdin.close()
        try:
            worker.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            worker.kill()
            # As in `_kill`: one that the driver holds may never end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(timeout=1.0)
        worker.stdout.close()

    def _start(self) -> subprocess.Popen[bytes]:
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "watchkeeper.host.nvml_worker", self._library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C in a terminal is for its reader alone
        )
        return self._worker

    def _kill(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            # A process in uninterruptible sleep dies when the driver lets it; nobody waits for that.
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._dying = [each for each in (*self._dying, worker) if each.poll() is None]

    def _broken(self) -> GpuSnapshot:
        self._kill()
        return snapshot_from_answer({"code": 999, "text": "the process that reads NVML ended without an answer"})
