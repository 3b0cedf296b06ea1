"""`watchkeeper demo` as a user runs it: played to the end, interrupted, killed; nothing may be left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

DEMO = [sys.executable, "-m", "watchkeeper.cli.main", "demo", "--any-ports"]
WARMUP_S = 30


class Played:
    """A demo in a session of its own; its output goes to a file, as into a pipe."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.output = folder / "output"
        environment = {**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*DEMO, *options], stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
        self._family: dict[int, psutil.Process] = {}

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait(self, condition: Callable[[], object], within_s: float) -> None:
        """Wait for a condition, noting every process that the demo starts meanwhile."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.said()
            if self.process.poll() is None:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    self._family.setdefault(child.pid, child)
            time.sleep(0.2)

    def nothing_is_left(self) -> None:
        assert len(self._family) >= 10, "Watchkeeper, the shop's supervisor and its children were seen"
        _, alive = psutil.wait_procs(list(self._family.values()), timeout=20)
        assert not alive, f"{alive} in spite of: {self.said()}"


@contextmanager
def played(folder: Path, *options: str) -> Iterator[Played]:
    demo = Played(folder, *options)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_once_ends_with_a_finding_of_the_faulty_service(tmp_path: Path) -> None:
    with played(tmp_path, "--once", "--warmup", str(WARMUP_S)) as demo:
        demo.wait(lambda: demo.process.poll() is not None, 200)
        said = demo.said()
        assert demo.process.returncode == 0, said
        told = re.search(r"([\d.]+) s after the fault an incident names service:payment as its cause", said)
        assert told is not None, said
        assert float(told[1]) < 60
        assert "All ended." in said
        demo.nothing_is_left()
        assert not list(tmp_path.glob("watchkeeper-demo-*")), "the state was to be deleted"


@pytest.fixture
def deaf_to_sigint() -> Iterator[None]:
    """What is started meanwhile inherits it, as a shell has it for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_however_it_ends_nothing_is_left(tmp_path: Path, number: signal.Signals, deaf_to_sigint: None) -> None:
    with played(tmp_path, "--home", str(tmp_path / "home")) as demo:
        demo.wait(lambda: "[learning]" in demo.said(), 60)
        demo.process.send_signal(number)
        demo.wait(lambda: demo.process.poll() is not None, 40)
        assert demo.process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0), demo.said()
        demo.nothing_is_left()
