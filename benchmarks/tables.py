"""Figures as tables for people: nested figures in, text out. What is a ratio stands first; units stand in the heads.

A name's end tells the unit (`_ms`, `_per_s`, ...). Figures of the same kind of several things (one mapping for each)
become one table with a row for each; single figures become a table of names and values. `skipped` and `without_ratio`
map what has no figure to why. Does not know any benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

UNITS = (
    ("cpu_s_per_million", "CPU s per million"),
    ("_mib_per_s", "MiB/s"),
    ("_per_s", "1/s"),
    ("_bytes_per_record", "bytes"),
    ("_bytes_per_row", "bytes"),
    ("_mib_per_hour", "MiB/h"),
    ("_percent_of_core", "% of a core"),
    ("_mib", "MiB"),
    ("_mb", "MB"),
    ("_ms", "ms"),
    ("_s", "s"),
)
WORDS = {"skipped": "skipped", "without_ratio": "no ratio"}
NAME_WIDTH = 40

Figures = Mapping[str, Any]


def show(name: str, figures: Figures) -> str:
    """Give the tables of one benchmark."""
    return "\n".join(_tables(name, figures))


def is_ratio(name: str) -> bool:
    """Tell whether a figure is a ratio by its name."""
    return name == "ratio" or name.startswith(("ratio_", "cpu_ratio_")) or "_ratio_" in name or name.endswith("_ratio")


def head(name: str) -> str:
    """Give a figure's name as people read it, its unit in brackets.

    >>> head("ack_p99_ms"), head("ratio_to_drain3"), head("rows")
    ('ack p99 [ms]', 'ratio to drain3 [x]', 'rows')
    """
    if is_ratio(name):
        return f"{name.replace('_', ' ')} [x]"
    for end, unit in UNITS:
        if name.endswith(end):
            named = name.removesuffix(end).replace("_", " ").strip()
            return f"{named or 'processor time'} [{unit}]"
    return name.replace("_", " ")


def number(value: object) -> str:
    """Give a value with as many digits as tell something.

    >>> number(142299.98), number(3.17155), number(11.74), number(12), number(None), number("hdfs")
    ('142,300', '3.17', '11.7', '12', '-', 'hdfs')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a table, the first column to the left, the others to the right."""
    widths = [max(len(line[at]) for line in (heads, *rows)) for at in range(len(heads))]
    for line in (heads, ["-" * width for width in widths], *rows):
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        yield "  " + "  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip()


def _tables(title: str, figures: Figures) -> Iterator[str]:
    told = {name: reasons for name, reasons in figures.items() if name in WORDS and isinstance(reasons, Mapping)}
    groups = {name: value for name, value in figures.items() if isinstance(value, Mapping) and name not in told}
    single = {name: value for name, value in figures.items() if name not in groups and name not in told}
    if single:
        yield f"{title}:"
        names = sorted(single, key=lambda name: not is_ratio(name))
        for name in names:
            yield f"  {head(name):{NAME_WIDTH}s} {number(single[name]):>14s}"
    flat = {name: value for name, value in groups.items() if _is_flat(value)}
    for columns in {tuple(value): None for value in flat.values()}:
        names = sorted(columns, key=lambda name: not is_ratio(name))
        rows = [
            [name.replace("_", " "), *(number(value[column]) for column in names)]
            for name, value in flat.items()
            if tuple(value) == columns
        ]
        yield from grid([title, *map(head, names)], rows)
    for name, value in groups.items():
        if name not in flat:
            yield from _tables(f"{title}, {name.replace('_', ' ')}", value)
    for name, reasons in told.items():
        for what, why in reasons.items():
            yield f"  {WORDS[name]}: {what.replace('_', ' ')}: {why}"


def _is_flat(value: Figures) -> bool:
    return bool(value) and not any(isinstance(each, Mapping) for each in value.values())
