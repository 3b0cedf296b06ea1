"""`watchkeeper watch`: which workloads a log model is to learn and to watch, by cluster, namespace and deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import table, write_json
from watchkeeper.cli.text import safe

app = typer.Typer(no_args_is_help=True)

ListOption = Annotated[str, typer.Option("--watchlist", metavar="NAME", help="Which watchlist.")]
WorkloadsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="WORKLOAD...", help="deployment, namespace/deployment or cluster/namespace/deployment; * and ? match."
    ),
]


@app.callback()
def watch() -> None:
    """Choose what a log model learns and watches; `watchkeeper train` submits what is chosen."""


@app.command()
def add(
    ctx: typer.Context,
    workloads: WorkloadsArgument,
    watchlist: ListOption = "default",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Add workloads that sent logs in the last hour, by wildcards, or one by its full name."""
    with Client(connection(ctx, server, token)) as client:
        edited = client.post(f"/api/v1/watchlists/{watchlist}/edit", {"add": workloads})
    _tell(edited, "added", json=json)


@app.command()
def remove(
    ctx: typer.Context,
    workloads: WorkloadsArgument,
    watchlist: ListOption = "default",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Take workloads from a watchlist, by wildcards; `'*'` takes all."""
    with Client(connection(ctx, server, token)) as client:
        edited = client.post(f"/api/v1/watchlists/{watchlist}/edit", {"remove": workloads})
    _tell(edited, "removed", json=json)


@app.command("list")
def list_workloads(
    ctx: typer.Context,
    watchlist: Annotated[
        str, typer.Option("--watchlist", metavar="NAME", help="Only this one; all, if left out.")
    ] = "",
    known: Annotated[
        bool, typer.Option("--known", help="List every workload that sent logs in the last hour instead.")
    ] = False,
    match: Annotated[str, typer.Option(metavar="PATTERN", help="With --known: only those that match.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="With --known: workloads at the most.")] = 1_000,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """List watchlists with their log counts of the last hour, and how far each one's model is."""
    with Client(connection(ctx, server, token)) as client:
        if known:
            found = client.get("/api/v1/workloads", {"match": match, "limit": limit})
            if json:
                write_json(found)
            else:
                _show_known(found)
            return
        path = "/api/v1/watchlists"
        lists = [client.get(f"{path}/{watchlist}")] if watchlist else client.get(path)["items"]
    for each in lists:
        if json:
            write_json(each)
        else:
            _show(each)


def _tell(edited: Mapping[str, Any], what: str, *, json: bool) -> None:
    if json:
        write_json(edited)
        return
    changed = edited[what]
    typer.echo(f"{len(changed):,} {what}{':' if changed else '; all of them were so already'}")
    for each in changed:
        typer.echo(f"  {_name(each)}")
    _show(edited)


def _show(each: Mapping[str, Any]) -> None:
    status = each["status"]
    stage = f", {status['stage']}" if status["status"] == "training" else ""
    reason = f": {safe(status['reason'])}" if status["reason"] else ""
    typer.echo(f"watchlist {safe(each['name'])}: {status['status']}{stage}{reason}")
    trained = {_name(item) for item in each["trained"]}
    rows = [
        (item["cluster_id"], item["namespace"], item["deployment"], f"{item['log_count']:,}", _state(item, trained))
        for item in each["items"]
    ]
    _table(("cluster", "namespace", "deployment", "logs in the hour", "model"), rows)
    if not rows:
        typer.echo("  nothing is chosen; watchkeeper watch add WORKLOAD")
    if not each["is_submitted"]:
        typer.echo(f"  not submitted yet; watchkeeper train{'' if rows else ' --reset, which deletes the model'}")


def _show_known(found: Mapping[str, Any]) -> None:
    rows = [
        (
            item["cluster_id"],
            item["namespace"],
            item["deployment"],
            f"{item['log_count']:,}",
            ", ".join(item["watchlists"]),
        )
        for item in found["items"]
    ]
    _table(("cluster", "namespace", "deployment", "logs in the hour", "watchlists"), rows)
    if found["total"] > len(rows):
        typer.echo(f"  and {found['total'] - len(rows):,} more; --limit, --match")
    if not rows:
        typer.echo("no workload sent logs in the last hour" if found["state"] == "no data" else found["state"])
    if found["problem"]:
        typer.echo(safe(found["problem"]))
    if found["left_out"]:
        typer.echo(f"{found['left_out']:,} lines are of workloads beyond the bound, which are not listed")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    told = list(rows)
    for line in table(header, told, right=(3,)) if told else ():
        typer.echo(f"  {line}")


def _state(item: Mapping[str, Any], trained: set[str]) -> str:
    return "trained" if _name(item) in trained else ""


def _name(item: Mapping[str, Any]) -> str:
    return safe("/".join((item["cluster_id"], item["namespace"], item["deployment"])))
