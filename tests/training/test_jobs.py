"""Training jobs with real processes: every way to end, and every way to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.training import scripted
from tests.training.scripted import STEPS, Work, jobs_in

from watchkeeper.errors import Conflict, NotFound, QueryError
from watchkeeper.training.job import Stage, Status
from watchkeeper.training.jobs import Job, Jobs, JobSpec

NAME = "logs/default"


class Clock:
    """Real time, and what is added to it."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_jobs(tmp_path: Path, work: Work, clock: Clock) -> Iterator[Callable[..., Jobs]]:
    made: list[Jobs] = []

    def open_one(**limits: Any) -> Jobs:
        made.append(jobs_in(tmp_path / "home", work, clock, **limits))
        return made[-1]

    yield open_one
    for jobs in made:
        jobs.stop()


def until(reached: Callable[[], object], jobs: Jobs | None = None, *, seconds: float = 30.0) -> None:
    """Let jobs look, again and again, until something holds."""
    by_s = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < by_s, "it never came to that"
        if jobs is not None:
            jobs.tick()
        time.sleep(0.005)


def asked(name: str = NAME, **parameters: Any) -> JobSpec:
    return JobSpec("logs", name, parameters=parameters)


def ended(jobs: Jobs, job: Job) -> Job:
    until(lambda: not jobs.get(job.id).running, jobs)
    return jobs.get(job.id)


def reach(jobs: Jobs, job: Job, step: int) -> None:
    """Let a job's worker come to a step and stay there."""
    folder = jobs.folder(job.id).path
    until(lambda: jobs.get(job.id).pid, jobs)
    for gate in range(step):
        (folder / f"gate{gate}").touch()
    until(lambda: (folder / "step").exists() and (folder / "step").read_text() == str(step), jobs)


def open_gates(jobs: Jobs, job: Job) -> None:
    for gate in range(STEPS):
        (jobs.folder(job.id).path / f"gate{gate}").touch()


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_completed_after_save_and_publish(open_jobs: Callable[..., Jobs], work: Work) -> None:
    jobs, seen = open_jobs(), []
    jobs.on_change(seen.append)
    job = jobs.start(asked())
    done = ended(jobs, job)
    assert (done.status, done.stage, done.version, done.result) == (Status.COMPLETED, Stage.SAVE, 1, {"accuracy": 0.9})
    assert (done.statistics.percentage_completed, done.statistics.remaining_time_s) == (100.0, 0.0)
    assert (done.statistics.current_epoch, done.statistics.model_accuracy) == (STEPS, 0.5)
    percentages = [each.statistics.percentage_completed for each in seen]
    assert percentages == sorted(percentages)
    assert all((each.stage is Stage.SAVE and each.version) for each in seen if each.status is Status.COMPLETED)
    assert sorted(path.name for path in jobs.folder(job.id).path.iterdir()) == ["job.json", "log.txt"]
    assert jobs.latest(NAME) == done == jobs.list()[0]
    assert done.log_tail == jobs.log(job.id)[0]
    assert "goes on from step 0" in done.log_tail


def test_status_and_stage_change_in_one_write(open_jobs: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = open_jobs()
    import sqlite3

    with sqlite3.connect(tmp_path / "home" / "metadata.sqlite") as database:
        database.execute("CREATE TABLE seen (status TEXT, stage TEXT, document TEXT)")
        database.execute(
            """CREATE TRIGGER every_write AFTER UPDATE ON training_jobs
            BEGIN INSERT INTO seen VALUES (new.status, new.stage, new.document); END"""
        )
    ended(jobs, jobs.start(asked()))
    with sqlite3.connect(tmp_path / "home" / "metadata.sqlite") as database:
        rows = database.execute("SELECT * FROM seen").fetchall()
    database.close()
    for status, stage, document in rows:
        told = json.loads(document)
        assert (told["status"], told["stage"], told["statistics"]["stage"]) == (status, stage, stage)
        assert status != "completed" or (stage, told["version"]) == ("save", 1)
    assert rows[-1][0] == "completed"


def test_a_killed_worker_goes_on_from_its_checkpoint(open_jobs: Callable[..., Jobs]) -> None:
    jobs = open_jobs()
    job = jobs.start(asked(gates=True))
    reach(jobs, job, 3)
    before = jobs.get(job.id)
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: jobs.get(job.id).resumptions == 1, jobs)
    assert jobs.get(job.id).status is Status.TRAINING
    open_gates(jobs, job)
    done = ended(jobs, job)
    assert (done.status, done.resumptions) == (Status.COMPLETED, 1)
    assert "signal 9 (SIGKILL)" in done.log_tail
    assert "goes on from step 3" in done.log_tail
    assert done.statistics.time_elapsed_s >= before.statistics.time_elapsed_s


