"""What has to happen now and then: checkpoints, the ledger's flush, old findings deleted.

One thread runs one task at a time.
A task that fails is told as a problem until it succeeds again; it never ends the thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass
class Task:
    """One task: `run` is called every `every_s` seconds; `problem` is "" or why its last run failed."""

    name: str
    every_s: float
    run: Callable[[], object]
    problem: str = ""


class Housekeeping:
    """Runs tasks in turn at their intervals."""

    def __init__(self, tasks: Sequence[Task], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tasks = tasks
        self._clock = clock
        self._due = {task.name: clock() + task.every_s for task in tasks}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the running task and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def problems(self) -> list[str]:
        """Give the tasks whose last run failed, with the reason."""
        return [f"{task.name}: {task.problem}" for task in self._tasks if task.problem]

    def run_due(self) -> None:
        """Run every task whose time has come."""
        for task in self._tasks:
            if self._clock() < self._due[task.name]:
                continue
            try:
                task.run()
                task.problem = ""
            except Exception as error:
                task.problem = f"{type(error).__name__}: {error}"
                log.exception("housekeeping task %s failed", task.name)
            self._due[task.name] = self._clock() + task.every_s

    def _loop(self) -> None:
        while not self._stopping.is_set():
            next_due = min(self._due.values(), default=self._clock() + 1.0)
            if self._stopping.wait(max(0.01, next_due - self._clock())):
                return
            self.run_due()
