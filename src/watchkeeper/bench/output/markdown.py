"""The scoreboard as Markdown, for docs/scoreboard.md.

Enters: tables. Leaves: one text with the date, the machine, and each table with what failed, was skipped or not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from watchkeeper.bench.output.board import Row, Table
from watchkeeper.bench.output.glance import GLANCE_ABOUT, HEADER, glances
from watchkeeper.bench.output.words import cells, grouped, header
from watchkeeper.bench.records import DONE, SKIPPED, Record

METRICS, INTERVALS = 8, 3
"""How many metrics a table shows, and of how many of them the interval."""
_NONE: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = MappingProxyType({})
_HEAD = """# Scoreboard

Written by `watchkeeper bench report --markdown docs/scoreboard.md`; [bench.md](bench.md) tells what each word means.
Figures are followed by their 95 % interval. A cell that does no better than the best trivial baseline of its table is
marked; cells that failed, were skipped or were not run say why.
"""


def markdown_page(
    tables: Sequence[Table], pictures: Mapping[tuple[str, str], Sequence[tuple[str, str]]] = _NONE
) -> str:
    """Write all tables; `pictures` are titles and paths of plots, relative to the text, by task and data set."""
    parts = [_HEAD, *ran_on(tables), "", *_at_a_glance(tables)]
    for table in tables:
        columns = min(len(table.metrics), METRICS)
        parts += [
            f"## {table.task.name}: {table.data.id}",
            "",
            f"{table.data.about}. Judged by {table.headline.name}.",
            "",
        ]
        shown = [row for row in table.rows if row.state != SKIPPED]
        parts += _lines(header(table, columns), [cells(table, row, columns, INTERVALS) for row in shown])
        parts += [*skipped(table.rows), ""]
        told = [
            f"![{title} of {table.data.id}]({path})"
            for title, path in pictures.get((table.task.name, table.data.id), ())
        ]
        parts += [*told, ""] if told else []
    return "\n".join(parts)


def _at_a_glance(tables: Sequence[Table]) -> list[str]:
    rows = []
    for each in glances(tables):
        task, data, *rest = each.words()
        rows.append([task, f"[{data}](#{_anchor(each.table)})", *rest])
    return ["## At a glance", "", GLANCE_ABOUT, "", *_lines(HEADER, rows), ""] if rows else []


def _anchor(table: Table) -> str:
    """Give what a heading is linked by: small letters, no signs but - and _, spaces as -."""
    kept = [each for each in f"{table.task.name}: {table.data.id}".lower() if each.isalnum() or each in " -_"]
    return "".join(kept).replace(" ", "-")


def ran_on(tables: Iterable[Table]) -> list[str]:
    """Tell when, on what machine and at which commits the figures came to be."""
    found: list[Record] = [row.record for table in tables for row in table.rows if row.record and row.state == DONE]
    if not found:
        return ["Nothing was run yet."]
    dates = sorted(record["date"] for record in found)
    commits = sorted({record["commit"] or "no commit" for record in found})
    machines = sorted({_machine(record) for record in found})
    versions = found[0]["versions"]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        f"{len(found)} cells, {dates[0][:10]} to {dates[-1][:10]}, on {'; '.join(machines)}; {told}; "
        f"commits {', '.join(commits)}."
    ]


def skipped(rows: Iterable[Row]) -> list[str]:
    """Tell the skipped cells, those of one reason together."""
    told = grouped((row.reason, row.cell) for row in rows if row.state == SKIPPED)
    return ["", *(f"Skipped, {each}." for each in told)] if told else []


def _machine(record: Record) -> str:
    about = record["machine"]
    return f"{about['processor']} with {about['cores']} cores and {about['memory_gib']} GiB"


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [_line(head), _line(["---"] * len(head))]
    return [*lines, *(_line(row) for row in rows)]


def _line(cells_: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in cells_) + " |"