def test_too_many_kills_are_the_end(open_jobs: Callable[..., Jobs], work: Work) -> None:
    jobs = open_jobs(resumptions_max=2)
    job = jobs.start(asked(gates=True))
    for kills in range(3):
        until(lambda: jobs.get(job.id).pid, jobs)
        os.kill(jobs.get(job.id).pid, signal.SIGKILL)
        until(lambda kills=kills: jobs.get(job.id).resumptions > kills or not jobs.get(job.id).running, jobs)
    failed = ended(jobs, job)
    assert failed.status is Status.FAILED
    assert failed.reason == "its process was ended by signal 9 (SIGKILL); given up after 2 resumptions"
    assert failed.log_tail.endswith(f"training failed: {failed.reason}\n")
    assert not work.published


@pytest.mark.parametrize("also_the_worker", [False, True])
def test_a_killed_server(tmp_path: Path, open_jobs: Callable[..., Jobs], also_the_worker: bool) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "start.json").write_text('{"gates": true}')
    server = subprocess.Popen([sys.executable, scripted.__file__, "serve", str(home)])
    try:
        until((home / "metadata.sqlite").exists)
        jobs = open_jobs()
        until(lambda: jobs.list() and jobs.list()[0].pid)
        job = jobs.list()[0]
        folder = jobs.folder(job.id).path
        for gate in range(2):
            (folder / f"gate{gate}").touch()
        until(lambda: (folder / "step").exists() and (folder / "step").read_text() == "2")
    finally:
        server.kill()
        if also_the_worker:
            os.kill(job.pid, signal.SIGKILL)
        server.wait(10)
    until(lambda: not alive(job.pid))
    jobs.take_up()
    assert (jobs.get(job.id).status, jobs.get(job.id).resumptions) == (Status.TRAINING, 1)
    open_gates(jobs, job)
    done = ended(jobs, job)
    assert done.status is Status.COMPLETED
    assert "goes on from step 2" in done.log_tail


