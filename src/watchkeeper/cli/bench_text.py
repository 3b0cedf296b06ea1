"""Comparisons of the harness as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watchkeeper.cli.output import table

if TYPE_CHECKING:
    from watchkeeper.bench.compare import Line, Unpaired

_HEADER = ("metric", "better", "first", "second", "change", "tolerance", "verdict", "paired 95 %")


def comparison_text(one: dict[str, Any], other: dict[str, Any], lines: Sequence[Line]) -> Iterator[str]:
    """Give the lines of one pair: change, direction, tolerance, verdict, paired interval."""
    from watchkeeper.bench.output.words import number

    yield f"\n{one['id']}  ({one['date']}, {one['commit'] or 'no commit'})"
    yield f"  against {other['id']}  ({other['date']}, {other['commit'] or 'no commit'})"
    rows = [
        (
            line.metric.name,
            "higher" if line.metric.higher_is_better else "lower",
            number(line.first),
            number(line.second),
            "-" if line.change is None else f"{line.change:+.4f}",
            f"{line.metric.tolerance:g}",
            line.verdict,
            _paired(line),
        )
        for line in lines
    ]
    yield from (f"  {text}" for text in table(_HEADER, rows))


def plain_comparison(one: dict[str, Any], other: dict[str, Any], lines: Sequence[Line]) -> dict[str, Any]:
    """Give one pair as plain data."""
    return {
        "first": {name: one[name] for name in ("id", "date", "commit")},
        "second": {name: other[name] for name in ("id", "date", "commit")},
        "metrics": [
            {
                "name": line.metric.name,
                "higher_is_better": line.metric.higher_is_better,
                "first": line.first,
                "second": line.second,
                "change": line.change,
                "tolerance": line.metric.tolerance,
                "verdict": line.verdict,
                "paired": list(line.paired) if line.paired else None,
            }
            for line in lines
        ],
    }


def unpaired_text(cells: Sequence[Unpaired]) -> Iterator[str]:
    """Give the lines about the cells that have no counterpart."""
    if cells:
        yield f"\nnot compared: {len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
    yield from (f"  {each.id}  {each.why}{'  (worse)' if each.is_worse else ''}" for each in cells)


def plain_unpaired(one: Unpaired) -> dict[str, Any]:
    """Give one cell without a counterpart as plain data; it has no metrics."""
    return {"id": one.id, "first": one.first, "second": one.second, "why": one.why, "metrics": []}


def _paired(line: Line) -> str:
    if line.paired is None:
        return "-"
    of = " of the share right" if line.metric.name == "f1" else ""
    return f"[{line.paired.low:+.4f}, {line.paired.high:+.4f}]{of}"
