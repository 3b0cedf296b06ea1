"""Training jobs: begun one at a time, watched, resumed after a kill, ended with a reason; each change is one write.

    start -> queued -> prepare -> worker's process: fetching data, train, evaluate, save -> publish -> completed

Enters: JobSpec; what the worker tells in its folder (job_folder.py); reports of remote trainers. Leaves: Job, and calls
to whoever listens. A job is `completed` only once its model was evaluated, saved and published. A second job for a
model that is being trained is refused; jobs for other models wait their turn, for memory and processors belong to
receiving. Does not train: worker.py does. What `prepare` and `publish` do, the program around it says (Work).
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watchkeeper.errors import Conflict, NotFound, QueryError, WatchkeeperError
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.job import Job as Job  # noqa: PLC0414
from watchkeeper.training.job import JobSpec as JobSpec  # noqa: PLC0414
from watchkeeper.training.job import Stage, Statistics, Status, is_news, statistics_from_dict
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.job_store import JobStore
from watchkeeper.training.process import WorkerProcess, end_outlived, how_it_ended, kernel_kills
from watchkeeper.training.work import LIMITS
from watchkeeper.training.work import Limits as Limits  # noqa: PLC0414
from watchkeeper.training.work import Published as Published  # noqa: PLC0414
from watchkeeper.training.work import Work as Work  # noqa: PLC0414

REMOTE = "remote"
REMOTE_PATIENCE = 5
"""Times the heartbeat's time-out that a remote trainer may be silent, which reports by the epoch."""
POLL_S, IDLE_S = 0.25, 5.0
UNFINISHED_MAX = 99.9
REASON_MAX = 2_000

log = logging.getLogger(__name__)


