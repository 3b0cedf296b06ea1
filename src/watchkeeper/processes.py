"""Our own programs in processes of their own: started, waited for until they are ready, ended with all they started.

Enters: commands that print one line of JSON when they are ready. Leaves: that JSON, and nothing that still runs. Each
program is in a session of its own, so that Ctrl-C reaches only whoever started them, who ends them in order; should
that one be killed, the kernel ends them (Linux). Knows nothing of what the programs do.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from watchkeeper.errors import WatchkeeperError

READY_S = 90.0
STOP_S = 15.0
POLL_S = 0.05
OUTPUT_TOLD_CHARACTERS = 2_000
_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """Give what a child does before it becomes its program (`preexec_fn`), None where the system cannot do it.

    The signal comes when the *thread* that started the child ends: start children from a thread that outlives them.
    """
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)  # loaded before the fork: little is safe between fork and exec

    def ask_the_kernel() -> None:
        library.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return ask_the_kernel


class Running(NamedTuple):
    """A program that is ready: its process, and what it said. failed: what `check` raises."""

    name: str
    process: subprocess.Popen[bytes]
    ready: dict[str, Any]
    output: Path
    failed: type[WatchkeeperError]

    def check(self) -> None:
        """Raise `failed`, with what the program said last, when it ended by itself."""
        if self.process.poll() is not None:
            raise self.failed(
                f"{self.name} ended by itself with status {self.process.returncode}: {_tail(self.output)}"
            )


class Programs:
    """Programs in the order of their start; what they say is kept in `folder`, as NAME.ready and NAME.output.

    failed: the error that tells of a program that did not start. ready_s: how long one may take until it is ready.
    """

    def __init__(self, folder: Path, failed: type[WatchkeeperError], *, ready_s: float = READY_S) -> None:
        self._folder = folder
        self._failed = failed
        self._ready_s = ready_s
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: list[str], folder: Path, wait: Callable[[], None] | None = None) -> Running:
        """Start a program in `folder` and wait until it is ready, calling `wait` meanwhile; raises `failed`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        said, output = self._folder / f"{name}.ready", self._folder / f"{name}.output"
        with said.open("wb") as out, output.open("wb") as errors:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - one call of the C library, loaded before the fork
            )
        self._started.append((name, process))
        deadline = time.monotonic() + self._ready_s
        while b"\n" not in (line := said.read_bytes()):
            if process.poll() is not None:
                raise self._failed(f"{name} did not start (status {process.returncode}): {_tail(output)}")
            if time.monotonic() > deadline:
                raise self._failed(f"{name} was not ready within {self._ready_s:g} s: {_tail(output)}")
            if wait is not None:
                wait()
            time.sleep(POLL_S)
        return Running(name, process, self._ready(name, line.splitlines()[0]), output, self._failed)

    def stop(self) -> list[str]:
        """End all, the last started first, with what they started; gives the names of those that had to be killed."""
        killed = []
        for name, process in reversed(self._started):
            children = _children(process)
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                killed.append(name)
                process.kill()
                process.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        self._started.clear()
        return killed

    def _ready(self, name: str, line: bytes) -> dict[str, Any]:
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError) as error:
            said = line.decode("utf-8", "replace")
            raise self._failed(f"{name} said no JSON when it was ready, but {said!r}") from error


def _children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return list(psutil.Process(process.pid).children(recursive=True)) if process.poll() is None else []
    except psutil.NoSuchProcess:
        return []  # it ended in this moment


def _tail(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace").strip()[-OUTPUT_TOLD_CHARACTERS:] or "it said nothing"
