"""drain3 as a peer.

Enters: lines. Leaves: what drain3_worker.py makes of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peer import NotAvailable, Peer

PEER = Peer(("drain3==0.9.11",), "drain3_worker.py", "drain3", timeout_s=3_600.0)


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
        PEER.interpreter()
    except NotAvailable as reason:
        return str(reason)
    return ""


def _run(task: str, lines: Sequence[str], *more: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "lines.json", Path(folder) / "result.json"
        source.write_text(json.dumps(list(lines)), encoding="utf-8")
        PEER.run(task, source, target, *more)
        return json.loads(target.read_text(encoding="utf-8"))
