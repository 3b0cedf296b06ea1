"""Measures one cell from its splits to its record, in the process that calls it.

Enters: a Cell that is not skipped. Leaves: a record. Random models are run with SEEDS, and a figure is then the mean
over them, its interval as wide as the widest of them. Sets no limit of time or memory; the runner does.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.bench.base import BenchError, Figure, Measured, Place, Split
from watchkeeper.bench.cases.recording import fingerprint
from watchkeeper.bench.cells import Cell
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.machine import commit, machine, model_bytes, versions
from watchkeeper.bench.merge import merged
from watchkeeper.bench.protocol import Spent, run_split
from watchkeeper.bench.records import DONE, SCHEMA_VERSION, Record
from watchkeeper.bench.trainings import clock_s, peak_bytes, used
from watchkeeper.datasets.catalogue import DATA_SETS

SEEDS = (0, 1, 2)
CASES_MAX = 5_000
CURVE_POINTS = 60


class _Seeded(NamedTuple):
    """What one seed gave."""

    measured: Measured
    spent: list[Spent]
    bytes: int
    notes: list[Mapping[str, float]]


def measure_cell(
    cell: Cell, place: Place, seeds: Sequence[int] = (), loaded: tuple[list[Split], float] | None = None
) -> Record:
    """Run a cell and give its record; `loaded` are the splits where they were read before, and the seconds it took."""
    begun_s = clock_s()
    splits = list(cell.data.splits(place)) if loaded is None else loaded[0]
    load_s = clock_s() - begun_s if loaded is None else loaded[1]
    if not splits:
        raise BenchError(f"the data set {cell.data.id} gives no split")
    random = (cell.model.random or cell.enhancement.random) and not cell.data.repeats
    chosen = tuple(seeds) or (SEEDS if random else SEEDS[:1])
    runs = [_run(cell, place, splits, seed) for seed in chosen]
    measured = merged([run.measured for run in runs])
    spent = [each for run in runs for each in run.spent]
    asked = sum(each.asked for each in spent)
    return {
        **about(cell, place.data),
        "state": DONE,
        "seeds": list(chosen),
        "splits": len(splits),
        "figures": {name: _plain(figure) for name, figure in measured.figures.items()},
        "seed_figures": {
            name: [_number(run.measured.figures[name].value) if name in run.measured.figures else None for run in runs]
            for name in measured.figures
        },
        "seconds": {
            "load": round(load_s, 3),
            "fit": round(sum(each.fit_s for each in spent), 3),
            "answer": round(sum(each.answer_s for each in spent), 3),
            "total": round(clock_s() - begun_s, 3),
        },
        "asked": asked,
        "model_bytes": max(run.bytes for run in runs),
        "notes": _means([each for run in runs for each in run.notes]),
        "trainings": used(),
        "peak_memory_bytes": peak_bytes(),
        "curves": {name: _thinned(points) for name, points in measured.curves.items()},
        "cases": _columns(measured.cases),
        **({"remarks": measured.remarks} if measured.remarks else {}),
    }


def about(cell: Cell, data: Path | None = None) -> Record:
    """Give what is known of a cell before it is run: enough to run it again. data: the folder of data sets."""
    recorded = cell.data.recorded if data else ""
    return {
        "schema_version": SCHEMA_VERSION,
        "id": cell.id,
        "task": cell.task.name,
        "data": cell.data.id,
        "model": cell.model.name,
        "enhancement": cell.enhancement.name,
        "trivial": cell.model.trivial,
        "parameters": dict(cell.model.parameters),
        "sources": {
            **{name: DATA_SETS.get(name).sha256 for name in cell.data.sources},
            **({recorded: fingerprint(data / recorded)} if data and recorded else {}),
        },
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "machine": machine(),
    }


def _run(cell: Cell, place: Place, splits: Sequence[Any], seed: int) -> _Seeded:
    outcomes, spent, notes, size = [], [], [], 0
    for split in splits:
        outcome, took, model = run_split(
            lambda: cell.enhancement.wrap(cell.subject, place), split, FORMS.get(cell.data.form), seed
        )
        outcomes.append(outcome)
        spent.append(took)
        size = max(size, model_bytes(model))
        notes.append(model.notes() if hasattr(model, "notes") else {})
    return _Seeded(cell.task.measure(outcomes), spent, size, notes)


def _means(notes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Give what models and enhancements tell beside their answers, by name, as the mean over splits and seeds."""
    names = dict.fromkeys(name for each in notes for name in each)
    return {name: round(float(np.mean([each[name] for each in notes if name in each])), 6) for name in names}


def _columns(cases: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Give figures by case as columns; many cases become the means of CASES_MAX runs of neighbours."""
    if not cases:
        return {}
    ids = list(cases)
    names = list(cases[ids[0]])
    rows = np.array([[cases[each][name] for name in names] for each in ids])
    if len(ids) > CASES_MAX:
        parts = np.array_split(np.arange(len(ids)), CASES_MAX)
        rows = np.array([rows[part].mean(axis=0) for part in parts])
        ids = [f"{ids[part[0]]}+{len(part)}" for part in parts]
    return {"ids": ids, **{name: [round(float(each), 6) for each in rows[:, at]] for at, name in enumerate(names)}}


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    if not points:
        return []
    places = np.unique(np.linspace(0, len(points) - 1, CURVE_POINTS).round().astype(int))
    return [(round(float(points[at][0]), 5), round(float(points[at][1]), 5)) for at in places]


def _plain(figure: Figure) -> list[float | None]:
    return [_number(each) for each in figure]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), 6)
