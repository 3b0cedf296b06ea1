"""`watchkeeper status`: the ledger, sizes, rates, learning and problems of a running server."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import JsonOption, ServerOption, TokenOption, connection
from watchkeeper.cli.output import paint, table, write_json
from watchkeeper.cli.text import bytes_text, clock_text, duration_text, safe, warming_lines

app = typer.Typer()

_SECOND_NS = 1_000_000_000
_STATES = {"healthy": "green", "degraded": "yellow", "error": "red"}


@app.command()
def status(
    ctx: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew every second until Ctrl-C.")] = False,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Show what comes in and from whom, what is stored, what is being learned, and what is wrong."""
    with Client(connection(ctx, server, token)) as client:
        current = client.get("/api/v1/status")
        if json:
            write_json({**current, "ledger": client.get("/api/v1/ledger")["items"]})
        else:
            _show(current, client.get("/api/v1/ledger")["items"], clear=watch)
        if watch:
            for event in client.events("/api/v1/events"):
                if event.name == "status":
                    if json:
                        write_json(event.data)
                    else:
                        _show(event.data, client.get("/api/v1/ledger")["items"], clear=True)


def _show(current: dict[str, Any], ledger: list[dict[str, Any]], *, clear: bool) -> None:
    if clear and sys.stdout.isatty():
        typer.echo("\x1b[H\x1b[2J", nl=False)
    for line in status_lines(current, ledger):
        typer.echo(line)


def status_lines(current: dict[str, Any], ledger: list[dict[str, Any]]) -> list[str]:
    """Lay a Status and the ledger of the API out as text."""
    state = str(current["state"])
    endpoints = ", ".join(f"{name} {safe(str(url))}" for name, url in current["endpoints"].items() if url)
    lines = [
        f"Watchkeeper {current['version']} is {paint(state, _STATES.get(state), bold=True)}, up "
        f"{duration_text(int(float(current['uptime_s']) * _SECOND_NS))}; {endpoints}",
    ]
    lines += [f"  problem: {paint(safe(str(problem)), 'red')}" for problem in current["problems"]]
    found = current["findings"]
    lines.append(f"findings  {found['open']} open, {found['opened_1h']} opened in the last hour")
    lines += [_remote_write(row) for row in current.get("remote_write", [])]
    lines += ["", *_ingest(current), "", *_ledger(ledger), "", *_store(current["store"]), *_pipeline(current)]
    return lines


def _ingest(current: dict[str, Any]) -> list[str]:
    rows = [
        (
            name,
            *(f"{int(row[key]):,}" for key in ("accepted", "rejected", "dropped", "deduplicated")),
            f"{row['per_second']:,.1f}",
        )
        for name, row in current["ingest"].items()
    ]
    return table(("ingest", "accepted", "rejected", "dropped", "deduplicated", "per second"), rows, right=range(1, 6))


def _ledger(ledger: list[dict[str, Any]]) -> list[str]:
    if not ledger:
        return ["no sender yet; `watchkeeper replay FILE` sends a log file"]
    header = (
        "sender",
        "signal",
        "over",
        "requests",
        "accepted",
        "rejected",
        "dropped",
        "refused",
        "bytes",
        "last",
        "last error",
    )
    rows = [
        (
            row["sender"],
            row["signal"],
            row["protocol"],
            *(f"{int(row[key]):,}" for key in ("requests", "accepted", "rejected", "dropped", "refused")),
            bytes_text(int(row["bytes"])),
            clock_text(int(row["last_unix_ns"]))[:19],
            row["last_error"] or "",
        )
        for row in ledger
    ]
    return table(header, rows, right=range(3, 9))


def _store(store: dict[str, Any]) -> list[str]:
    rows = [
        (
            name,
            f"{int(row['rows']):,}",
            bytes_text(int(row["bytes"])),
            f"{int(row['segments']):,}",
            _moment(row["oldest_unix_ns"]),
            _moment(row["newest_unix_ns"]),
        )
        for name, row in store["signals"].items()
    ]
    lines = table(("stored", "rows", "bytes", "segments", "oldest", "newest"), rows, right=(1, 2, 3))
    lines.append(
        f"in {safe(str(store['folder']))}: {bytes_text(int(store['bytes']))}, "
        f"log {bytes_text(int(store['wal_bytes']))}, in memory {bytes_text(int(store['hot_bytes']))}, "
        f"disk free {bytes_text(int(store['disk_free_bytes']))}"
    )
    if int(store["quarantined"]):
        lines.append(paint(f"{store['quarantined']} damaged files were put aside", "yellow"))
    return lines


def _pipeline(current: dict[str, Any]) -> list[str]:
    pipeline = current["pipeline"]
    lines = [
        f"pipeline  {float(pipeline['lag_s']):.1f} s behind, {int(pipeline['pending_batches']):,} batches wait, "
        f"{int(pipeline['lines_mined']):,} lines mined into {int(pipeline['templates']):,} patterns"
    ]
    learning = current["learning"]
    if learning:
        warming = sum(row["state"] == "warming" for row in learning)
        lines.append(f"learning  {len(learning) - warming:,} services watched, {warming:,} warming up")
    return lines + [f"          {line}" for line in warming_lines(learning)]


def _remote_write(row: dict[str, Any]) -> str:
    """Tell how the sending on of own metrics fares."""
    fate = ", ".join(f"{int(row[name]):,} {name}" for name in ("sent", "rejected", "dropped"))
    failed = f"; last error: {safe(str(row['last_error']))}" if row["last_error"] else ""
    return f"own metrics to {safe(str(row['url']))} ({row['version']}): {fate}, {int(row['waiting']):,} wait{failed}"


def _moment(unix_ns: Any) -> str:
    return clock_text(int(unix_ns))[:19] if unix_ns and int(unix_ns) else "-"
