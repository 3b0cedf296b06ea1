"""The process of one cell: `python -m watchkeeper.bench.worker`, an order as JSON on its standard input.

Enters: the cell's id, folders, seeds and a user's files. Leaves: a record in the folder of records, state `done` or
`failed`; a model may raise anything, and that becomes the reason. Exit status 0 when a record was written.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.bench.base import Place
from watchkeeper.bench.cells import cell_of
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.measure import about, measure_cell
from watchkeeper.bench.records import FAILED, Record, write_record


def obey(order: dict[str, Any]) -> Record:
    """Measure the cell of an order and write its record."""
    known = catalogue(order["use"])
    cell = cell_of(known, order["id"])
    place = Place(Path(order["data"]), Path(order["cache"]))
    told = {"use": order["use"]}
    try:
        record = measure_cell(cell, place, order["seeds"])
    except Exception as error:  # noqa: BLE001 - a model may be a user's: whatever it raises is its result
        trace = traceback.format_exc(limit=-4)
        record = {**about(cell), "state": FAILED, "reason": _reason(error), "trace": trace}
    record.update(told)
    write_record(Path(order["out"]), record)
    return record


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


if __name__ == "__main__":
    obey(orjson.loads(sys.stdin.buffer.read()))
