"""How long cells took, kept beside the normal forms of data, so that the time left can be told before a cell is done.

Enters: the id of a cell and its seconds. Leaves: seconds to expect of cells, also of those never run: what the data set
and the model usually take. Nothing that is measured depends on it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import orjson

from watchkeeper.bench.cells import Cell
from watchkeeper.bench.records import DONE, Record
from watchkeeper.bench.whole import write_whole

FILE = "durations.json"
UNKNOWN_S = 10.0


class Durations:
    """Seconds by cell in one file; a file that cannot be read counts as empty."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        try:
            told = orjson.loads(self._path.read_bytes())
            self._seconds = {str(name): float(value) for name, value in told["seconds"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._seconds = {}

    def keep(self, record: Record) -> None:
        """Remember how long the cell of a record took, or at least took."""
        seconds = record["seconds"]["total"] if record["state"] == DONE else record.get("limit_s")
        if seconds is None:
            return
        self._seconds[record["id"]] = float(seconds)
        write_whole(self._path, orjson.dumps({"schema_version": 1, "seconds": self._seconds}))

    def expected_s(self, cells: Iterable[Cell]) -> dict[str, float]:
        """Give the seconds to expect of each cell by its id."""
        logs = {name: math.log(max(seconds, 0.01)) for name, seconds in self._seconds.items()}
        whole = sum(logs.values()) / len(logs) if logs else math.log(UNKNOWN_S)
        by_data, by_model = _means(logs, slice(0, 2)), _means(logs, slice(2, 4))
        told = {}
        for cell in cells:
            task, data, model, enhancement = cell.id.split("/")
            guess = by_data.get(f"{task}/{data}", whole) + by_model.get(f"{model}/{enhancement}", whole) - whole
            told[cell.id] = self._seconds.get(cell.id, math.exp(guess))
        return told


def _means(logs: dict[str, float], parts: slice) -> dict[str, float]:
    groups: dict[str, list[float]] = defaultdict(list)
    for name, value in logs.items():
        groups["/".join(name.split("/")[parts])].append(value)
    return {name: sum(values) / len(values) for name, values in groups.items()}
