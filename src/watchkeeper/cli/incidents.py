"""`watchkeeper incidents`: lists and shows incidents, and does to them what people do; silences and changes too."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.incident_text import incident_lines, incident_row, preview_lines
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import table, write_json
from watchkeeper.cli.text import clock_text, safe
from watchkeeper.errors import QueryError

app = typer.Typer(no_args_is_help=False)
silence = typer.Typer(help="Hear nothing of some findings for a while.")
change = typer.Typer(help="Tell and list deploys, configuration, scaling and feature flags.")
app.add_typer(silence, name="silence")
app.add_typer(change, name="change")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The incident.")]
TextOption = Annotated[str, typer.Option("--text", "-m", metavar="TEXT", help="Why; stands in the timeline.")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it, where no tokens are set up.")]
FromOption = Annotated[
    str, typer.Option("--from", metavar="TIME", help="From: 15m, 2h, 7d before now, RFC 3339, Unix nanoseconds.")
]
ToOption = Annotated[str, typer.Option("--to", metavar="TIME", help="Up to; as --from.")]


@app.callback(invoke_without_command=True)
def incidents(ctx: typer.Context) -> None:
    """List incidents, show one, and act on them; alone it lists those that go on."""
    if ctx.invoked_subcommand is None:
        _list(ctx, {"state": "live"}, json=False, server="", token="")


@app.command("list")
def list_incidents(
    ctx: typer.Context,
    state: Annotated[
        str, typer.Option(help="open, acknowledged, resolved, merged, or live (open and acknowledged).")
    ] = "",
    severity: Annotated[str, typer.Option(help="info, warning or critical.")] = "",
    service: Annotated[str, typer.Option(help="Only those that concern this service.")] = "",
    start: FromOption = "",
    end: ToOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Incidents at the most.")] = 50,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List incidents, the newest last."""
    filters = {"state": state, "severity": severity, "service": service, "from": start, "to": end, "limit": limit}
    _list(ctx, filters, json=json, server=server, token=token)


def _list(ctx: typer.Context, filters: dict[str, object], *, json: bool, server: str, token: str) -> None:
    with Client(connection(ctx, server, token)) as client:
        items = client.get("/api/v1/incidents", filters)["items"]
    for item in reversed(items):
        if json:
            write_json(item)
        else:
            typer.echo(incident_row(item))
    if not items and not json:
        typer.echo("no incidents")


