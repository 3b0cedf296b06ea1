"""A peer: a library that stands beside ours in a measurement, in an environment of its own, made on first use.

Enters: what pip is to install, a worker script for it. Leaves: what the worker prints and writes. The main environment
needs none of it, and its pinned requirements cannot touch ours. Without it and without a network, `NotAvailable` says
why.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".cache" / "peers"
TOLD_CHARACTERS_MAX = 300


class NotAvailable(Exception):
    """A peer cannot be run here; the message says why."""


class Peer(NamedTuple):
    """requirements: for pip, pinned. worker: a script beside this file. imports: what must import once installed."""

    requirements: tuple[str, ...]
    worker: str
    imports: str
    environments: Path = ENVIRONMENTS
    timeout_s: float = 900.0

    @property
    def name(self) -> str:
        """Give what is installed, in words."""
        return " and ".join(each.replace("==", " ") for each in self.requirements)

    def interpreter(self) -> Path:
        """Give the interpreter that has the peer, making its environment when there is none; raises NotAvailable."""
        outcome = _prepared(self)
        if isinstance(outcome, str):
            raise NotAvailable(outcome)
        return outcome

    def run(self, *arguments: str | Path) -> str:
        """Run the worker and give what it prints; raises NotAvailable."""
        worker = Path(__file__).with_name(self.worker)
        return _checked([self.interpreter(), worker, *arguments], f"{self.name} failed", self.timeout_s)


@functools.cache
def _prepared(peer: Peer) -> Path | str:
    """Give the interpreter, or why there is none; tried once a process."""
    environment = peer.environments / "-".join(each.replace("==", "-") for each in peer.requirements)
    python, ready = environment / "bin" / "python", environment / ".ready"
    if ready.exists() and python.exists():
        return python
    print(f"  installing {peer.name} into an environment of its own", file=sys.stderr, flush=True)
    commands: tuple[list[str | Path], ...] = (
        [sys.executable, "-m", "venv", "--clear", environment],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *peer.requirements],
        [python, "-c", f"import {peer.imports}"],
    )
    for command in commands:
        try:
            _checked(command, f"{peer.name} cannot be installed", peer.timeout_s)
        except NotAvailable as reason:
            return str(reason)
    ready.touch()
    return python


def _checked(command: list[str | Path], failed: str, timeout_s: float) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout_s).stdout
    except subprocess.TimeoutExpired as late:
        raise NotAvailable(f"{failed}: more than {timeout_s:g} s") from late
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
        raise NotAvailable(f"{failed}: {said or f'exit status {error.returncode}'}") from error
