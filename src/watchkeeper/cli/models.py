"""`watchkeeper models`: the versions of what was learned; which one is active, and who made it so, when and why.

Enters: names and numbers of versions. Leaves: lines of text, or JSON. Holds no logic: the server does it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import paint, table, write_json
from watchkeeper.cli.text import clock_text, safe

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model, such as logs/default or online.")]
WhyOption = Annotated[str, typer.Option("--why", "-m", metavar="TEXT", help="Why; stands in the audit.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it, where no tokens are set up.")]

_PATH = "/api/v1/models"
_TOLD_FIRST = ("held_out_accuracy", "held_out_flagged")
_STATES = {"active": "green", "candidate": "yellow", "retired": "bright_black"}


@app.callback()
def models() -> None:
    """List the versions of models, promote one, go back to the one before; tell who did so and why."""


@app.command("list")
def list_versions(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this model.")] = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List versions, by name and the newest first."""
    with Client(connection(ctx, server, token)) as client:
        answer = client.get(_PATH, {"name": name})
    if json:
        for item in answer["items"]:
            write_json(item)
        return
    for line in list_lines(answer):
        typer.echo(line)


@app.command()
def show(
    ctx: typer.Context,
    name: NameArgument,
    number: Annotated[int, typer.Argument(min=0, metavar="[NUMBER]", help="The version; the active one if 0.")] = 0,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Show a version: what it was made of, its held-out quality, its thresholds; and the audit of its model."""
    with Client(connection(ctx, server, token)) as client:
        chosen = number or _active(client, name)
        found = client.get(f"{_PATH}/version", {"name": name, "number": chosen})
        audit = client.get(f"{_PATH}/audit", {"name": name, "limit": 20})["items"]
    if json:
        write_json({**found, "audit": audit})
        return
    for line in [*version_lines(found), *audit_lines(audit)]:
        typer.echo(line)


@app.command()
def promote(
    ctx: typer.Context,
    name: NameArgument,
    number: Annotated[int, typer.Argument(min=1, metavar="NUMBER", help="The version.")],
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Make a version the active one, in one step and without a restart."""
    body = {"name": name, "number": number, "why": why, "by": by}
    _act(ctx, "promote", body, json=json, server=server, token=token)


@app.command()
def rollback(
    ctx: typer.Context,
    name: NameArgument,
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Go back to the version that was active before; again, and it is one step further back."""
    _act(ctx, "rollback", {"name": name, "why": why, "by": by}, json=json, server=server, token=token)


@app.command()
def save(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only `online` is learned while it runs.")] = "online",
    why: WhyOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Make a version of what the online detectors have learned by now."""
    _act(ctx, "save", {"name": name, "why": why, "by": by}, json=json, server=server, token=token)


@app.command()
def audit(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this model.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Entries at the most.")] = 50,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell who did what to which version, when and why, the newest first."""
    with Client(connection(ctx, server, token)) as client:
        items = client.get(f"{_PATH}/audit", {"name": name, "limit": limit})["items"]
    if json:
        for item in items:
            write_json(item)
        return
    for line in audit_lines(items) or ["nothing was done yet"]:
        typer.echo(line)


def _active(client: Client, name: str) -> int:
    items = client.get(_PATH, {"name": name})["items"]
    # Where none is active, the newest is what there is to show; where there is none at all, the server says so.
    chosen = next((item for item in items if item["state"] == "active"), items[0] if items else {"number": 1})
    return int(chosen["number"])


def _act(ctx: typer.Context, act: str, body: Mapping[str, object], *, json: bool, server: str, token: str) -> None:
    with Client(connection(ctx, server, token)) as client:
        found = client.post(f"{_PATH}/{act}", body)
    if json:
        write_json(found)
    else:
        typer.echo(f"version {found['number']} of {safe(str(found['name']))} is active")


def list_lines(answer: Mapping[str, Any]) -> list[str]:
    """Lay out a list of versions."""
    rows = [
        (
            item["name"],
            item["number"],
            "damaged" if item["damaged"] else item["state"],
            clock_text(int(item["created_unix_ns"]))[:19],
            _figures(item["card"]["quality"]) or "-",
            item["card"]["notes"] or "-",
        )
        for item in answer["items"]
    ]
    if not rows:
        return ["there are no models yet; train one (watchkeeper train), or save one (watchkeeper models save)"]
    lines = table(("model", "version", "state", "made", "held-out quality", "notes"), rows, right=(1,))
    return lines + [paint(safe(str(problem)), "red") for problem in answer["problems"]]


def version_lines(version: Mapping[str, Any]) -> list[str]:
    """Lay out one version."""
    card, state = version["card"], str(version["state"])
    lines = [
        f"{paint(safe(str(version['name'])), None, bold=True)} version {version['number']}, "
        + paint(state, _STATES.get(state)),
        f"  made        {clock_text(int(version['created_unix_ns']))}"
        + (f" by job {safe(str(card['job_id']))}" if card["job_id"] else ""),
    ]
    if version["damaged"]:
        lines.append(paint(f"  damaged     {safe(str(version['damaged']))}", "red"))
    for title, name in (
        ("trained on", "trained_on"),
        ("parameters", "parameters"),
        ("quality", "quality"),
        ("thresholds", "thresholds"),
    ):
        lines += _told(title, card[name])
    if card["notes"]:
        lines.append(f"  notes       {safe(str(card['notes']))}")
    if version["parent"]:
        lines.append(f"  after       version {version['parent']}")
    return [*lines, f"  sha256      {safe(str(version['sha256']))}"]


def audit_lines(items: list[dict[str, Any]]) -> list[str]:
    """Lay out the audit."""
    if not items:
        return []
    rows = [
        (
            clock_text(int(item["time_unix_ns"]))[:19],
            item["name"],
            "all" if item["number"] is None else item["number"],
            item["what"],
            item["who"],
            item["why"] or "-",
        )
        for item in items
    ]
    return table(("when", "model", "version", "what", "who", "why"), rows, right=(2,))


def _told(title: str, values: Mapping[str, Any]) -> list[str]:
    """Lay out one part of a card; what is nested is in `--json`."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
    lines = [
        f"  {title if not at else '':<11} {safe(_named(name, value))}" for at, (name, value) in enumerate(plain.items())
    ]
    nested = len(values) - len(plain)
    return lines + ([f"  {title if not lines else '':<11} and {nested} more in --json"] if nested else [])


def _figures(values: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in values.items() if isinstance(value, int | float)}
    chosen = [name for name in _TOLD_FIRST if name in plain] or list(plain)[:3]
    return ", ".join(_named(name.removeprefix("held_out_"), plain[name]) for name in chosen)


def _named(name: str, value: Any) -> str:
    if name.endswith("unix_ns"):
        return f"{name.removesuffix('_unix_ns')} {clock_text(int(value))[:19]}"
    return f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
