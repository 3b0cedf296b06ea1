"""A worker that does what its job's parameters say, and a server that only looks after jobs: real processes for tests.

`python scripted.py work JOBFOLDER` acts as the worker; `python scripted.py serve HOME` as a server, until it is killed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from watchkeeper.store.metadata import Metadata
from watchkeeper.training.job import Stage
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.jobs import Job, Jobs, JobSpec, Limits, Published
from watchkeeper.training.process import hold_lifeline
from watchkeeper.training.reporter import Reporter

STEPS = 5
PIECE = 8 << 20


class Work:
    """Begins the worker below and counts what it publishes."""

    def __init__(self) -> None:
        self.published: list[str] = []

    def check(self, spec: JobSpec) -> None:
        pass

    def prepare(self, job: Job, folder: JobFolder) -> None:
        folder.write("job", {"spec": job.spec.as_dict()})

    def command(self, folder: Path) -> Sequence[str]:
        return [sys.executable, __file__, "work", str(folder)]

    def publish(self, job: Job, folder: JobFolder, result: Mapping[str, Any]) -> Published:
        assert (folder.model / "weights").read_text() == "whole"
        self.published.append(job.id)
        return Published(len(self.published), result)


def jobs_in(home: Path, work: Work, now_unix_ns: Callable[[], int] = time.time_ns, **limits: Any) -> Jobs:
    home.mkdir(exist_ok=True)
    return Jobs(
        Metadata(home / "metadata.sqlite"), home / "training", work, limits=Limits(**limits), now_unix_ns=now_unix_ns
    )


def do(folder: JobFolder) -> int:
    job = folder.read("job")
    assert job is not None
    asked = job["spec"]["parameters"]
    with Reporter(folder, every_s=0.02) as reporter:
        reporter.begin(Stage.TRAIN)
        reporter.plan(Stage.TRAIN, STEPS)
        if "child" in asked:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            (folder.path / "child").write_text(str(child.pid))
        if "allocate" in asked:
            allocate(asked["allocate"])
        if "fault" in asked:
            folder.write("fault", {"reason": asked["fault"]})
            return 1
        if "raise" in asked:
            raise RuntimeError(asked["raise"])
        steps(folder, reporter, gates="gates" in asked)
        reporter.begin(Stage.EVALUATE)
        reporter.begin(Stage.SAVE)
    folder.model.mkdir(exist_ok=True)
    (folder.model / "weights").write_text("whole")
    folder.write("result", {"accuracy": 0.9})
    return 0


def steps(folder: JobFolder, reporter: Reporter, *, gates: bool) -> None:
    """Do STEPS steps, each kept in a checkpoint; with gates each waits for a file named like it."""
    kept = folder.path / "step"
    first = int(kept.read_text()) if kept.exists() else 0
    print(f"goes on from step {first}", flush=True)
    for step in range(first, STEPS):
        while gates and not (folder.path / f"gate{step}").exists():
            time.sleep(0.005)
        reporter.reach(step + 1, epoch=step + 1, accuracy=0.5)
        folder.path.joinpath("step.tmp").write_text(str(step + 1))
        folder.path.joinpath("step.tmp").rename(kept)


def allocate(pieces: int) -> None:
    held = []
    for _ in range(pieces):
        held.append(bytearray(b"x" * PIECE))
        time.sleep(0.005)
    time.sleep(600)


def serve(home: Path) -> None:
    """Look after jobs until killed; starts one when `start.json` appears with its parameters."""
    jobs = jobs_in(home, Work())
    jobs.start_watching()
    told = json.loads((home / "start.json").read_text())
    jobs.start(JobSpec("logs", "logs/default", parameters=told))
    time.sleep(600)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        hold_lifeline()
        sys.exit(do(JobFolder(Path(sys.argv[2]))))
    serve(Path(sys.argv[2]))
