"""A real shop, run as a user runs it, and a way to wait."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

SHOP = Path(__file__).parents[2] / "examples" / "shop"
READY_S = 40.0


def until(condition: Callable[[], Any], within_s: float, what: str) -> Any:
    """Wait for a condition and give what it gave; fails with `what` was waited for."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.05)
    return value


class RunningShop:
    """`python -m shop up`, in a session of its own, and ways to use it."""

    def __init__(self, folder: Path, otlp: str, *options: str) -> None:
        self.folder = folder
        command = [
            sys.executable,
            "-m",
            "shop",
            "up",
            "--json-ready",
            "--folder",
            str(folder),
            "--otlp",
            otlp,
            *options,
        ]
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            command, cwd=SHOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_S)
        line = self.process.stdout.readline() if readable else ""
        self.ready_s = time.monotonic() - self.started
        if not line:
            self.process.kill()
            raise AssertionError(f"the shop did not open: {self.process.communicate()[1]}")
        self.state: dict[str, Any] = json.loads(line)
        self.control = httpx.Client(base_url=self.state["control"], timeout=30.0, trust_env=False)
        self.user = httpx.Client(base_url=self.state["front"], timeout=30.0, trust_env=False)
        self.processes = psutil.Process(self.process.pid).children(recursive=True)

    def status(self) -> dict[str, Any]:
        return dict(self.control.get("/status").json())

    def fault_on(self, kind: str, service: str, seconds: float = 30.0, **parameters: float | str) -> None:
        wish = {"kind": kind, "service": service, "seconds": seconds, "parameters": parameters}
        answer = self.control.post("/faults", json=wish)
        assert answer.status_code == 201, answer.text

    def fault_off(self) -> list[dict[str, Any]]:
        return list(self.control.delete("/faults").json()["ended"])

    def truths(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "truth.jsonl").read_text().splitlines()]

    def end(self, number: signal.Signals) -> int:
        """End the shop by a signal to the supervisor alone; gives its exit status once all are gone."""
        self.control.close()
        self.user.close()
        family = [*self.processes, *psutil.Process(self.process.pid).children(recursive=True)]
        os.kill(self.process.pid, number)
        _, errors = self.process.communicate(timeout=20)
        _, alive = psutil.wait_procs(set(family), timeout=10)
        for left in alive:
            left.kill()
        assert not alive, f"still alive after {number.name}: {alive}; stderr: {errors}"
        return self.process.returncode
