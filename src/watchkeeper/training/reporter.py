"""What a worker tells while it works: its stage, its progress, its heart's beats, lines of its log.

Enters: calls of the one who works. Leaves: `progress.json` once a second and at each change of stage, from a thread of
its own, and lines in the log. Goes on counting where an earlier process of the same job was. Does no work itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from watchkeeper.training.estimate import Estimate
from watchkeeper.training.job import Stage, statistics_from_dict
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.process import Heart, peak_memory_bytes

EVERY_S = 1.0


class Reporter:
    """Tells the server how a job goes; a context manager, whose thread runs within it. Safe to use from any thread."""

    def __init__(
        self,
        folder: JobFolder,
        *,
        every_s: float = EVERY_S,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        before = statistics_from_dict((folder.read("progress") or {}).get("statistics", {}))
        self._folder, self._every_s, self._now_unix_ns = folder, every_s, now_unix_ns
        self._estimate = Estimate(before.time_elapsed_s, before.percentage_completed)
        self._heart = Heart()
        self._lock = threading.Lock()
        self._epoch, self._accuracy = before.current_epoch, before.model_accuracy
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heart", daemon=True)

    def __enter__(self) -> Reporter:
        """Begin to beat."""
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell how far it came, and beat no more."""
        self._ended.set()
        self._thread.join()
        self._write()

    def plan(self, stage: Stage, units: float) -> None:
        """Set how much work a stage will be."""
        with self._lock:
            self._estimate.plan(stage, units)

    def expect(self, stage: Stage, seconds: float) -> None:
        """Set what a unit of a stage takes, as timed just now."""
        with self._lock:
            self._estimate.expect(stage, seconds)

    def begin(self, stage: Stage) -> None:
        """Go over to a stage."""
        with self._lock:
            self._estimate.begin(stage)
        self.say(f"{stage.value} begins")
        self._write()

    def skip(self, *, but_s: float = 0.0) -> None:
        """Count the time since the last word, but for its last seconds, towards no stage."""
        with self._lock:
            self._estimate.skip(but_s=but_s)

    def resume(self, done: float) -> None:
        """Note work of the present stage that an earlier process did."""
        with self._lock:
            self._estimate.resume(done)

    def reach(self, done: float, *, epoch: int | None = None, accuracy: float | None = None) -> None:
        """Tell how much of the stage's work is done, in all; it is a sign of life, too."""
        with self._lock:
            self._estimate.reach(done)
            self._heart.moved()
            self._epoch = self._epoch if epoch is None else epoch
            self._accuracy = self._accuracy if accuracy is None else accuracy

    def finish(self, *, accuracy: float | None = None) -> None:
        """Tell that the stage is done."""
        with self._lock:
            self._estimate.finish()
            self._accuracy = self._accuracy if accuracy is None else accuracy
        self._write()

    def say(self, text: str) -> None:
        """Write a line to the log."""
        self._folder.log(text, self._now_unix_ns())

    def paces(self) -> dict[str, float]:
        """Give what a unit of each stage took, seconds."""
        with self._lock:
            return self._estimate.measured()

    def remaining_s(self) -> float | None:
        """Give the seconds that are left, as far as is known now."""
        with self._lock:
            return self._estimate.remaining_s()

    def elapsed_s(self) -> float:
        """Give the seconds of work until now."""
        with self._lock:
            return self._estimate.elapsed_s()

    def _loop(self) -> None:
        while not self._ended.wait(self._every_s):
            self._write()

    def _write(self) -> None:
        with self._lock:
            told = self._estimate.statistics(epoch=self._epoch, accuracy=self._accuracy)
            beats = self._heart.beat()
            self._folder.tell(
                "progress",
                {"statistics": told.as_dict(), "beats": beats, "peak_memory_bytes": peak_memory_bytes()},
            )
