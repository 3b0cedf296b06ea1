"""The scoreboard as one HTML page that needs nothing else: tables, intervals, cost, plots, failures and skips.

Enters: tables. Leaves: HTML without scripts and without anything from elsewhere. All text from records is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from watchkeeper.bench.output.board import PENDING, Row, Table
from watchkeeper.bench.output.glance import GLANCE_ABOUT, HEADER, NO, glances
from watchkeeper.bench.output.markdown import ran_on, skipped
from watchkeeper.bench.output.plots import Plot, plots
from watchkeeper.bench.output.svg import plot
from watchkeeper.bench.output.words import cells, header
from watchkeeper.bench.records import FAILED, SKIPPED

_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:82rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:.25rem .6rem;text-align:right;white-space:nowrap}
th,td{border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2),td:last-child{text-align:left}
.glance th,.glance td{text-align:left}
tr.baseline{opacity:.72}
tr.loses td:last-child{color:#b3261e}
tr.failed td{color:#b3261e}
@media(prefers-color-scheme:dark){tr.loses td:last-child,tr.failed td{color:#ff8a80}}
.plots{display:flex;flex-wrap:wrap;gap:1.5rem}
figure{margin:.5rem 0}
svg text{font-size:11px;fill:currentColor}
.legend{display:flex;flex-wrap:wrap;gap:.2rem .9rem;max-width:460px;font-size:13px}
"""


def html_page(tables: Sequence[Table]) -> str:
    """Write the page."""
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>Watchkeeper scoreboard</title><style>{_STYLE}</style></head><body><h1>Scoreboard</h1>",
            *(f"<p>{escape(line)}</p>" for line in ran_on(tables)),
            "<p>Figures are followed by their 95 % interval. A cell that does no better than the best trivial baseline "
            "of its table is marked. (low) means that lower is better.</p>",
            _at_a_glance(tables),
            *(_section(table) for table in tables),
            "</body></html>\n",
        ]
    )


def _at_a_glance(tables: Sequence[Table]) -> str:
    head = "".join(f'<th scope="col">{word}</th>' for word in HEADER[1:])
    rows = []
    for task, lines in groupby(glances(tables), key=lambda each: each.table.task.name):
        rows.append(f'<tr><th scope="colgroup" colspan="{len(HEADER) - 1}">{escape(task)}</th></tr>')
        for each in lines:
            data, *rest = (escape(word) for word in each.words()[1:])
            words = "".join(f"<td>{word}</td>" for word in rest)
            linked = f'<td><a href="#{_anchor(each.table)}">{data}</a></td>'
            rows.append(f'<tr class="{"loses" if each.beaten == NO else "done"}">{linked}{words}</tr>')
    return (
        f'<section><h2>At a glance</h2><p>{escape(GLANCE_ABOUT)}</p><nav class="wide"><table class="glance">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></nav></section>"
    )


def _section(table: Table) -> str:
    count = len(table.metrics)
    rows = [row for row in table.rows if row.state != SKIPPED]
    told = [(row, "".join(f"<td>{escape(each)}</td>" for each in cells(table, row, count, count))) for row in rows]
    body = "".join(f'<tr class="{_class(row)}">{text}</tr>' for row, text in told)
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in header(table, count))
    about = f"{table.data.about}. Judged by {table.headline.name}: {table.headline.about}."
    return "".join(
        [
            f'<section id="{_anchor(table)}"><h2>{_title(table)}</h2><p>{escape(about)}</p>',
            f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
            *(f"<p>{escape(line)}</p>" for line in skipped(table.rows) if line),
            f'<div class="plots">{"".join(_figure(each) for each in plots(table))}</div></section>',
        ]
    )


def _figure(each: Plot) -> str:
    drawn = plot(each.series, each.x, each.y, joined=each.joined)
    return f"<figure><figcaption>{escape(each.title)}</figcaption>{drawn}</figure>"


def _class(row: Row) -> str:
    if row.state == FAILED:
        return "failed"
    if row.state == PENDING:
        return "pending"
    return "baseline" if row.cell.model.trivial else ("loses" if row.loses_to else "done")


def _title(table: Table) -> str:
    return escape(f"{table.task.name}: {table.data.id}")


def _anchor(table: Table) -> str:
    return escape(f"{table.task.name}-{table.data.id}".replace("@", "-"))
