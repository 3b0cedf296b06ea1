"""Programs of our own: waited for, ended with all they started, and told of when they do not start."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from watchkeeper import processes
from watchkeeper.errors import WatchkeeperError
from watchkeeper.processes import Programs

STUBBORN = "import signal,time;signal.signal(signal.SIGTERM,signal.SIG_IGN);print('{}',flush=True);time.sleep(60)"
OBEDIENT = "import time;print('{\"a\": 1}',flush=True);time.sleep(60)"
PARENT = (
    "import json,subprocess,sys,time;"
    "child=subprocess.Popen([sys.executable,'-c','import time;time.sleep(60)'],start_new_session=True);"
    "print(json.dumps({'child':child.pid}),flush=True);time.sleep(60)"
)


class NotStarted(WatchkeeperError):
    """What whoever starts the programs raises."""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path / "said", NotStarted)


def test_are_waited_for_and_ended(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_S", 0.5)
    waited: list[bool] = []
    obedient = programs.start("obedient", python(OBEDIENT), tmp_path, lambda: waited.append(True))
    stubborn = programs.start("stubborn", python(STUBBORN), tmp_path)
    assert obedient.ready == {"a": 1}
    assert waited
    obedient.check()
    assert programs.stop() == ["stubborn"]
    assert obedient.process.returncode == -signal.SIGTERM
    assert stubborn.process.returncode == -signal.SIGKILL
    with pytest.raises(NotStarted, match="obedient ended by itself with status -15: it said nothing"):
        obedient.check()


def test_what_a_program_started_ends_with_it(programs: Programs, tmp_path: Path) -> None:
    child = programs.start("parent", python(PARENT), tmp_path).ready["child"]
    assert psutil.pid_exists(child)
    assert programs.stop() == []
    assert _ends(child)


def test_one_that_ended_before_is_no_trouble(programs: Programs, tmp_path: Path) -> None:
    programs.start("brief", python("print('{}',flush=True)"), tmp_path).process.wait(10)
    assert programs.stop() == []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit('no such port')", r"broken did not start \(status 1\): no such port"),
        ("import time;time.sleep(60)", "broken was not ready within 0.5 s: it said nothing"),
        ("import time;print('hello',flush=True);time.sleep(60)", "broken said no JSON when it was ready, but 'hello'"),
    ],
)
def test_one_that_does_not_start_is_told_with_the_reason(tmp_path: Path, code: str, told: str) -> None:
    programs = Programs(tmp_path, NotStarted, ready_s=0.5 if "sleep" in code and "hello" not in code else 30.0)
    with pytest.raises(NotStarted, match=told):
        programs.start("broken", python(code), tmp_path)
    assert programs.stop() == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's notice of a parent's death is Linux's")
def test_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys,time,pathlib; from watchkeeper.errors import WatchkeeperError\n"
        "from watchkeeper.processes import Programs\n"
        f"folder=pathlib.Path({str(tmp_path)!r})\n"
        f"child=Programs(folder,WatchkeeperError).start('child',[sys.executable,'-c',{OBEDIENT!r}],folder)\n"
        "print(child.process.pid,flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(python(script), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert _ends(child)


def _ends(pid: int, within_s: float = 10.0) -> bool:
    """Tell whether a process is gone, or waits for nothing but its parent, within some seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
