"""`watchkeeper explain`: the diagnosis of an incident, made now, with what speaks for and against each cause."""

from __future__ import annotations

from typing import Annotated

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.incident_text import diagnosis_lines
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import write_json
from watchkeeper.cli.text import safe

app = typer.Typer()


@app.command()
def explain(
    ctx: typer.Context,
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident.")],
    report: Annotated[bool, typer.Option("--report", help="Write the report in Markdown instead.")] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Explain an incident: ranked causes with evidence for and against, what was ruled out, the category."""
    with Client(connection(ctx, server, token)) as client:
        found = client.get(f"/api/v1/incidents/{incident}")
        diagnosis = client.post(f"/api/v1/incidents/{incident}/explain", {})
    if json:
        write_json(diagnosis)
    elif report:
        typer.echo(safe(str(diagnosis.get("report_markdown") or "there is no report"), lines=True))
    else:
        for line in diagnosis_lines(found, diagnosis):
            typer.echo(line)
