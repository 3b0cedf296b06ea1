"""`watchkeeper topology`: what is there and what depends on what, now or in the hour of a moment in the past."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import paint, write_json
from watchkeeper.cli.text import safe
from watchkeeper.errors import SettingError

app = typer.Typer()

HOUR_NS = 3_600 * 10**9
PROBLEMS_SHOWN_MAX = 20
_VERBS = {
    "calls": "calls",
    "runs_on": "runs on",
    "part_of": "is part of",
    "produces_to": "sends to",
    "consumes_from": "takes from",
}


@app.command()
def topology(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="Only this node, by id or name.")] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="The hour of: RFC 3339, Unix nanoseconds, 2h before now.")
    ] = "",
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="From; as --at.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to; as --at.")] = "",
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Show each node with what it depends on, and where a CMDB and what was seen disagree."""
    if at and (start or end):
        raise SettingError("--at gives the hour of one moment; leave --from and --to out beside it")
    with Client(connection(ctx, server, token)) as client:
        graph = client.get("/api/v1/topology", _asked(at, start, end))
    if node is not None:
        graph = _around(graph, node)
    if json:
        write_json(graph)
        return
    for line in topology_lines(graph):
        typer.echo(line)


def _asked(at: str, start: str, end: str) -> dict[str, str]:
    if not at:
        return {"from": start, "to": end}
    import time

    from watchkeeper.store.reads.times import parse_time

    hour_ns = parse_time(at, time.time_ns()) // HOUR_NS * HOUR_NS
    return {"from": str(hour_ns), "to": str(hour_ns + HOUR_NS)}


def _around(graph: dict[str, Any], wanted: str) -> dict[str, Any]:
    """Give one node with its edges; all of that name when no kind is given."""
    chosen = {one["id"] for one in graph["nodes"] if wanted in (one["id"], one["name"])}
    edges = [edge for edge in graph["edges"] if chosen & {edge["source"], edge["target"]}]
    near = chosen | {edge[end] for edge in edges for end in ("source", "target")}
    nodes = [one for one in graph["nodes"] if one["id"] in near]
    names = [text for each in nodes for text in (repr(each["name"]), each["id"])]
    problems = [one for one in graph["problems"] if any(name in one for name in names)]
    return {**graph, "nodes": nodes, "edges": edges, "problems": problems}


def topology_lines(graph: dict[str, Any]) -> list[str]:
    """Lay a graph out: each node that depends on something, and below it on what."""
    if not graph["nodes"]:
        return ["nothing was seen in this time"]
    targets: dict[str, list[dict[str, Any]]] = {}
    for edge in graph["edges"]:
        targets.setdefault(edge["source"], []).append(edge)
    kinds: dict[str, int] = {}
    lines: list[str] = []
    pointed = {edge["target"] for edge in graph["edges"]}
    for one in sorted(graph["nodes"], key=lambda each: (each["kind"] != "service", each["id"])):
        kinds[one["kind"]] = kinds.get(one["kind"], 0) + 1
        if one["id"] not in targets and one["id"] in pointed:
            continue
        lines.append(f"{paint(safe(one['id']), 'cyan')}{_about(one)}")
        lines += _edge_lines(targets.get(one["id"], []))
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    lines.append(f"{counts}; {len(graph['edges']):,} edges")
    problems = graph.get("problems", [])
    lines += [f"  {paint('cmdb', 'yellow')}  {safe(str(one))}" for one in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        lines.append(f"  and {len(problems) - PROBLEMS_SHOWN_MAX:,} more (--json shows all)")
    return lines


def _about(node: dict[str, Any]) -> str:
    told = node["attributes"]
    parts = [f"owner {told['owner']}" if told.get("owner") else "", "not seen" if told.get("seen") is False else ""]
    said = ", ".join(part for part in parts if part)
    return f"  ({safe(said)})" if said else ""


def _edge_lines(edges: Iterable[dict[str, Any]]) -> list[str]:
    lines = []
    for edge in sorted(edges, key=lambda each: (each["kind"], each["target"])):
        count, failed = int(edge["count"]), int(edge["attributes"].get("failed") or 0)
        times = f"  x{count:,}" if count else ""
        failures = paint(f", {failed:,} failed", "red") if failed else ""
        told = "" if edge["known_from"] == ["spans"] else f"  [{', '.join(edge['known_from'])}]"
        verb = _VERBS.get(edge["kind"], edge["kind"])
        lines.append(f"  {verb} {safe(edge['target'])}{times}{failures}{told}")
    return lines
