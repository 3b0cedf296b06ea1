"""`watchkeeper findings`: what is out of the ordinary, as a list, one by one with evidence, or as it happens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import STATES, paint, write_json
from watchkeeper.cli.text import clock_text, duration_text, plot, safe, warming_lines

app = typer.Typer()


@app.command()
def findings(
    ctx: typer.Context,
    finding: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this finding with its evidence.")] = None,
    state: Annotated[str, typer.Option(help="Only those that are open, or closed.")] = "",
    service: Annotated[str, typer.Option(help="Only of this service.")] = "",
    kind: Annotated[str, typer.Option(help="Only of this kind, such as log.template.unseen.")] = "",
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From: 15m, 2h, 7d before now, RFC 3339, Unix nanoseconds.")
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to; as --from.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Findings at the most.")] = 50,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with findings as they open and change.")
    ] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List findings, the newest last, or show one with what was expected, what was seen, and the evidence."""
    with Client(connection(ctx, server, token)) as client:
        if finding is not None:
            found = client.get(f"/api/v1/findings/{finding}")
            if json:
                write_json(found)
            else:
                for line in finding_lines(found):
                    typer.echo(line)
            return
        filters = {"state": state, "service": service, "kind": kind, "from": start, "to": end, "limit": limit}
        items = client.get("/api/v1/findings", filters)["items"]
        for item in reversed(items):
            _show(item, json=json)
        if not items and not json and not follow:
            _say_none(client)
        if follow:
            for event in client.events("/api/v1/events"):
                if event.name == "finding" and _wanted(event.data, state, service, kind):
                    _show(event.data, json=json)


def _say_none(client: Client) -> None:
    """Tell 'nothing found' from 'not looking yet'."""
    typer.echo("no findings")
    warming = warming_lines(client.get("/api/v1/status").get("learning", []))
    if warming:
        typer.echo("still being learned, and not judged before:")
    for line in warming:
        typer.echo(f"  {line}")


def _wanted(item: dict[str, Any], state: str, service: str, kind: str) -> bool:
    return all(
        not asked or item.get(name) == asked for name, asked in (("state", state), ("service", service), ("kind", kind))
    )


def _show(item: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(item)
        return
    severity, state = str(item["severity"]), str(item["state"])
    typer.echo(
        f"{paint(str(item['id']), None, bold=True)} {clock_text(int(item['first_unix_ns']))} "
        f"{paint(severity.ljust(8), STATES.get(severity))} {paint(state.ljust(6), STATES.get(state))} "
        f"{paint(safe(str(item['service'])), 'cyan')} {safe(str(item['title']))}"
        + (f"  x{int(item['count']):,}" if int(item.get("count") or 0) > 1 else "")
    )


def finding_lines(item: dict[str, Any]) -> list[str]:
    """Lay one finding out in full."""
    first, last = int(item["first_unix_ns"]), int(item["last_unix_ns"])
    severity = str(item["severity"])
    lines = [
        paint(safe(str(item["title"])), STATES.get(severity), bold=True),
        f"  {severity}, {item['state']}; {safe(str(item['kind']))}; score {float(item['score']):.3g}; id {item['id']}",
        f"  where     {safe(str(item['service']))}  {safe(str(item['entity']))}",
        f"  when      {clock_text(first)} to {clock_text(last)}, {duration_text(last - first)}",
        f"  events    {int(item['count']):,}",
        f"  why       {safe(str(item['why']))}",
        f"  expected  {_band(item['expected'])}",
        f"  seen      {_band(item['seen'])}",
        f"  baseline  {_baseline(item['baseline'])}",
    ]
    if item.get("template"):
        lines.append(f"  pattern   {safe(str(item['template']))}  (watchkeeper logs --template {item['template_id']})")
    for evidence in item.get("evidence") or []:
        lines += _evidence_lines(evidence, item["expected"])
    return lines


def _band(band: dict[str, Any]) -> str:
    low, high, unit = band.get("low"), band.get("high"), safe(str(band.get("unit") or ""))
    if low is None and high is None:
        return safe(str(band["text"]))
    if low == high:
        bounds = f"{low:.4g}"
    else:
        bounds = f"{'…' if low is None else f'{low:.4g}'} to {'…' if high is None else f'{high:.4g}'}"
    return f"{safe(str(band['text']))}  [{bounds}{' ' + unit if unit else ''}]"


def _baseline(baseline: dict[str, Any]) -> str:
    start, end = int(baseline["from_unix_ns"]), int(baseline["to_unix_ns"])
    if not end:
        return "none"
    counts = [f"{int(baseline[name]):,} {name}" for name in ("windows", "lines") if baseline.get(name)]
    return f"{clock_text(start)} to {clock_text(end)}{', ' + ', '.join(counts) if counts else ''}"


def _evidence_lines(evidence: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    kind = evidence.get("kind")
    text = safe(str(evidence.get("text") or ""), lines=True).replace("\n", "\n              ")
    if kind == "series":
        points = [(int(moment), float(value)) for moment, value in evidence.get("points") or []]
        drawn = plot(points, low=expected.get("low"), high=expected.get("high"))
        return [f"  series    {text}", *(f"    {line}" for line in drawn)]
    when = int(evidence.get("time_unix_ns") or 0)
    stamp = f"{clock_text(when)}  " if when else ""
    trace = f"  (trace {safe(str(evidence['trace_id']))})" if evidence.get("trace_id") else ""
    return [f"  {'line' if kind == 'line' else 'note'}      {stamp}{text}{trace}"]