class Jobs:
    """All jobs; safe to use from any thread. `start_watching` before the first job, `stop` at the end."""

    def __init__(
        self,
        metadata: Metadata,
        folder: Path,
        work: Work,
        *,
        limits: Limits = LIMITS,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._store = JobStore(metadata)
        self._folder = folder.absolute()
        self._work = work
        self._limits = limits
        self._now_unix_ns = now_unix_ns
        self._lock = threading.RLock()
        self._process: WorkerProcess | None = None
        self._current = ""
        self._live: Job | None = None
        self._beats = -1
        self._kernel_kills = 0
        self._news: list[Job] = []
        self._listeners: list[Callable[[Job], None]] = []
        self._stopping, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="training-jobs", daemon=True)
        self.problem = ""

    def on_change(self, callback: Callable[[Job], None]) -> None:
        """Call this with every job as it is after each change, in the order of changes, outside of any lock."""
        self._listeners.append(callback)

    def start(self, spec: JobSpec) -> Job:
        """Take in a job, which begins when no other runs.

        Raises Conflict while one for the same model has not ended, QueryError for a range that is none, and what
        `check` raises, such as MissingExtra.
        """
        if spec.until_unix_ns < spec.from_unix_ns:
            raise QueryError(f"the range of time ends {spec.until_unix_ns} before it begins {spec.from_unix_ns}")
        if spec.kind != REMOTE:
            self._work.check(spec)
        now = self._now_unix_ns()
        with self._lock:
            rival = next((job for job in self._store.running() if job.spec.name == spec.name), None)
            if rival is not None:
                raise Conflict(
                    f"job {rival.id} is training {spec.name} already ({rival.statistics.percentage_completed:.0f} %); "
                    "wait for it, or cancel it first"
                )
            at = datetime.fromtimestamp(now / 1e9, UTC)
            job = Job(f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}", spec, created_unix_ns=now, heartbeat_unix_ns=now)
            folder = self.folder(job.id)
            folder.make()
            folder.log(f"job {job.id}: {spec.kind} model {spec.name}", now)
            self._put(job)
        self._tell()
        self._wake.set()
        return job

    def get(self, identifier: str) -> Job:
        """Give one job; raises NotFound."""
        job = self._store.get(identifier)
        if job is None:
            raise NotFound(f"there is no training job {identifier[:100]!r}; `watchkeeper train --list` tells which are")
        return self._as_now(job)

    def list(self, *, name: str = "", limit: int = 100) -> Sequence[Job]:
        """Give the latest jobs, the newest first; of one model where a name is given."""
        return [self._as_now(job) for job in self._store.list(name=name, limit=limit)]

    def latest(self, name: str) -> Job | None:
        """Give the newest job of a model, or None."""
        return next(iter(self.list(name=name, limit=1)), None)

    def folder(self, identifier: str) -> JobFolder:
        """Give the folder of a job."""
        return JobFolder(self._folder / identifier)

    def log(self, identifier: str, *, offset: int = 0) -> tuple[str, int]:
        """Give the log of a job from a byte on, and the offset to go on from; raises NotFound."""
        return self.folder(self.get(identifier).id).log_text(offset=offset)

    def cancel(self, identifier: str, *, why: str = "") -> Job:
        """End a job within seconds; no part of its model stays. Raises NotFound, or Conflict when it has ended."""
        with self._lock:
            job = self.get(identifier)
            if not job.running:
                raise Conflict(f"job {job.id} has ended already: {job.status.value}")
            if self._current == job.id:
                self._let_go()
                job = self._with_progress(job)
            ended = self._end(job, Status.CANCELLED, why or "cancelled by an operator")
        self._tell()
        return ended

    def report(
        self, identifier: str, status: str, statistics: Mapping[str, Any] | None = None, *, reason: str = ""
    ) -> Job:
        """Take in what a remote trainer tells of its job (kind "remote"), which is its heartbeat too.

        Raises NotFound; Conflict for a job that runs here or has ended; QueryError for what is no status or number.
        """
        try:
            said, told = Status(status), statistics_from_dict(statistics or {})
        except ValueError as error:
            raise QueryError(f"the status of job {identifier[:100]!r} cannot be taken: {error}") from error
        with self._lock:
            job = self.get(identifier)
            if job.spec.kind != REMOTE or not job.running:
                where = "has ended already" if job.spec.kind == REMOTE else "runs here and tells its status itself"
                raise Conflict(f"job {job.id} {where}: {job.status.value}")
            job = self._advanced(job, told if statistics else job.statistics)
            job = replace(job, heartbeat_unix_ns=self._now_unix_ns())
            if said is Status.TRAINING:
                self._put(job)
            else:
                job = self._end(job, said, reason or ("" if said is Status.COMPLETED else "as its trainer reports"))
        self._tell()
        return job

    def start_watching(self) -> None:
        """Take up the jobs that an earlier server left, then watch and begin jobs in a thread."""
        self.take_up()
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """End the running worker; its job goes on from its last checkpoint when the server is back."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            if self._current:
                job = self.get(self._current)
                self._let_go()
                self._note(job, "the server stops; the job goes on when it is back")
                self._put(replace(job, pid=0, process_start=0))
        self._tell()

    def take_up(self) -> None:
        """Find out what became of the jobs that ran when the last server ended, and resume or end them."""
        with self._lock:
            for job in self._store.running():
                if job.spec.kind == REMOTE or not job.pid:
                    continue
                outlived = end_outlived(job.pid, job.process_start)
                told = replace(job, pid=0, process_start=0)
                self._ended_by_itself(told, f"the server ended while it ran{' on' if outlived else ''}", again=True)
        self._tell()

    def tick(self) -> None:
        """Look at every job once and act; the thread calls it, and a test may."""
        with self._lock:
            for job in self._store.running():
                if job.spec.kind == REMOTE:
                    self._check_silence(job, REMOTE_PATIENCE)
            if self._current:
                self._act(self._look_after, self.get(self._current))
            if not self._current:
                waiting = next((job for job in self._store.running() if job.spec.kind != REMOTE), None)
                if waiting is not None:
                    self._act(self._begin, waiting)
        self._tell()

    def _loop(self) -> None:
        while True:
            self._wake.wait(POLL_S if self._current else IDLE_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            try:
                self.tick()
                self.problem = ""
            except Exception as error:
                # Whatever it was: without this thread every job would stand still at `training`.
                self.problem = f"training jobs: {type(error).__name__}: {error}"
                log.exception("training jobs could not be looked after")

    def _act(self, act: Callable[[Job], None], job: Job) -> None:
        try:
            act(job)
        except (WatchkeeperError, OSError):
            raise  # the disk or the database refuses: the next look tries again
        except Exception as error:
            # The boundary: what nobody foresaw would come again at every look, and the job stand at `training`.
            log.exception("the training job %s could not be gone on with", job.id)
            if self._current == job.id:
                self._let_go()
            self._end(job, Status.FAILED, f"a fault of Watchkeeper: {type(error).__name__}: {error}")

    def _begin(self, job: Job) -> None:
        folder = self.folder(job.id)
        try:
            folder.make()
            self._note(job, "resumed from its last checkpoint" if job.resumptions else "begins")
            self._work.prepare(job, folder)
            folder.forget("fault")
            self._kernel_kills = kernel_kills()
            process = WorkerProcess.begin(self._work.command(folder.path), folder.log_file)
        except (WatchkeeperError, OSError) as error:
            self._end(job, Status.FAILED, f"it could not be begun: {error}")
            return
        self._process, self._current, self._beats = process, job.id, -1
        now = self._now_unix_ns()
        self._put(replace(job, pid=process.pid, process_start=process.start, heartbeat_unix_ns=now))
        self._wake.set()

    def _look_after(self, job: Job) -> None:
        assert self._process is not None
        status = self._process.ended()
        told = self._with_progress(job)
        if status is not None:
            # Publishing takes a while: what was told at once must not seem to go back meanwhile.
            self._put(told)
            self._let_go()
            self._after_the_end(replace(told, pid=0, process_start=0), status)
            return
        memory = self._process.memory_bytes()
        told = replace(told, peak_memory_bytes=max(told.peak_memory_bytes, memory))
        if memory > self._limits.memory_bytes_max:
            self._let_go()
            cap = self._limits.memory_bytes_max
            self._end(told, Status.FAILED, f"out of memory: it held {memory >> 20} MiB, the cap is {cap >> 20} MiB")
        elif not self._check_silence(told, 1):
            self._live = told
            kept = self._store.get(job.id)
            if kept is None or is_news(told, kept):
                self._put(told)

    def _check_silence(self, job: Job, patience: int) -> bool:
        silent_s = (self._now_unix_ns() - job.heartbeat_unix_ns) / 1e9
        if silent_s <= self._limits.heartbeat_s * patience:
            return False
        why = f"no heartbeat for {silent_s:.0f} s"
        if job.spec.kind == REMOTE:
            self._end(job, Status.FAILED, f"{why}: the remote trainer has fallen silent")
        else:
            self._let_go()
            self._ended_by_itself(replace(job, pid=0, process_start=0), f"{why}: its process was ended", again=True)
        return True

    def _after_the_end(self, job: Job, status: int) -> None:
        folder = self.folder(job.id)
        fault = folder.read("fault")
        if status != 0 and fault is not None:
            self._end(job, Status.FAILED, str(fault.get("reason", "")) or how_it_ended(status))
            return
        how = how_it_ended(status)
        if status > 0:
            how = f"{how}: {folder.last_line()}"
        if status < 0 and kernel_kills() > self._kernel_kills:
            how += "; the kernel ran out of memory meanwhile and ended a process"
        self._ended_by_itself(job, how, again=status < 0)

    def _ended_by_itself(self, job: Job, why: str, *, again: bool) -> None:
        """Publish what is whole; else resume, while that is still allowed; else fail."""
        folder = self.folder(job.id)
        result = folder.read("result")
        if result is not None:
            self._publish(job, folder, result)
        elif again and job.resumptions < self._limits.resumptions_max:
            self._note(job, why)
            self._put(replace(job, resumptions=job.resumptions + 1))
        else:
            given_up = f"; given up after {job.resumptions} resumptions" if again and job.resumptions else ""
            self._end(job, Status.FAILED, f"{why}{given_up}")

    def _publish(self, job: Job, folder: JobFolder, result: Mapping[str, Any]) -> None:
        try:
            published = self._work.publish(job, folder, result)
        except (WatchkeeperError, OSError, KeyError, TypeError, ValueError) as error:
            self._end(job, Status.FAILED, f"its model could not be published: {error}")
            return
        self._end(replace(job, version=published.version, result=dict(published.result)), Status.COMPLETED, "")

    def _with_progress(self, job: Job) -> Job:
        told = self.folder(job.id).read("progress")
        if told is None:
            return job
        try:
            job = self._advanced(job, statistics_from_dict(told.get("statistics", {})))
            beats, peak = int(told.get("beats", 0)), int(told.get("peak_memory_bytes", 0))
        except (ValueError, TypeError) as error:
            log.warning("what job %s tells of its progress cannot be read: %s", job.id, error)
            return job
        if beats != self._beats:
            self._beats = beats
            job = replace(job, heartbeat_unix_ns=self._now_unix_ns())
        return replace(job, peak_memory_bytes=max(job.peak_memory_bytes, peak))

    @staticmethod
    def _advanced(job: Job, told: Statistics) -> Job:
        known = job.statistics
        percentage = max(known.percentage_completed, min(told.percentage_completed, UNFINISHED_MAX))
        return replace(job, statistics=replace(told, percentage_completed=percentage))

    def _end(self, job: Job, status: Status, reason: str) -> Job:
        folder = self.folder(job.id)
        told = replace(job.statistics, remaining_time_s=0.0)
        if status is Status.COMPLETED:
            told = replace(told, percentage_completed=100.0, stage=Stage.SAVE)
        self._note(job, f"{status.value}{f': {reason}' if reason else ''}")
        ended = replace(
            job,
            status=status,
            statistics=told,
            reason=reason[:REASON_MAX],
            log_tail=folder.log_tail(),
            ended_unix_ns=self._now_unix_ns(),
            pid=0,
            process_start=0,
        )
        self._put(ended)
        folder.clear()
        for gone in self._store.delete_beyond(self._limits.jobs_kept):
            self.folder(gone).remove()
        return ended

    def _let_go(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process, self._current, self._live = None, "", None
        self._wake.set()

    def _as_now(self, job: Job) -> Job:
        """Give the job with the progress that is not written yet."""
        live = self._live
        return live if live is not None and live.id == job.id and job.running else job

    def _note(self, job: Job, text: str) -> None:
        folder = self.folder(job.id)
        folder.make()
        folder.log(text, self._now_unix_ns())

    def _put(self, job: Job) -> None:
        self._store.put(job)
        self._news.append(job)

    def _tell(self) -> None:
        while True:
            with self._lock:
                if not self._news:
                    return
                job = self._news.pop(0)
            for listener in self._listeners:
                listener(job)
