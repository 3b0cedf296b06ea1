"""The suites: named choices of cells with the time that they may take.

`quick` are the data sets and models marked so; `full` is everything. A cell that takes longer than its suite gives it
is told as skipped with that reason; by itself, with `--cell-seconds`, it can take longer.
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.bench.base import BenchError


class Suite(NamedTuple):
    """A choice of cells: seconds that each may take, and minutes after which no further cell is begun (0: no end)."""

    name: str
    cell_s: float
    minutes: float


SUITES = {suite.name: suite for suite in (Suite("quick", 90.0, 9.5), Suite("full", 120.0, 0.0))}


def suite_of(name: str) -> Suite | None:
    """Give the suite of that name, None for ""; raises BenchError when there is none."""
    if name and name not in SUITES:
        raise BenchError(f"there is no suite {name!r}; there are: {', '.join(SUITES)}")
    return SUITES[name] if name else None
