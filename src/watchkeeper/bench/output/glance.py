"""The scoreboard at a glance: of each data set the best cell, the best trivial baseline, and whether it is beaten.

Enters: tables. Leaves: a line of each, as values and as words. The best of many cells is chosen by the very figures
that are shown, so its own is a little flattering: the line says of how many it is the best.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from watchkeeper.bench.cells import PLAIN
from watchkeeper.bench.output.board import Row, Table
from watchkeeper.bench.output.words import interval, named, number
from watchkeeper.bench.records import DONE

HEADER = ("task", "data", "judged by", "best", "figure", "of", "best baseline", "figure", "beaten")
GLANCE_ABOUT = (
    "Of each data set the best of its cells, by the figure that it is judged by, and the best trivial baseline. The "
    "best of many is chosen by these very figures, which flatters it a little. Beaten: with the whole interval (yes), "
    "with the figure only (not surely), or not."
)
YES, UNSURE, NO, ALONE = "yes", "not surely", "no", "-"


class Glance(NamedTuple):
    """Of one data set. best, baseline: None where no such cell has a figure. cells: how many `best` is the best of.

    beaten: whether the best lies beyond the baseline's figure with its whole interval, only with its own, or not.
    """

    table: Table
    best: Row | None
    baseline: Row | None
    cells: int
    beaten: str

    def words(self) -> list[str]:
        """Give the cells of a line, in the order of HEADER."""
        metric = self.table.headline
        low = "" if metric.higher_is_better else " (low)"
        figures = self.best.record["figures"] if self.best and self.best.record else {}
        return [
            self.table.task.name,
            self.table.data.id,
            f"{metric.name}{low}",
            named(self.best.cell) if self.best else "-",
            interval(figures.get(metric.name)),
            str(self.cells),
            self.baseline.cell.model.name if self.baseline else "-",
            number(self.baseline.value(metric.name)) if self.baseline else "-",
            self.beaten,
        ]


def plain_glance(each: Glance) -> dict[str, Any]:
    """Give a line as plain data; figures are [value, low, high], null where there is none."""
    metric = each.table.headline

    def told(row: Row | None) -> dict[str, Any] | None:
        return {"id": row.cell.id, "figure": row.record["figures"][metric.name]} if row and row.record else None

    return {
        "task": each.table.task.name,
        "data": each.table.data.id,
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "best": told(each.best),
        "cells": each.cells,
        "baseline": told(each.baseline),
        "beaten": each.beaten,
    }


def glances(tables: Iterable[Table]) -> list[Glance]:
    """Give a line of each table that has a figure, those of a task together."""
    found = [each for each in map(_glance, tables) if each.best or each.baseline]
    tasks = list(dict.fromkeys(each.table.task.name for each in found))
    return sorted(found, key=lambda each: tasks.index(each.table.task.name))


def _glance(table: Table) -> Glance:
    metric = table.headline
    told = [row for row in table.rows if row.state == DONE and row.value(metric.name) is not None]  # best first
    own = [row for row in told if not row.cell.model.trivial]
    trivial = [row for row in told if row.cell.model.trivial and row.cell.enhancement.name == PLAIN]
    best, baseline = own[0] if own else None, trivial[0] if trivial else None
    return Glance(table, best, baseline, len(own), _beaten(table, best, baseline))


def _beaten(table: Table, best: Row | None, baseline: Row | None) -> str:
    if best is None or best.record is None or baseline is None:
        return ALONE
    metric = table.headline
    value, low, high = best.record["figures"][metric.name]
    other = baseline.value(metric.name) or 0.0
    sign = 1.0 if metric.higher_is_better else -1.0
    if sign * value <= sign * other:
        return NO
    end = low if metric.higher_is_better else high
    return YES if end is not None and sign * end > sign * other else UNSURE
