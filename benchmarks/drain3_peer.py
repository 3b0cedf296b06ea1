"""drain3 as a peer, in an environment of its own, which is made and filled on first use.

Enters: lines. Leaves: what drain3_worker.py in that environment makes of them. The main environment needs no drain3,
and drain3's old pinned requirements cannot touch it. Without it and without a network, `NotAvailable` says why.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

VERSION = "0.9.11"
WORKER = Path(__file__).with_name("drain3_worker.py")
ENVIRONMENT = Path(__file__).resolve().parent.parent / ".cache" / "peers" / f"drain3-{VERSION}"
INSTALL_TIMEOUT_S = 300.0
TOLD_CHARACTERS_MAX = 300


class NotAvailable(Exception):
    """drain3 cannot be run here; the message says why."""


class Timed(NamedTuple):
    """What mining took: lines, seconds of processor time, seconds on the wall."""

    lines: int
    cpu_s: float
    wall_s: float


def parse(lines: Sequence[str]) -> tuple[list[int], list[str]]:
    """Give each line's cluster and that cluster's final template, masks written as `<*>`; raises NotAvailable."""
    result = _run("parse", lines)
    return result["clusters"], result["templates"]


def timed(lines: Sequence[str], seconds: float = 0.0) -> Timed:
    """Time drain3 over the lines once, or over and over for `seconds`; measured inside. Raises NotAvailable."""
    return Timed(**_run("time", lines, str(seconds)))


def why_not() -> str:
    """Give why drain3 cannot be run, "" when it can; installs it when it has to."""
    try:
        interpreter()
    except NotAvailable as reason:
        return str(reason)
    return ""


def interpreter(environment: Path = ENVIRONMENT) -> Path:
    """Give the interpreter that has drain3, making its environment when there is none; raises NotAvailable."""
    outcome = _prepared(environment)
    if isinstance(outcome, str):
        raise NotAvailable(outcome)
    return outcome


@functools.cache
def _prepared(environment: Path) -> Path | str:
    """Give the interpreter, or why there is none; tried once a process."""
    python = environment / "bin" / "python"
    ready = environment / ".ready"
    if ready.exists() and python.exists():
        return python
    print(f"  installing drain3 {VERSION} into an environment of its own", file=sys.stderr, flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(environment)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"drain3=={VERSION}"],
        [str(python), "-c", "import drain3"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return f"installing drain3 {VERSION} took more than {INSTALL_TIMEOUT_S:g} s"
        except subprocess.CalledProcessError as failed:
            said = (failed.stderr or failed.stdout or "").strip()[-TOLD_CHARACTERS_MAX:]
            return f"drain3 {VERSION} cannot be installed: {said or f'exit status {failed.returncode}'}"
    ready.touch()
    return python


def _run(task: str, lines: Sequence[str], *more: str) -> Any:
    python = interpreter()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "lines.json", Path(folder) / "result.json"
        source.write_text(json.dumps(list(lines)), encoding="utf-8")
        done = subprocess.run(
            [str(python), str(WORKER), task, str(source), str(target), *more],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise NotAvailable(f"drain3 failed: {done.stderr.strip()[-TOLD_CHARACTERS_MAX:]}")
        return json.loads(target.read_text(encoding="utf-8"))
