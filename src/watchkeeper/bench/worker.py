"""The process of one data set's cells: `python -m watchkeeper.bench.worker`, orders as JSON lines on standard input.

Enters: first the data set, the folders and a user's files, then the id of one cell after another. The data set is read
once; each cell runs in a fork of this process, so that it starts at once, has memory of its own and can be ended alone.
Leaves: a record a cell, state `done` or `failed`, and lines that tell the runner how far it is. Sets no limits.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import orjson

from watchkeeper.bench import progress, trainings
from watchkeeper.bench.base import Place, Split
from watchkeeper.bench.cells import cell_of
from watchkeeper.bench.discover import Catalogue, catalogue
from watchkeeper.bench.measure import about, measure_cell
from watchkeeper.bench.records import FAILED, Record, write_record
from watchkeeper.processes import end_with_parent


class Loaded(NamedTuple):
    """A data set that was read, or why it could not be."""

    splits: list[Split]
    seconds: float
    reason: str = ""
    trace: str = ""


def load(known: Catalogue, order: dict[str, Any]) -> Loaded:
    """Read the splits of the order's data set; a data set may be a user's and raise anything."""
    begun_s = time.perf_counter()
    try:
        splits = list(known.data.get(order["data_set"]).splits(_place(order)))
    except Exception as error:  # noqa: BLE001 - whatever it raises is the result of its cells
        return Loaded([], time.perf_counter() - begun_s, _reason(error), traceback.format_exc(limit=-4))
    return Loaded(splits, time.perf_counter() - begun_s)


def obey(known: Catalogue, order: dict[str, Any], loaded: Loaded, identifier: str) -> Record:
    """Measure one cell and write its record."""
    cell = cell_of(known, identifier)
    failed = {**about(cell), "state": FAILED}
    if loaded.reason:
        record = {**failed, "reason": f"its data set cannot be read: {loaded.reason}", "trace": loaded.trace}
    else:
        try:
            record = measure_cell(cell, _place(order), order["seeds"], (loaded.splits, loaded.seconds))
        except Exception as error:  # noqa: BLE001 - a model may be a user's: whatever it raises is its result
            record = {**failed, "reason": _reason(error), "trace": traceback.format_exc(limit=-4)}
    record["use"] = order["use"]
    write_record(Path(order["out"]), record)
    return record


def end_with_mine() -> None:
    """Let the kernel end this process when the one that started it ends, however that does; Linux only."""
    if ask := end_with_parent(signal.SIGKILL):
        ask()


def serve(orders: BinaryIO, told: int) -> None:
    """Take the first order, then fork for each cell; `told` is the file that the runner reads."""
    order = orjson.loads(orders.readline())
    known = catalogue(order["use"])
    if order["trainings"]:
        trainings.forget_old(Path(order["trainings"]))
    loaded = load(known, order)
    gc.freeze()  # what is loaded is not touched by the forks' collector, so that they share its pages
    _tell(told, {"loaded_s": loaded.seconds})
    for line in orders:
        one = orjson.loads(line)
        child = os.fork()
        if not child:
            _cell(known, order, loaded, one)
        _tell(told, {"pid": child})
        _, status = os.waitpid(child, 0)
        _tell(told, {"status": os.waitstatus_to_exitcode(status)})


def _cell(known: Catalogue, order: dict[str, Any], loaded: Loaded, one: dict[str, Any]) -> NoReturn:
    """Run one cell in the fork; what it writes on standard error goes to the file that the runner reads."""
    status = 1
    try:
        end_with_mine()
        errors = os.open(one["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(errors, 2)
        os.environ[progress.VARIABLE] = one["progress"]
        os.environ[trainings.VARIABLE] = order["trainings"]
        obey(known, order, loaded, one["id"])
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def _tell(told: int, line: dict[str, Any]) -> None:
    os.write(told, orjson.dumps(line) + b"\n")


def _place(order: dict[str, Any]) -> Place:
    return Place(Path(order["data"]), Path(order["cache"]))


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


if __name__ == "__main__":
    end_with_mine()
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a model or a library prints is no answer to the runner
    serve(sys.stdin.buffer, answers)
