"""What the worker's process does to itself and how it is watched, seen from outside; and its heart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from watchkeeper.training.process import Heart, WorkerProcess, end_outlived, how_it_ended, kernel_kills, start_time

POLITE = """
import json, os, resource, sys, psutil
from watchkeeper.training.process import be_polite
refused = be_polite(memory_bytes_max=300 << 20)
own = psutil.Process()
told = {
    "refused": refused,
    "nice": own.nice(),
    "idle": os.sched_getscheduler(0) == os.SCHED_IDLE,
    "io": int(own.ionice().ioclass),
    "oom": int(open("/proc/self/oom_score_adj").read()),
    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
    "threads": os.environ["OMP_NUM_THREADS"],
    "group": os.getpgrp() == os.getpid(),
}
try:
    bytearray(3 << 30)
except MemoryError:
    told["burst"] = "refused"
print(json.dumps(told))
"""


def test_it_gives_way_to_all_others(tmp_path) -> None:
    log = tmp_path / "log"
    process = WorkerProcess.begin([sys.executable, "-c", POLITE], log)
    while process.ended() is None:
        time.sleep(0.01)
    process.kill()
    told = json.loads(log.read_text())
    assert told == {
        "refused": [],
        "nice": 19,
        "idle": True,
        "io": int(psutil.IOPRIO_CLASS_IDLE),
        "oom": 900,
        "core": 0,
        "threads": os.environ.get("OMP_NUM_THREADS", "1"),
        "group": True,
        **({} if os.path.exists("/dev/nvidiactl") else {"burst": "refused"}),
    }


def test_memory_is_that_of_its_children_too(tmp_path) -> None:
    child = "held = bytearray(b'x' * (64 << 20)); print('ready', flush=True); import time; time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = WorkerProcess.begin([sys.executable, "-c", code], tmp_path / "log")
    try:
        while "ready" not in (tmp_path / "log").read_text():
            assert process.ended() is None
            time.sleep(0.01)
        assert 64 << 20 < process.memory_bytes() < 256 << 20
    finally:
        process.kill()
    assert process.memory_bytes() == 0


def test_the_lifeline_ends_it_with_the_one_who_began_it(tmp_path) -> None:
    code = "from watchkeeper.training.process import hold_lifeline; hold_lifeline().join()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True)
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == -9


def test_only_the_very_process_is_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        began = start_time(child.pid)
        assert not end_outlived(child.pid, began - 500)
        assert child.poll() is None
        assert end_outlived(child.pid, began)
        assert not psutil.pid_exists(child.pid)
    finally:
        child.kill()
        child.wait(10)
    assert not end_outlived(child.pid, began)
    assert not end_outlived(0, 0)


def test_the_heart_is_silent_while_nothing_goes_on() -> None:
    heart = Heart()
    first = heart.beat()
    spent_s = time.process_time()
    while time.process_time() - spent_s < 0.01:
        pass
    assert heart.beat() == first + 1
    heart.moved()
    assert heart.beat() == first + 2


def test_words() -> None:
    assert how_it_ended(-15) == "its process was ended by signal 15 (SIGTERM)"
    assert how_it_ended(-250) == "its process was ended by signal 250"
    assert kernel_kills() >= 0


@pytest.mark.parametrize("pid", [2**22 + 5])
def test_nobody_has_no_start(pid: int) -> None:
    assert start_time(pid) == 0
