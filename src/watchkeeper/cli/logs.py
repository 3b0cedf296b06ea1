"""`watchkeeper logs`: searches, follows and summarises logs through the API."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import paint, severity_paint, table, terminal_width, write_json
from watchkeeper.cli.text import clock_text, safe, sparkline
from watchkeeper.errors import SettingError

app = typer.Typer()

_SEVERITIES = {"trace": 1, "debug": 5, "info": 9, "warn": 13, "warning": 13, "error": 17, "fatal": 21}
_PAGE_ROWS = 1000


@app.command()
def logs(
    ctx: typer.Context,
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help='Words, "a phrase", -word, field:value, field>5.')
    ] = None,
    service: Annotated[str, typer.Option(help="Only this service.")] = "",
    severity: Annotated[str, typer.Option(help="This severity or worse: trace, debug, info, warn, error, fatal.")] = "",
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From: 15m, 2h, 7d before now, RFC 3339, Unix nanoseconds.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to; as --from.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Records, or patterns, at the most.")] = 100,
    template: Annotated[str, typer.Option(metavar="ID", help="Only lines of this pattern.")] = "",
    trace: Annotated[str, typer.Option(metavar="ID", help="Only lines of this trace.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records as they come.")] = False,
    patterns: Annotated[bool, typer.Option("--patterns", help="Show the patterns of the lines instead.")] = False,
    sort: Annotated[str, typer.Option(help="Order of patterns: count, recent, rare.")] = "count",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Search logs; the newest are last. Without a query, the most recent.

    Words must all appear in the line; "a phrase"; -word excludes; field:value, field:val* and field>5 look into a field
    (service, severity, trace_id, template, scope, or an attribute).
    """
    window = {"from": start, "to": end}
    with Client(connection(ctx, server, token)) as client:
        if patterns:
            found = client.get(
                "/api/v1/patterns", {"query": query, "service": service, "limit": limit, "sort": sort, **window}
            )
            _show_patterns(found["items"], json=json)
            return
        filters: dict[str, object] = {
            "query": query,
            "service": service,
            "severity_min": _severity(severity),
            "template_id": template,
            "trace_id": trace,
        }
        for record in reversed(_search(client, {**filters, **window}, limit)):
            _show(record, json=json)
        if follow:
            for event in client.events("/api/v1/logs/stream", filters):
                if event.name == "log":
                    _show(event.data, json=json)


def _severity(text: str) -> int | None:
    if not text:
        return None
    number = _SEVERITIES.get(text.lower()) or (int(text) if text.isdecimal() else 0)
    if not 1 <= number <= 24:
        raise SettingError(f"--severity {text!r} is none of {', '.join(_SEVERITIES)}, nor a number from 1 to 24")
    return number


def _search(client: Client, filters: dict[str, object], limit: int) -> list[dict[str, Any]]:
    """Get up to `limit` records, newest first, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while len(found) < limit:
        page = client.get("/api/v1/logs", {**filters, "limit": min(_PAGE_ROWS, limit - len(found)), "cursor": cursor})
        found += page["items"]
        cursor = page.get("next_cursor") or ""
        if not cursor or not page["items"]:
            break
    return found


def _show(record: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(record)
        return
    severity = str(record.get("severity") or "")
    level = (severity if severity != "unspecified" else "").upper()[:5].ljust(5)
    when = paint(clock_text(int(record["time_unix_ns"])), "bright_black")
    service = paint(safe(str(record.get("service") or "-")), "cyan")
    body = record.get("body")
    text = body if isinstance(body, str) else "" if body is None else str(body)
    typer.echo(f"{when} {severity_paint(level, severity)} {service} {severity_body(text, severity)}")


def severity_body(text: str, severity: str) -> str:
    """Make a body safe, its further lines indented, and colour it when it is an error."""
    shown = safe(text, lines=True).rstrip("\n").replace("\n", "\n    ")
    return severity_paint(shown, severity) if severity in {"error", "fatal"} else shown


def _show_patterns(items: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        for item in items:
            write_json(item)
        return
    if not items:
        typer.echo("no patterns; nothing was mined in that time")
        return
    rows = [
        (
            f"{int(item['count']):,}",
            sparkline([float(value) for value in item.get("sparkline") or []]),
            str(item.get("severity") or ""),
            ",".join(item.get("services") or []),
            str(item["template_id"]),
            item["template"],
        )
        for item in items
    ]
    width = terminal_width()
    for line in table(("count", "over time", "severity", "service", "id", "pattern"), rows, right=(0,)):
        typer.echo(line if len(line) <= width else line[: width - 1] + "…")
