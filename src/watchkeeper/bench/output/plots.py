"""What is drawn of a table: the headline against cost, PR curves, delay against false alarms, where there is something.

Enters: a table. Leaves: plots as data, which the page draws in place and Markdown refers to as files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.bench.output.board import Row, Table
from watchkeeper.bench.output.svg import Axis, Points, standalone
from watchkeeper.bench.records import DONE


class Plot(NamedTuple):
    """One plot: series of points by name, lines or marks. kind: `cost`, `pr` or `delay`."""

    kind: str
    title: str
    series: dict[str, Points]
    x: Axis
    y: Axis
    joined: bool


def plots(table: Table) -> list[Plot]:
    """Give the plots of a table, none when nothing was measured."""
    done = [row for row in table.rows if row.state == DONE and row.record]
    found = _against_cost(table, done)
    pr = {_name(row): _curve(row, "pr") for row in done if _curve(row, "pr")}
    if pr:
        found.append(
            Plot("pr", "Precision against recall", pr, Axis("recall", 0, 1), Axis("precision", 0, 1), joined=True)
        )
    delays = {_name(row): _curve(row, "delay") for row in done if _curve(row, "delay")}
    every = [point for points in delays.values() for point in points]
    if every:
        x = Axis("false incidents a day", 0, max(point[0] for point in every) or 1)
        y = Axis("median delay, s", 0, max(point[1] for point in every) or 1)
        found.append(Plot("delay", "Delay against false alarms", delays, x, y, joined=True))
    return found


def write_plots(tables: Sequence[Table], folder: Path) -> dict[tuple[str, str], list[tuple[str, Path]]]:
    """Write each plot as an SVG file; gives titles and files by task and data set. Files of earlier reports go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    written: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for table in tables:
        for each in plots(table):
            path = folder / f"{table.task.name}-{table.data.id.replace('@', '-')}-{each.kind}.svg"
            path.write_text(standalone(each.series, each.x, each.y, joined=each.joined), encoding="utf-8")
            written.setdefault((table.task.name, table.data.id), []).append((each.title, path))
    return written


def _against_cost(table: Table, rows: Sequence[Row]) -> list[Plot]:
    metric = table.headline.name
    points: dict[str, Points] = {}
    for row in rows:
        value = row.value(metric)
        if value is not None and row.record is not None:
            seconds = row.record["seconds"]
            points[_name(row)] = [(max(seconds["fit"] + seconds["answer"], 1e-3), value)]
    if len(points) < 2:
        return []
    costs, values = [each[0][0] for each in points.values()], [each[0][1] for each in points.values()]
    x = Axis("seconds to learn and answer", min(costs) / 2, max(costs) * 2, log=True)
    y = Axis(metric, min(0.0, *values), max(1.0, *values) if max(values) <= 1 else max(values))
    return [Plot("cost", "Accuracy against cost", points, x, y, joined=False)]


def _curve(row: Row, name: str) -> Points:
    points = (row.record or {}).get("curves", {}).get(name, [])
    return [(float(a), float(b)) for a, b in points]


def _name(row: Row) -> str:
    enhancement = row.cell.enhancement.name
    return row.cell.model.name if enhancement == "none" else f"{row.cell.model.name} + {enhancement}"
