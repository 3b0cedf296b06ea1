"""The worker's process, from both sides: begun, watched and ended by the server; made small and polite by itself.

Enters: a command and a job's folder. Leaves: a process in a group of its own, with one thread for mathematics, the
lowest priority for processor and disk, first in line when the kernel runs out of memory, and a lifeline: a pipe that
only the server holds open, at whose end the process ends itself. One that outlived its server all the same is found by
its number and start time. Knows nothing of jobs' states.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

END_WAIT_S = 5.0
NICENESS = 19
OOM_SCORE = 900
DATA_SLACK_BYTES = 2 << 30
"""How far the limit of the kernel lies above the cap, which the server enforces: room for what is mapped, not used."""
GPU_DEVICE = Path("/dev/nvidiactl")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class WorkerProcess:
    """A process that this one began; `pid` and `start` tell it apart from any other, ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.start = start_time(process.pid)

    @classmethod
    def begin(cls, command: Sequence[str], log_file: Path) -> WorkerProcess:
        """Start a process whose output goes to the end of a file; raises OSError."""
        threads = {name: os.environ.get(name, "1") for name in _THREADS}
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **threads, "PYTHONUNBUFFERED": "1"},
            )
        return cls(process)

    def ended(self) -> int | None:
        """Give the exit status, negative for a signal's number; None while it runs."""
        return self._process.poll()

    def memory_bytes(self) -> int:
        """Give the memory that it and its children hold and that no file backs; 0 when it is gone."""
        return sum(map(_held_bytes, (self.pid, *_descendants(self.pid))))

    def kill(self) -> None:
        """End its whole group at once and wait until it is gone."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WAIT_S)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def _descendants(pid: int) -> list[int]:
    """Give the children of a process, and theirs; those that end meanwhile may be missing.

    Not by psutil, which looks at every process of the machine: 20 ms for 100 of them, for which senders would wait.
    """
    found: list[int] = []
    waiting = [pid]
    while waiting:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
                children = [int(each) for each in (task / "children").read_text(encoding="ascii").split()]
                found += children
                waiting += children
    return found


def _held_bytes(pid: int) -> int:
    """Give what a process holds in RAM without the pages of files, such as CUDA's libraries, which are shared."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    told = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(map(int, told)) * 1024


def start_time(pid: int) -> int:
    """Give when a process began, in hundredths of a second since boot or of Unix time; 0 when there is none."""
    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return 0


def end_outlived(pid: int, start: int, *, wait_s: float = END_WAIT_S) -> bool:
    """End the group of a worker that an earlier server began, when it is still that process; tells whether it was."""
    if not pid or abs(start_time(pid) - start) > 1:
        return False
    process = psutil.Process(pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(psutil.Error):
        process.wait(wait_s)
    return True


def how_it_ended(status: int) -> str:
    """Put an exit status into words.

    >>> how_it_ended(-9), how_it_ended(3)
    ('its process was ended by signal 9 (SIGKILL)', 'its process ended with exit status 3')
    """
    if status >= 0:
        return f"its process ended with exit status {status}"
    try:
        name = f" ({signal.Signals(-status).name})"
    except ValueError:
        name = ""
    return f"its process was ended by signal {-status}{name}"


def kernel_kills() -> int:
    """Give how many processes the kernel has ended for want of memory since boot; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def be_polite(*, memory_bytes_max: int) -> list[str]:
    """Called by the worker about itself, first thing: give way to all others. Gives what could not be done."""
    refused = []
    own = psutil.Process()
    steps: dict[str, Callable[[], object]] = {
        "niceness": lambda: own.nice(NICENESS),
        "idle scheduling": _schedule_as_idle,
        "disk priority": lambda: own.ionice(psutil.IOPRIO_CLASS_IDLE),
        "out-of-memory score": lambda: Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii"),
        "no core files": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    }
    if not GPU_DEVICE.exists():  # CUDA maps the memory of GPUs as data; the server's watch is the limit there
        steps["memory limit"] = lambda: _limit_data(memory_bytes_max + DATA_SLACK_BYTES)
    for name, step in steps.items():
        try:
            step()
        except (OSError, ValueError, psutil.Error, AttributeError) as error:
            refused.append(f"{name}: {error}")
    return refused


def _schedule_as_idle() -> None:
    # Where the kernel groups sessions, niceness means nothing to those of others; this yields to all at once.
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _limit_data(bytes_max: int) -> None:
    # RLIMIT_AS would count what is reserved and never touched, of which torch has gigabytes; this counts what is
    # writable. It stops a burst between two looks of the server, which holds the worker to the cap itself.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = bytes_max if hard == resource.RLIM_INFINITY else min(bytes_max, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def hold_lifeline(descriptor: int = 0) -> threading.Thread:
    """Called by the worker: end this process, children included, as soon as the server's end of the pipe closes."""

    def wait_for_the_end() -> None:
        # Not through sys.stdin, whose lock this thread would still hold when the interpreter ends.
        while os.read(descriptor, 4096):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    thread = threading.Thread(target=wait_for_the_end, name="lifeline", daemon=True)
    thread.start()
    return thread


def peak_memory_bytes() -> int:
    """Give the most memory in RAM that this process has had."""
    # Not getrusage, whose figure a process takes over from the one that began it.
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


class Heart:
    """Beats for a worker: `beats` grows while its main thread uses the processor or `moved` is called, and else not.

    So a process that is stopped, or waits for ever, falls silent, while a long step of computing does not.
    """

    def __init__(self) -> None:
        self._clock = time.pthread_getcpuclockid(threading.main_thread().ident or 0)
        self._used_s = 0.0
        self._moved = False
        self.beats = 0

    def moved(self) -> None:
        """Note that the work went on, by whatever thread or device."""
        self._moved = True

    def beat(self) -> int:
        """Give the count of beats, one more if anything went on since."""
        used_s = time.clock_gettime(self._clock)
        if self._moved or used_s > self._used_s:
            self.beats += 1
        self._moved, self._used_s = False, used_s
        return self.beats