@app.command()
def show(
    ctx: typer.Context,
    incident: IdArgument,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Show an incident: what and where, its impact, its timeline and findings."""
    with Client(connection(ctx, server, token)) as client:
        found = client.get(f"/api/v1/incidents/{incident}")
    _tell(found, json=json)


@app.command()
def ack(
    ctx: typer.Context,
    incident: IdArgument,
    text: TextOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell that somebody is at it."""
    _act(ctx, incident, "acknowledge", {"text": text, "by": by}, json=json, server=server, token=token)


@app.command()
def resolve(
    ctx: typer.Context,
    incident: IdArgument,
    text: TextOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell that it is over."""
    _act(ctx, incident, "resolve", {"text": text, "by": by}, json=json, server=server, token=token)


@app.command()
def reopen(
    ctx: typer.Context,
    incident: IdArgument,
    text: TextOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell that it is not over."""
    _act(ctx, incident, "reopen", {"text": text, "by": by}, json=json, server=server, token=token)


@app.command()
def note(
    ctx: typer.Context,
    incident: IdArgument,
    text: Annotated[str, typer.Argument(help="The remark.")],
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Add a remark to the timeline."""
    _act(ctx, incident, "note", {"text": text, "by": by}, json=json, server=server, token=token)


@app.command()
def merge(
    ctx: typer.Context,
    incident: IdArgument,
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="Those that go up in it.")],
    text: TextOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Let an incident take over the findings of others."""
    body = {"incidents": others, "text": text, "by": by}
    _act(ctx, incident, "merge", body, json=json, server=server, token=token)


@app.command()
def split(
    ctx: typer.Context,
    incident: IdArgument,
    findings: Annotated[list[str], typer.Argument(metavar="FINDING...", help="What goes into a new incident.")],
    text: TextOption = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Take findings out into a new incident."""
    body = {"findings": findings, "text": text, "by": by}
    with Client(connection(ctx, server, token)) as client:
        answer = client.post(f"/api/v1/incidents/{incident}/split", body)
    if json:
        write_json(answer)
        return
    typer.echo(incident_row(answer["incident"]))
    typer.echo(incident_row(answer["new"]))


@app.command()
def preview(
    ctx: typer.Context,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting that begins with incident_; may be repeated."),
    ] = None,
    start: FromOption = "7d",
    end: ToOption = "now",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell how many incidents there would have been with other settings, from the findings that are kept."""
    body = {"settings": _pairs(assignments), "from": start, "to": end}
    with Client(connection(ctx, server, token)) as client:
        answer = client.post("/api/v1/incidents/preview", body)
    if json:
        write_json(answer)
        return
    for line in preview_lines(answer):
        typer.echo(line)


@silence.command("add")
def add_silence(
    ctx: typer.Context,
    why: Annotated[str, typer.Option(help="The reason, for those who come after.")],
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 30m, 2h, 7d.")],
    service: Annotated[str, typer.Option(help="Findings of this service; `*` stands for anything.")] = "",
    node: Annotated[str, typer.Option(help="Findings about this node of the topology, such as host:n1.")] = "",
    kind: Annotated[str, typer.Option(help="Findings of this kind, such as log.*.")] = "",
    template: Annotated[str, typer.Option(help="Log patterns, else titles, that this expression (RE2) is in.")] = "",
    severity: Annotated[str, typer.Option(help="info, warning or critical.")] = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Silence findings for a while: they are kept and marked, open no incident and reach nobody."""
    from watchkeeper.store.reads.times import parse_duration

    named = {"service": service, "node": node, "kind": kind, "template": template, "severity": severity}
    body = {
        "matchers": {name: value for name, value in named.items() if value},
        "why": why,
        "duration_s": parse_duration(duration) / 1e9,
        "by": by,
    }
    with Client(connection(ctx, server, token)) as client:
        made = client.post("/api/v1/silences", body)
    if json:
        write_json(made)
    else:
        typer.echo(f"{made['id']} silences {_matchers(made)} until {clock_text(int(made['until_unix_ns']))}")


@silence.command("list")
def list_silences(
    ctx: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that ended in the last month too.")] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List silences, the one that ends first at the top."""
    with Client(connection(ctx, server, token)) as client:
        items = client.get("/api/v1/silences", {"ended": "true" if ended else ""})["items"]
    if json:
        for item in items:
            write_json(item)
        return
    rows = [
        (each["id"], clock_text(int(each["until_unix_ns"])), each["by"], _matchers(each), each["why"]) for each in items
    ]
    for line in table(("id", "until", "by", "what", "why"), rows) if rows else ["no silences"]:
        typer.echo(line)


@silence.command("remove")
def remove_silence(
    ctx: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="The silence.")],
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """End a silence at once."""
    with Client(connection(ctx, server, token)) as client:
        client.delete(f"/api/v1/silences/{identifier}")
    typer.echo(f"{safe(identifier)} is ended")


@change.command("add")
def add_change(
    ctx: typer.Context,
    title: Annotated[str, typer.Argument(help="What was changed, in one line.")],
    kind: Annotated[str, typer.Option(help="deploy, config, scale, flag or other.")] = "deploy",
    service: Annotated[str, typer.Option(help="The service that was changed.")] = "",
    node: Annotated[str, typer.Option(help="Or its id in the topology, such as host:n1.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="When; now if left out.")] = "",
    identifier: Annotated[str, typer.Option("--id", help="An id; a change of a known id is kept once.")] = "",
    by: ByOption = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Tell a change, so that it stands in timelines and is weighed as a cause."""
    body = {"title": title, "kind": kind, "service": service, "node": node, "time": at, "id": identifier, "by": by}
    with Client(connection(ctx, server, token)) as client:
        made = client.post("/api/v1/changes", body)
    if json:
        write_json(made)
    else:
        typer.echo(f"{safe(made['id'])} {clock_text(int(made['time_unix_ns']))} {safe(made['title'])}")


@change.command("list")
def list_changes(
    ctx: typer.Context,
    kind: Annotated[str, typer.Option(help="deploy, config, scale, flag or other.")] = "",
    node: Annotated[str, typer.Option(help="Only of this node, such as service:cart.")] = "",
    start: FromOption = "",
    end: ToOption = "",
    limit: Annotated[int, typer.Option(min=1, help="Changes at the most.")] = 50,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List changes, the newest last."""
    filters = {"kind": kind, "node": node, "from": start, "to": end, "limit": limit}
    with Client(connection(ctx, server, token)) as client:
        items = list(reversed(client.get("/api/v1/changes", filters)["items"]))
    if json:
        for item in items:
            write_json(item)
        return
    rows = [(clock_text(int(each["time_unix_ns"])), each["kind"], each["node"], each["title"]) for each in items]
    for line in table(("time", "kind", "node", "what"), rows) if rows else ["no changes"]:
        typer.echo(line)


def _act(
    ctx: typer.Context, incident: str, name: str, body: dict[str, Any], *, json: bool, server: str, token: str
) -> None:
    with Client(connection(ctx, server, token)) as client:
        changed = client.post(f"/api/v1/incidents/{incident}/{name}", body)
    if json:
        write_json(changed)
    else:
        typer.echo(incident_row(changed))


def _tell(found: dict[str, Any], *, json: bool) -> None:
    if json:
        write_json(found)
        return
    for line in incident_lines(found):
        typer.echo(line)


def _pairs(assignments: list[str] | None) -> dict[str, str]:
    pairs = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals:
            raise QueryError(f"--set {assignment!r} has no value; write it as --set name=value")
        pairs[name.strip()] = value.strip()
    return pairs


def _matchers(item: dict[str, Any]) -> str:
    return ", ".join(f"{name}={safe(value)}" for name, value in item["matchers"].items())
