"""A job of a log model that is killed in every stage, and one that is not; a script for test_log_job.py.

For each place a forked child does the job in the same folder and dies there by SIGKILL; the last one comes to the end.
Prints what each died of, how far it said to be, and what both jobs came to, as JSON.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.app.test_training import CART, NOW, OTHER, THINGS, VERBS, batch_of

from watchkeeper.learn import framework
from watchkeeper.learn.checkpoints import Checkpoints
from watchkeeper.learn.line_counts import LineCounts
from watchkeeper.training import log_job, worker
from watchkeeper.training.job import JobSpec
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.reading import Reader

SHORT = {"epochs": 40, "steps_min": 0, "steps_max": 40, "tests": 4}


def made(path: Path) -> JobFolder:
    """Give the folder of a job that was begun."""
    folder = JobFolder(path)
    folder.make()
    folder.data.mkdir()
    lines = [f"{VERBS[at % 8]} {THINGS[at // 8 % 4]} {at} of customer {at * 7} in {at % 90}ms" for at in range(600)]
    pq.write_table(pa.Table.from_batches([batch_of(lines, "cart")]), folder.data / "lines.parquet")
    spec = JobSpec("logs", "logs/default", "default", (CART, OTHER), NOW - 3_600 * 10**9, NOW, SHORT)
    told = {"exclusions": [], "memory_bytes_max": 2 << 30, "false_alarms_max": 0.05, "rows": 600, "previous": None}
    folder.write("job", {"schema_version": 1, "id": "killed", "spec": spec.as_dict(), **told})
    return folder


def dies(owner: Any, name: str, when: Callable[..., bool], *, after: bool = False) -> Callable[[], None]:
    """Give what makes a function kill its process when it is called so, before or after it did its work."""

    def arm() -> None:
        does = getattr(owner, name)

        def deadly(*given: Any, **named: Any) -> Any:
            if after:
                does(*given, **named)
            if when(*given):
                os.kill(os.getpid(), signal.SIGKILL)
            return None if after else does(*given, **named)

        setattr(owner, name, deadly)

    return arm


def places(folder: JobFolder) -> dict[str, Callable[[], None]]:
    """Give where to die, in the order of a job."""
    return {
        "lines are read": dies(Reader, "extent", lambda *_: True),
        "half of the counts is written": dies(LineCounts, "save", lambda _, place: place.name == "learned", after=True),
        "counts are whole, and nobody says so": dies(JobFolder, "write", lambda _, name, *__: name == "counted"),
        "the lines go": dies(log_job.shutil, "rmtree", lambda path, *_: path == folder.data),
        "a checkpoint is written": dies(Checkpoints, "save", lambda *_: True, after=True),
        "the network is trained": dies(log_job, "judge", lambda *_: True),
        "half of the model is written": dies(LineCounts, "save", lambda _, place: place == folder.model, after=True),
        "the model is whole, and nobody says so": dies(JobFolder, "write", lambda _, name, *__: name == "result"),
        "": idle,
    }


def idle() -> None:
    """Let it live."""


def work(folder: JobFolder, arm: Callable[[], None]) -> int:
    """Do the job in a child; gives what ended it, 0 for nothing."""
    child = os.fork()
    if not child:
        worker.be_polite = lambda **_: []  # the tests share the machine with nobody
        log_job.CHECKPOINT_APART_S = 0.0
        log_job.LogModel.learn.__func__.__kwdefaults__["checkpoint_every"] = 10
        arm()
        os._exit(worker.main(folder.path))
    return -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def came_to(folder: JobFolder) -> dict[str, Any]:
    result = folder.read("result") or {}
    return {name: result.get(name) for name in ("sha256", "quality", "thresholds", "trained_on", "verdict")}


if __name__ == "__main__":
    home = Path(sys.argv[1])
    framework.torch()
    folder = made(home / "killed")
    ends, seen = {}, []
    for place, arm in places(folder).items():
        ends[place] = work(folder, arm)
        seen.append((folder.read("progress") or {})["statistics"]["percentage_completed"])
    whole = made(home / "whole")
    ends["never"] = work(whole, idle)
    told = {"ends": ends, "seen": seen, "killed": came_to(folder), "whole": came_to(whole)}
    print(json.dumps({**told, "log": folder.log_tail(100_000)}))
