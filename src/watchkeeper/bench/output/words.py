"""Figures, sizes and states as words, the same in the terminal, on the page and in Markdown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from watchkeeper.bench.cells import ABSENT, PLAIN, Cell
from watchkeeper.bench.output.board import Row, Table
from watchkeeper.bench.records import DONE

_UNITS = ("B", "KiB", "MiB", "GiB")


def number(value: float | None) -> str:
    """Write a figure with three digits that count."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0 or 0.0005 <= abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:.3g}" if abs(value) < 0.0005 else f"{value:,.1f}"


def interval(figure: Sequence[float | None] | None) -> str:
    """Write a figure with its interval, where it has one."""
    if figure is None:
        return "-"
    value, low, high = figure
    if low is None or high is None:
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def size(count: float | None) -> str:
    """Write bytes."""
    if count is None:
        return "-"
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 10 else f"{count:.1f} {_UNITS[unit]}"


def mark(row: Row) -> str:
    """Write what is to be said of a row beside its figures."""
    if row.state != DONE:
        return f"{row.state}: {row.reason}" if row.reason else row.state
    if row.cell.model.trivial:
        return "baseline"
    return f"loses to {row.loses_to}" if row.loses_to else ""


def cost(row: Row) -> tuple[str, str, str]:
    """Write seconds, peak memory and bytes of the model."""
    record = row.record
    if record is None or row.state != DONE:
        return "-", "-", "-"
    seconds = record["seconds"]["fit"] + record["seconds"]["answer"]
    return number(seconds), size(record["peak_memory_bytes"]), size(record["model_bytes"])


def header(table: Table, metrics: int) -> list[str]:
    """Write the heads of a table's columns."""
    names = [f"{metric.name}{'' if metric.higher_is_better else ' (low)'}" for metric in table.metrics[:metrics]]
    return ["model", "enhancement", *names, "seconds", "memory", "model size", ""]


def cells(table: Table, row: Row, metrics: int, intervals: int = 2) -> list[str]:
    """Write a row; the first `intervals` metrics with their interval."""
    figures = row.record["figures"] if row.record and row.state == DONE else {}
    told = [
        interval(figures.get(metric.name)) if at < intervals else number((figures.get(metric.name) or [None])[0])
        for at, metric in enumerate(table.metrics[:metrics])
    ]
    return [row.cell.model.name, row.cell.enhancement.name, *told, *cost(row), mark(row)]


def named(cell: Cell) -> str:
    """Name a cell within its table: the model, and what betters it."""
    plain = cell.enhancement.name == PLAIN
    return cell.model.name if plain else f"{cell.model.name} + {cell.enhancement.name}"


def grouped(reasons: Iterable[tuple[str, Cell]]) -> list[str]:
    """Write each reason with its cells: which, or where it is of a sort of model or of the data set, how many."""
    found: dict[str, list[str]] = defaultdict(list)
    applies_not = set()
    for reason, cell in reasons:
        general = reason.replace(f" {cell.model.name}:", " the model:")
        found[general].append(named(cell))
        if general != reason:
            applies_not.add(general)
    told = []
    for reason, names in sorted(found.items()):
        which = "" if reason in applies_not or reason.startswith(ABSENT) else f" ({', '.join(sorted(names))})"
        told.append(f"{len(names)} {'cell' if len(names) == 1 else 'cells'}{which}: {reason}")
    return told
