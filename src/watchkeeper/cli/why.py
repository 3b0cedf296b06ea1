"""`watchkeeper why`: why a line of log is judged as it is, by the online detector and by each log model at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import paint, table, write_json
from watchkeeper.cli.text import clock_text, safe

app = typer.Typer()

_SOURCES = {
    "known": "it learned lines of this form, so the model is not asked",
    "cache": "the model judged this form before",
    "model": "the model was asked now",
}
_LIKELY = 0.5


@app.command()
def why(
    ctx: typer.Context,
    line: Annotated[str, typer.Argument(metavar="LINE", help="The line of log, in quotes.")],
    service: Annotated[str, typer.Option(help="The service that logged it.")] = "",
    model: Annotated[str, typer.Option(help="Only this log model, such as logs/default.")] = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell why a line is judged as it is: its mask, who knows it since when, and each model's score token by token."""
    with Client(connection(ctx, server, token)) as client:
        told = client.post("/api/v1/why", {"line": line, "service": service, "model": model})
    if json:
        write_json(told)
        return
    for text in why_lines(told):
        typer.echo(text)


def why_lines(told: Mapping[str, Any]) -> list[str]:
    """Lay the answer out."""
    lines = [f"line      {safe(str(told['line']))}", f"pattern   {safe(str(told['masked']))}"]
    pattern = told["pattern"]
    if pattern:
        since = clock_text(int(pattern["first_unix_ns"]))[:19]
        lines.append(f"          {int(pattern['lines']):,} lines of it since {since}")
    else:
        lines.append("          never seen")
    lines += _online_lines(told["online"], str(told["service"]))
    for near in told["nearest"]:
        lines.append(f"nearest   {near['likeness']:.0%} alike, {int(near['times']):,} lines: {safe(str(near['line']))}")
    if told["no_model"]:
        lines.append(f"model     {safe(str(told['no_model']))}")
    for each in told["models"]:
        lines += ["", *_model_lines(each["version"], each["explanation"])]
    return lines


def _online_lines(online: Mapping[str, Any], service: str) -> list[str]:
    if service and online["state"] == "no data":
        lines = [f"online    no logs of {safe(service)} were received"]
    elif online["score"] is not None:
        verdict = "it would be told" if online["score"] >= online["threshold"] else "it would not be told"
        lines = [
            f"online    new to {safe(service)}: score {online['score']:.3g}, told from {online['threshold']:.3g} on; "
            + verdict
        ]
    elif service and online["state"] == "warming" and not any(s["service"] == service for s in online["services"]):
        lines = [f"online    {safe(service)} is still learned from, nothing is judged yet"]
    else:
        lines = []
    if not online["services"]:
        return lines or ["online    no service has logged it"]
    rows = [
        (
            one["service"],
            one["state"],
            clock_text(int(one["first_unix_ns"]))[:19],
            f"{int(one['lines']):,}",
            f"{one['expected']:.3g}",
            f"{one['upper']:.3g}",
        )
        for one in online["services"]
    ]
    header = ("service", "state", "known since", "lines", f"in {online['window_s']:g} s", "too many from")
    head, *body = table(header, rows, right=(3, 4, 5))
    return [*lines, f"online    {head}", *(f"          {line}" for line in body)]


def _model_lines(version: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    trained = version["card"]["trained_on"]
    value = told["score"] if told["measure"] == "share" else told["chance"]
    verdict = paint("strange", "red", bold=True) if told["strange"] else paint("usual", "green")
    counts = [f"{int(trained[name]):,} {name}" for name in ("lines", "distinct") if isinstance(trained.get(name), int)]
    lines = [
        f"model     {safe(str(version['name']))} version {version['number']}"
        + (f", trained on {', '.join(counts)}" if counts else ""),
        f"  verdict   {verdict}: {_SOURCES.get(str(told['source']), safe(str(told['source'])))}",
        f"  masked    {safe(str(told['masked']))}",
        f"  {told['measure']:<9} {value:.4g}, strange below {told['threshold']:.4g}",
    ]
    if told["tokens"]:
        lines.append("  tokens    rank and chance of each, hidden in turn; - is not among the best guesses that count")
    for one in told["tokens"]:
        mark = " " if one["hit"] else "-"
        colour = "red" if not one["hit"] else "green" if one["chance"] >= _LIKELY else "yellow"
        lines.append(
            f"    {mark} {paint(safe(str(one['token'])).ljust(24), colour)} {one['rank']:>6} {one['chance']:>8.1%}"
        )
    return lines + [
        f"  nearest   {near['likeness']:.0%} alike, {int(near['times']):,} times: {safe(str(near['line']))}"
        for near in told["neighbours"]
    ]
