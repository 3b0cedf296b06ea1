"""One data set's process, seen from the runner: started when it is needed, watched while a cell runs, ended with it.

Enters: a cell of the data set. Leaves: its record, also when the process of the cell crashed, took too long, took too
much memory or was interrupted. A cell runs in a fork of the process (bench/worker.py) and is ended alone.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from watchkeeper.bench.cells import Cell
from watchkeeper.bench.measure import about
from watchkeeper.bench.progress import HowFar, read
from watchkeeper.bench.records import FAILED, SKIPPED, Record, find_record, path_of, write_record

POLL_S = 0.25
MIB = 1024 * 1024
LOAD_S = 900.0
"""Time to read a data set; the first time may have to bring it to its normal form."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ERROR_LINES, _ERROR_BYTES = 8, 8_192


@dataclass(frozen=True)
class Limits:
    """What may be spent: seconds and MiB a cell, MiB of all together, cells at once (0: as many as cores).

    minutes: after which no further cell is begun, 0 for no end. suite: whose limit of time it is; a cell that exceeds
    that one is skipped with the reason, otherwise it failed.
    """

    cell_s: float = 1_800.0
    cell_mib: int = 4_096
    memory_mib: int = 8_192
    at_once: int = 0
    minutes: float = 0.0
    suite: str = ""

    @property
    def workers(self) -> int:
        """Give how many cells run at once."""
        return max(1, min(self.at_once or os.cpu_count() or 1, self.memory_mib // self.cell_mib))


@dataclass(frozen=True)
class Folders:
    """Where records go, where data sets lie and where their normal form is kept; `use` are a user's files.

    shares: whether what one cell trained is kept in the cache for the others of the same network.
    """

    out: Path
    data: Path
    cache: Path
    use: tuple[str, ...] = ()
    shares: bool = True


class Room:
    """The process that has read one data set."""

    def __init__(
        self,
        data_set: str,
        folders: Folders,
        limits: Limits,
        seeds: tuple[int, ...],
        stop: threading.Event,
        far: Callable[[Cell, HowFar], None] | None = None,
    ) -> None:
        self.data_set = data_set
        self._folders, self._limits, self._seeds, self._stop = folders, limits, seeds, stop
        self._far = far
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = selectors.DefaultSelector()
        self._pending = b""
        self._files = tempfile.TemporaryDirectory(prefix="watchkeeper-bench-")

    def run(self, cell: Cell) -> Record:
        """Run a cell and give its record; an interrupted one leaves none."""
        path_of(self._folders.out, cell.id).unlink(missing_ok=True)
        reason = self._begin() or self._cell(cell)
        record = find_record(self._folders.out, cell.id)
        if record is not None and (not reason or record["state"] != FAILED):
            return record
        over = bool(self._limits.suite) and reason.startswith("took longer")
        if over:
            reason += f" that the suite {self._limits.suite} gives a cell; by itself, --cell-seconds can give it more"
        failed = {
            **about(cell),
            "state": SKIPPED if over else FAILED,
            "reason": reason,
            "limit_s": max(self._limits.cell_s, cell.data.cell_s),
            "use": list(self._folders.use),
        }
        if not self._stop.is_set():
            write_record(self._folders.out, failed)
        return failed

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            _end(process.pid)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)
            self._lines.close()
            self._lines = selectors.DefaultSelector()
            self._pending = b""

    def leave(self) -> None:
        """End the process and remove what was kept for it."""
        self.close()
        self._files.cleanup()

    def _begin(self) -> str:
        """Start the process and let it read the data set, unless it has; gives why that failed, "" when it did not."""
        if self._process is not None:
            return ""
        order = {
            "data_set": self.data_set,
            "out": str(self._folders.out),
            "data": str(self._folders.data),
            "cache": str(self._folders.cache),
            "trainings": str(self._folders.cache / "trainings") if self._folders.shares else "",
            "use": list(self._folders.use),
            "seeds": list(self._seeds),
        }
        with self._file("room").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "watchkeeper.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONHASHSEED": "0"},
                start_new_session=True,  # an interrupt at the terminal reaches the runner alone, which ends the cells
            )
        assert self._process.stdout is not None
        self._lines.register(self._process.stdout, selectors.EVENT_READ)
        self._send(order)
        line = self._wait(self._process.pid, LOAD_S)
        if isinstance(line, str):
            self.close()
            return f"its data set could not be read: {line}" + self._last("room")
        return ""

    def _cell(self, cell: Cell) -> str:
        """Let the process run a cell; gives why it was ended, "" when it ended by itself and well."""
        self._file("progress").unlink(missing_ok=True)
        self._send({"id": cell.id, "errors": str(self._file("cell")), "progress": str(self._file("progress"))})
        begun = self._wait(self._process.pid if self._process else 0, LOAD_S)
        if isinstance(begun, str):
            self.close()
            return begun + self._last("room")
        ended = self._wait(begun["pid"], max(self._limits.cell_s, cell.data.cell_s), cell)
        if isinstance(ended, dict):
            status = ended["status"]
            return f"its process ended with status {status}{self._last('cell')}" if status else ""
        _end(begun["pid"])
        if self._stop.is_set() or isinstance(self._wait(0, LOAD_S), str):
            self.close()
        return ended

    def _send(self, line: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(line) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # what is read next tells that the process has ended, and how

    def _wait(self, pid: int, limit_s: float, cell: Cell | None = None) -> dict[str, Any] | str:
        """Wait for a line; gives why not when the process with that id takes too much, or the room has ended."""
        begun_s = time.monotonic()
        while b"\n" not in self._pending:
            if self._lines.select(POLL_S):
                assert self._process is not None
                assert self._process.stdout is not None
                told = os.read(self._process.stdout.fileno(), 65_536)
                if not told:
                    return f"its process ended with status {self._process.wait()}"
                self._pending += told
                continue
            told_far = read(self._file("progress")) if cell and self._far else None
            if told_far and cell and self._far:
                self._far(cell, told_far)
            used = _memory_mib(pid)
            if self._stop.is_set():
                return "interrupted"
            if time.monotonic() - begun_s > limit_s:
                return f"took longer than the {limit_s:g} s"
            if used > self._limits.cell_mib:
                return f"took {used} MiB of memory, more than {self._limits.cell_mib} MiB"
        line, _, self._pending = self._pending.partition(b"\n")
        return dict(orjson.loads(line))

    def _file(self, name: str) -> Path:
        return Path(self._files.name) / name

    def _last(self, name: str) -> str:
        """Give the end of what was written on standard error."""
        path = self._file(name)
        if not path.exists():
            return ""
        lines = path.read_bytes()[-_ERROR_BYTES:].decode("utf-8", "replace").strip().splitlines()
        return ": " + " | ".join(lines[-_ERROR_LINES:]) if lines else ""


def _memory_mib(pid: int) -> int:
    """Give what a process and those that it started hold resident; 0 for one that is not there."""
    if not pid:
        return 0
    try:
        root = psutil.Process(pid)
        return sum(int(one.memory_info().rss) for one in [root, *root.children(recursive=True)]) // MIB
    except psutil.Error:
        return 0


def _end(pid: int) -> None:
    """Kill a process and those that it started."""
    try:
        root = psutil.Process(pid)
        every = [*root.children(recursive=True), root]
    except psutil.Error:
        return
    for one in every:
        try:
            one.kill()
        except psutil.Error:
            continue


def _close(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return