def test_a_worker_that_outlived_its_server_is_ended(open_jobs: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = open_jobs()
    job = jobs.start(asked(gates=True))
    reach(jobs, job, 1)
    pid = jobs.get(job.id).pid
    os.kill(pid, signal.SIGSTOP)  # so that its lifeline is no help
    later = jobs_in(tmp_path / "home", Work())
    later.take_up()
    until(lambda: not alive(pid))
    assert later.get(job.id).resumptions == 1


def test_a_stopped_server_does_not_count(open_jobs: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = open_jobs()
    job = jobs.start(asked(gates=True))
    reach(jobs, job, 2)
    jobs.stop()
    later = jobs_in(tmp_path / "home", Work())
    later.take_up()
    open_gates(later, job)
    done = ended(later, job)
    assert (done.status, done.resumptions) == (Status.COMPLETED, 0)
    assert "goes on from step 2" in done.log_tail


def test_a_whole_model_is_published_though_the_server_was_killed(open_jobs: Callable[..., Jobs], work: Work) -> None:
    jobs = open_jobs()
    job = jobs.start(asked())
    until(lambda: jobs.get(job.id).pid, jobs)
    until(lambda: not alive(jobs.get(job.id).pid))
    jobs.take_up()
    assert (jobs.get(job.id).status, work.published) == (Status.COMPLETED, [job.id])


def test_silence_is_the_end_of_a_process(open_jobs: Callable[..., Jobs], clock: Clock) -> None:
    jobs = open_jobs(heartbeat_s=60.0, resumptions_max=0)
    job = jobs.start(asked(gates=True))
    reach(jobs, job, 1)
    pid = jobs.get(job.id).pid
    os.kill(pid, signal.SIGSTOP)
    clock.ahead_ns += 50 * 10**9
    jobs.tick()
    jobs.tick()
    assert jobs.get(job.id).running
    clock.ahead_ns += 61 * 10**9
    failed = ended(jobs, job)
    assert failed.status is Status.FAILED
    assert failed.reason.startswith("no heartbeat for ")
    assert not alive(pid)


def test_memory_over_the_cap(open_jobs: Callable[..., Jobs]) -> None:
    jobs = open_jobs(memory_bytes_max=200 << 20)
    # Not far over the cap, so that what it held is the same however late somebody looks.
    failed = ended(jobs, jobs.start(asked(allocate=26)))
    assert failed.status is Status.FAILED
    assert failed.reason.startswith("out of memory: it held 2")
    assert failed.reason.endswith("the cap is 200 MiB")
    assert failed.peak_memory_bytes > 200 << 20


def test_reasons(open_jobs: Callable[..., Jobs], work: Work) -> None:
    jobs = open_jobs()
    told = ended(jobs, jobs.start(asked(fault="no data: nothing was there")))
    assert (told.status, told.reason) == (Status.FAILED, "no data: nothing was there")
    unforeseen = ended(jobs, jobs.start(asked(**{"raise": "odd"})))
    assert unforeseen.reason == "its process ended with exit status 1: RuntimeError: odd"
    assert "Traceback" in unforeseen.log_tail
    assert not work.published


def test_a_result_that_cannot_be_published(
    open_jobs: Callable[..., Jobs], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_: object) -> None:
        raise KeyError("quality")

    monkeypatch.setattr(work, "publish", publish)
    jobs = open_jobs()
    failed = ended(jobs, jobs.start(asked()))
    assert (failed.status, failed.version) == (Status.FAILED, None)
    assert failed.reason == "its model could not be published: 'quality'"


@pytest.mark.parametrize("part", ["prepare", "publish"])
def test_what_nobody_foresaw_ends_the_job_and_no_other(
    open_jobs: Callable[..., Jobs], work: Work, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(work, part, fail)
    jobs = open_jobs()
    failed = ended(jobs, jobs.start(asked()))
    assert (failed.status, failed.reason) == (Status.FAILED, "a fault of Watchkeeper: ZeroDivisionError: odd")
    monkeypatch.undo()
    assert ended(jobs, jobs.start(asked())).status is Status.COMPLETED


def test_cancel(open_jobs: Callable[..., Jobs], work: Work) -> None:
    jobs = open_jobs()
    job = jobs.start(asked(gates=True, child=True))
    reach(jobs, job, 2)
    child, pid = int((jobs.folder(job.id).path / "child").read_text()), jobs.get(job.id).pid
    cancelled = jobs.cancel(job.id)
    until(lambda: not alive(child) and not alive(pid))
    assert (cancelled.status, cancelled.stage, cancelled.version) == (Status.CANCELLED, Stage.TRAIN, None)
    assert sorted(path.name for path in jobs.folder(job.id).path.iterdir()) == ["job.json", "log.txt"]
    with pytest.raises(Conflict, match="ended already"):
        jobs.cancel(job.id)
    jobs.tick()
    assert jobs.get(job.id) == cancelled
    assert not work.published


def test_one_at_a_time(open_jobs: Callable[..., Jobs]) -> None:
    jobs = open_jobs()
    first = jobs.start(asked(gates=True))
    with pytest.raises(Conflict, match=first.id):
        jobs.start(asked())
    other = jobs.start(asked("logs/other"))
    third = jobs.start(asked("logs/third"))
    reach(jobs, first, 2)
    assert (jobs.get(other.id).status, jobs.get(other.id).pid) == (Status.TRAINING, 0)
    assert jobs.cancel(third.id).status is Status.CANCELLED
    open_gates(jobs, first)
    assert ended(jobs, other).status is Status.COMPLETED
    assert jobs.get(first.id).ended_unix_ns < jobs.get(other.id).ended_unix_ns
    assert jobs.start(asked()).running


def test_a_remote_trainer(open_jobs: Callable[..., Jobs], clock: Clock) -> None:
    jobs = open_jobs(heartbeat_s=10.0)
    job = jobs.start(JobSpec("remote", NAME))
    half = jobs.report(job.id, "training", {"percentage_completed": 50, "stage": "train", "current_epoch": 2})
    assert (half.statistics.percentage_completed, half.stage) == (50.0, Stage.TRAIN)
    back = jobs.report(job.id, "training", {"percentage_completed": 40, "stage": "train"})
    assert back.statistics.percentage_completed == 50.0
    for status, told in (("odd", {}), ("training", {"stage": "odd"}), ("training", {"percentage_completed": 101})):
        with pytest.raises(QueryError):
            jobs.report(job.id, status, told)
    done = jobs.report(job.id, "completed", {"model_accuracy": 0.8})
    assert (done.status, done.stage, done.statistics.model_accuracy) == (Status.COMPLETED, Stage.SAVE, 0.8)
    with pytest.raises(Conflict):
        jobs.report(job.id, "training")
    silent = jobs.start(JobSpec("remote", NAME))
    clock.ahead_ns += 51 * 10**9
    jobs.tick()
    assert jobs.get(silent.id).status is Status.FAILED
    assert "fallen silent" in jobs.get(silent.id).reason


def test_what_is_refused(open_jobs: Callable[..., Jobs]) -> None:
    jobs = open_jobs()
    with pytest.raises(NotFound):
        jobs.get("odd")
    with pytest.raises(NotFound):
        jobs.cancel("odd")
    with pytest.raises(QueryError):
        jobs.start(JobSpec("logs", NAME, from_unix_ns=2, until_unix_ns=1))
    local = jobs.start(asked())
    with pytest.raises(Conflict, match="tells its status itself"):
        jobs.report(local.id, "completed")


def test_old_jobs_go(open_jobs: Callable[..., Jobs]) -> None:
    jobs = open_jobs(jobs_kept=2)
    made = [jobs.start(JobSpec("remote", NAME)) for _ in range(1)]
    for _ in range(3):
        jobs.report(made[-1].id, "cancelled")
        made.append(jobs.start(JobSpec("remote", NAME)))
    assert [job.id for job in jobs.list()] == [job.id for job in reversed(made[1:])]
    assert not jobs.folder(made[0].id).path.exists()
