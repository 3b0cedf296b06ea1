"""`watchkeeper sql`: a reading SQL statement over logs, metrics and spans, run by the server."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import table, write_json

app = typer.Typer()


@app.command()
def sql(
    ctx: typer.Context,
    query: Annotated[
        str, typer.Argument(metavar="SELECT...", help="The statement, or - to read it from standard input.")
    ],
    rows_max: Annotated[int | None, typer.Option(min=1, help="Rows at the most; the setting query_rows_max.")] = None,
    json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV with a header.")] = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Run a reading SQL statement (DuckDB's dialect) over the tables logs, metrics and spans.

    Example: SELECT service, count(*) FROM logs WHERE severity_number >= 17 GROUP BY service
    """
    text = sys.stdin.read() if query == "-" else query
    body: dict[str, object] = {"query": text} if rows_max is None else {"query": text, "rows_max": rows_max}
    with Client(connection(ctx, server, token)) as client:
        answer = client.post("/api/v1/sql", body)
    names = [str(column["name"]) for column in answer["columns"]]
    if json:
        for row in answer["rows"]:
            write_json(dict(zip(names, row, strict=True)))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(answer["rows"])
    else:
        numeric = [index for index, column in enumerate(answer["columns"]) if _is_number(str(column["type"]))]
        for line in table(names, [[_cell(value) for value in row] for row in answer["rows"]], right=numeric):
            typer.echo(line)
        count = len(answer["rows"])
        typer.echo(f"({count} row{'' if count == 1 else 's'}, {float(answer['elapsed_ms']):.0f} ms)", err=True)
    if answer["truncated"]:
        typer.echo("there are more rows than these; narrow the query or raise --rows-max", err=True)


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)


def _is_number(type_name: str) -> bool:
    return type_name.upper().startswith(
        ("INT", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL", "UINT", "UBIGINT", "TINY", "SMALL")
    )
