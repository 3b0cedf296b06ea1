"""Writing to the terminal: colours only where there is one, JSON lines, tables of plain text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import orjson
import typer

from watchkeeper.cli.text import safe

_COLOURS = {
    "fatal": "bright_red",
    "error": "red",
    "warn": "yellow",
    "info": "green",
    "debug": "blue",
    "trace": "bright_black",
}
STATES = {"critical": "red", "warning": "yellow", "info": "blue", "open": "red", "closed": "bright_black"}


def coloured() -> bool:
    """Tell whether colours are wanted: a terminal, and NO_COLOR not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str | None, *, bold: bool = False) -> str:
    """Colour a text for the terminal; as it is when there is none."""
    return typer.style(text, fg=colour, bold=bold) if coloured() and (colour or bold) else text


def severity_paint(text: str, severity: str) -> str:
    """Colour a text as its severity (`error`, `warn` ...) asks."""
    return paint(text, _COLOURS.get(severity.lower()))


def write_json(value: Any) -> None:
    """Write one value as one line of JSON."""
    typer.echo(orjson.dumps(value).decode())


def terminal_width() -> int:
    """Give the columns of the terminal; a wide default in a pipe, so that nothing is cut there."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> list[str]:
    """Lay out rows under a header, columns two spaces apart; `right` columns are aligned right. Cells are made safe."""
    texts = [[safe(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[index]) for line in ([*header], *texts)) for index in range(len(header))]
    lines = []
    for row in ([*header], *texts):
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
