"""Runs cells, each in a process of its own, several at once, and keeps to a limit of time and memory.

Enters: cells. Leaves: a record for each in the folder of records. A cell that has a finished record is not run again. A
cell that fails, takes too long or too much memory has a record that says so. When it is interrupted, what runs is ended
and what is done stays. Does not measure anything itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from watchkeeper.bench.cells import Cell
from watchkeeper.bench.measure import about
from watchkeeper.bench.records import DONE, FAILED, Record, find_record, path_of, write_record

POLL_S = 0.1
MIB = 1024 * 1024
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Limits:
    """What may be spent: seconds and MiB a cell, MiB of all together, cells at once (0: as many as cores)."""

    cell_s: float = 1_800.0
    cell_mib: int = 4_096
    memory_mib: int = 8_192
    at_once: int = 0

    @property
    def workers(self) -> int:
        """Give how many cells run at once."""
        return max(1, min(self.at_once or os.cpu_count() or 1, self.memory_mib // self.cell_mib))


@dataclass(frozen=True)
class Folders:
    """Where records go, where data sets lie and where their normal form is kept; `use` are a user's files."""

    out: Path
    data: Path
    cache: Path
    use: tuple[str, ...] = ()


Told = Callable[[Cell, Record], None]


def todo(cells: Iterable[Cell], out: Path, *, retry: bool = False) -> list[Cell]:
    """Give the cells that are to be run: not skipped and without a record; `retry` takes the failed ones again."""
    chosen = []
    for cell in cells:
        record = None if cell.skipped else find_record(out, cell.id)
        if not cell.skipped and (record is None or (retry and record["state"] == FAILED)):
            chosen.append(cell)
    return chosen


def run_cells(cells: Sequence[Cell], folders: Folders, limits: Limits, told: Told, seeds: Sequence[int] = ()) -> None:
    """Run cells and tell each record as it comes; raises KeyboardInterrupt after ending what runs."""
    stop = threading.Event()
    ahead = list(cells)
    running: dict[Future[Record], Cell] = {}
    with ThreadPoolExecutor(limits.workers) as pool:
        try:
            while ahead or running:
                while ahead and len(running) < limits.workers:
                    cell = ahead.pop(0)
                    running[pool.submit(_run_one, cell, folders, limits, tuple(seeds), stop)] = cell
                done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
                for one in done:
                    told(running.pop(one), one.result())
        except BaseException:
            stop.set()
            raise


def _run_one(cell: Cell, folders: Folders, limits: Limits, seeds: tuple[int, ...], stop: threading.Event) -> Record:
    order = {
        "id": cell.id,
        "out": str(folders.out),
        "data": str(folders.data),
        "cache": str(folders.cache),
        "use": list(folders.use),
        "seeds": list(seeds),
    }
    path_of(folders.out, cell.id).unlink(missing_ok=True)
    environment = {**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONHASHSEED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "watchkeeper.bench.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,  # an interrupt at the terminal reaches the runner alone, which ends the cells in order
    )
    errors: list[bytes] = []
    assert process.stdin is not None
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)  # type: ignore[union-attr]
    reader.start()
    with process.stdin as stream:
        stream.write(orjson.dumps(order))
    reason = _watch(process, limits, stop)
    reader.join()
    process.stderr.close()
    record = find_record(folders.out, cell.id)
    if not reason and not process.returncode and record is not None:
        return record
    if not reason:
        last = b"".join(errors).decode("utf-8", "replace").strip().splitlines()
        reason = f"its process ended with status {process.returncode}" + (f": {last[-1]}" if last else "")
    failed = {**about(cell), "state": FAILED, "reason": reason, "use": list(folders.use)}
    if not stop.is_set() and (record is None or record["state"] != DONE):
        write_record(folders.out, failed)
    return failed


def _watch(process: subprocess.Popen[bytes], limits: Limits, stop: threading.Event) -> str:
    """Wait for the end; gives why the process was ended, "" when it ended by itself."""
    begun_s = time.monotonic()
    reason = ""
    while True:
        try:
            process.wait(POLL_S)
            return ""
        except subprocess.TimeoutExpired:
            used = _memory_mib(process.pid)
            if stop.is_set():
                reason = "interrupted"
            elif time.monotonic() - begun_s > limits.cell_s:
                reason = f"took longer than {limits.cell_s:.0f} s"
            elif used > limits.cell_mib:
                reason = f"took {used} MiB of memory, more than {limits.cell_mib} MiB"
        if reason:
            _end(process)
            return reason


def _memory_mib(pid: int) -> int:
    """Give what a process and those that it started hold resident."""
    try:
        root = psutil.Process(pid)
        return sum(one.memory_info().rss for one in [root, *root.children(recursive=True)]) // MIB
    except psutil.Error:
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it started."""
    try:
        root = psutil.Process(process.pid)
        for one in [*root.children(recursive=True), root]:
            one.kill()
    except psutil.Error:
        process.kill()
    process.wait()
