"""The two programs of the demo, Watchkeeper and the example shop: started, waited for, ended.

Enters: commands that print one line of JSON when ready. Leaves: that JSON, and nothing that still runs. A program is
in a session of its own, so that Ctrl-C is for the demo alone, which ends them in order; should the demo be killed, the
kernel ends them. Knows nothing of findings.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.errors import DemoError
from watchkeeper.native.parent_death import end_with_parent
from watchkeeper.settings import SETTINGS

LOOPBACK = "127.0.0.1"
PORT_SETTINGS = ("http_port", "otlp_http_port", "otlp_grpc_port")
READY_S = 40.0
STOP_S = 15.0
POLL_S = 0.05
OUTPUT_TOLD_CHARACTERS = 2_000


def port_settings(*, any_ports: bool) -> list[str]:
    """Give `--set` options for the three ports: the usual one where it is free, else any free one."""
    usual = {setting.name: int(setting.default) for setting in SETTINGS if setting.name in PORT_SETTINGS}
    options: list[str] = []
    for name in PORT_SETTINGS:
        port = 0 if any_ports or is_taken(usual[name]) else usual[name]
        options += ["--set", f"{name}={port}"]
    return options


def is_taken(port: int) -> bool:
    """Tell whether something on this machine listens on a port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def find_shop(named: Path | None) -> Path:
    """Give the folder of the example shop: the one named, else that of the checkout; raises DemoError."""
    places = [named] if named else [Path(__file__).parents[3] / "examples" / "shop", Path.cwd() / "examples" / "shop"]
    for place in places:
        if (place / "shop" / "__main__.py").is_file():
            return place.resolve()
    looked = " and ".join(str(place) for place in places)
    raise DemoError(f"the example shop is not at {looked}; name its folder (examples/shop of a checkout) with --shop")


class Running(NamedTuple):
    """A program that is ready: its process and what it said."""

    name: str
    process: subprocess.Popen[bytes]
    ready: dict[str, Any]
    output: Path

    def check(self) -> None:
        """Raise DemoError, with what the program said last, when it ended by itself."""
        if self.process.poll() is not None:
            raise DemoError(f"{self.name} ended by itself with status {self.process.returncode}: {_tail(self.output)}")


class Programs:
    """The programs of one demo, in the order of their start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: list[str], folder: Path, wait: Callable[[], None]) -> Running:
        """Start a program and wait until it is ready, calling `wait` meanwhile; raises DemoError."""
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
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - the demo has one thread when it starts programs
            )
        self._started.append((name, process))
        deadline = time.monotonic() + READY_S
        while b"\n" not in (line := said.read_bytes()):
            if process.poll() is not None:
                raise DemoError(f"{name} did not start (status {process.returncode}): {_tail(output)}")
            if time.monotonic() > deadline:
                raise DemoError(f"{name} was not ready within {READY_S:g} s: {_tail(output)}")
            wait()
            time.sleep(POLL_S)
        return Running(name, process, json.loads(line.splitlines()[0]), output)

    def stop(self) -> list[str]:
        """End all, the last started first; gives the names of those that had to be killed."""
        killed = []
        for name, process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    killed.append(name)
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self._started.clear()
        return killed


def listening(addresses: Iterable[str]) -> list[str]:
    """Give those of some addresses (`host:port`, with or without scheme) that still take connections."""
    still = []
    for address in addresses:
        host, _, port = address.rpartition("//")[2].rstrip("/").rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
        except OSError:
            continue
        still.append(address)
    return still


def _tail(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace").strip()[-OUTPUT_TOLD_CHARACTERS:] or "it said nothing"
