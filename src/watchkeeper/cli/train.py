"""`watchkeeper train`: train the log model of a watchlist on the server, follow it, cancel it; or a kind's, right here.

Enters: options. Leaves: a job on the server, its progress as a bar or as lines, an exit status of 1 where it did not
complete; or with `--kind` a version of the kind's model in the home folder, for which no server is needed.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from watchkeeper.cli.client import Client
from watchkeeper.cli.options import (
    ConfigOption,
    HomeOption,
    JsonOption,
    ServerOption,
    SetOption,
    TokenOption,
    connection,
    load_settings,
)
from watchkeeper.cli.output import table, write_json
from watchkeeper.cli.text import clock_text, duration_text, safe
from watchkeeper.errors import NotFound, WatchkeeperError

JOBS = "/api/v1/training/jobs"
STEP_PERCENT = 10.0

app = typer.Typer()


@app.command()
def train(
    ctx: typer.Context,
    watchlist: Annotated[str, typer.Option(metavar="NAME", help="Whose workloads are learned.")] = "default",
    last: Annotated[str, typer.Option(metavar="DURATION", help="How far back lines are read: 30m, 2h, 7d.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the progress until it ends.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the training of this watchlist.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Empty this watchlist and delete its model.")] = False,
    jobs: Annotated[bool, typer.Option("--list", help="List the jobs, the newest first.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show the log of the latest job of this watchlist.")] = False,
    kind: Annotated[str, typer.Option(metavar="KIND", help="Train a kind of logs from public data, here.")] = "",
    data: Annotated[str, typer.Option(metavar="NAME", help="With --kind: which public data set.")] = "",
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Train the log model of a watchlist, or with --kind that of a kind of logs; see also `watchkeeper models`."""
    if kind:
        _train_kind(kind, data, load_settings(assignments, config, home), json=json)
        return
    model = f"logs/{watchlist}"
    with Client(connection(ctx, server, token)) as client:
        if jobs:
            _list(client.get(JOBS)["items"], json=json)
            return
        if log:
            typer.echo(safe(client.get(f"{JOBS}/{_latest(client, model)['id']}/log")["text"], lines=True), nl=False)
            return
        if reset:
            _tell_reset(client.post(f"/api/v1/watchlists/{watchlist}/train", {"items": []}), watchlist, json=json)
            return
        if cancel:
            job = client.post(f"{JOBS}/{_latest(client, model)['id']}/cancel", {})
        elif follow and not last and _is_running(client, model):
            job = _follow(client, _latest(client, model), json=json)
        else:
            job = client.post(JOBS, {"watchlist": watchlist, **({"from": last} if last else {})})
            job = _follow(client, job, json=json) if follow else job
    _tell(job, json=json)
    if job["status"] == "training failed":
        raise typer.Exit(1)


def _latest(client: Client, model: str) -> Any:
    found = client.get(JOBS, {"name": model, "limit": 1})["items"]
    if not found:
        raise NotFound(f"there has been no training of {model}")
    return found[0]


def _is_running(client: Client, model: str) -> bool:
    found = client.get(JOBS, {"name": model, "limit": 1})["items"]
    return bool(found) and found[0]["status"] == "training"


def _list(items: list[Any], *, json: bool) -> None:
    if json:
        for item in items:
            write_json(item)
        return
    rows = [
        (
            each["id"],
            each["spec"]["name"],
            each["status"],
            each["stage"],
            f"{each['statistics']['percentage_completed']:.0f} %",
            clock_text(int(each["created_unix_ns"])),
            each["reason"],
        )
        for each in items
    ]
    for line in table(("id", "model", "status", "stage", "done", "since", "reason"), rows) if rows else ["no jobs"]:
        typer.echo(line)


class Shown(Protocol):
    """What shows the progress."""

    def show(self, statistics: Mapping[str, Any]) -> None:
        """Show Statistics."""


class Lines:
    """Progress as lines: one for each stage and every STEP_PERCENT, for pipes and files."""

    def __init__(self) -> None:
        self._told = ("", -1)

    def show(self, statistics: Mapping[str, Any]) -> None:
        """Write a line when there is news."""
        step = int(statistics["percentage_completed"] // STEP_PERCENT)
        if (statistics["stage"], step) != self._told:
            self._told = (statistics["stage"], step)
            typer.echo(_progress_text(statistics), err=True)


class Bar:
    """Progress as a bar that is redrawn."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=100.0, told="")

    def show(self, statistics: Mapping[str, Any]) -> None:
        """Redraw."""
        done = statistics["percentage_completed"]
        self._progress.update(self._task, completed=done, told=_progress_text(statistics))


@contextmanager
def _shown(*, json: bool) -> Iterator[Shown]:
    if json or not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.fields[told]}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress)


def _progress_text(told: Mapping[str, Any]) -> str:
    parts = [f"{told['percentage_completed']:5.1f} %", str(told["stage"])]
    if told["current_epoch"]:
        parts.append(f"epoch {told['current_epoch']}")
    parts.append(f"{duration_text(int(told['time_elapsed_s'] * 1e9))} gone")
    if told["remaining_time_s"] is not None:
        parts.append(f"{duration_text(int(told['remaining_time_s'] * 1e9))} left")
    if told["model_accuracy"] is not None:
        parts.append(f"accuracy {told['model_accuracy']:.3f}")
    return "  ".join(parts)


def _follow(client: Client, job: Any, *, json: bool) -> Any:
    """Show a job until it ends; Ctrl-C leaves it running."""
    with _shown(json=json) as shown:
        for event in client.events(f"{JOBS}/{job['id']}/stream"):
            if event.name == "job":
                job = event.data
                shown.show(job["statistics"])
            if job["status"] != "training":
                return job
    return job


def _tell_reset(decided: Any, watchlist: str, *, json: bool) -> None:
    if json:
        write_json(decided)
        return
    removed = len(decided["removed"])
    typer.echo(f"watchlist {safe(watchlist)} is empty, its model is deleted; it had learned {removed:,} workloads")


def _tell(job: Any, *, json: bool) -> None:
    if json:
        write_json(job)
        return
    reason = f": {job['reason']}" if job["reason"] else ""
    typer.echo(f"{job['id']} {safe(job['spec']['name'])} {job['status']}{safe(reason)}")
    if job["status"] == "training":
        typer.echo("  follow it with: watchkeeper train --follow")
    if job["status"] == "completed" and job["result"]:
        quality, previous = job["result"]["quality"], job["result"]["previous"]
        before = f", the version before {previous['held_out_accuracy']:.4f}" if previous else ""
        typer.echo(f"  accuracy on {job['result']['trained_on']['held_out']}: {quality['model_accuracy']:.4f}{before}")
        unheard = job["result"]["trained_on"].get("without_lines", ())
        if unheard:
            typer.echo(f"  no line of {len(unheard):,} workloads was there, which are not watched yet; see --log")
        state = "active now" if job["result"]["promoted"] else "a candidate: watchkeeper models promote"
        typer.echo(f"  version {job['version']} is {state}; {safe(job['result']['verdict']['why'])}")


def _train_kind(name: str, data: str, settings: Any, *, json: bool) -> None:
    from watchkeeper.app.training import require_learning

    require_learning()
    from watchkeeper.models.versions import ModelVersions
    from watchkeeper.store.layout import Layout
    from watchkeeper.store.metadata import Metadata
    from watchkeeper.training.kinds import kind_of, kinds, publish_kind, train_kind

    file = settings.path("log_kinds_file") if settings.text("log_kinds_file") else None
    kind = kind_of(name, kinds(file))
    layout = Layout(settings.path("home").resolve())
    layout.prepare()
    checkpoint = layout.home / "training" / f"kind-{name}"
    begun_s = time.monotonic()
    with _shown(json=json) as shown:

        def told(progress: Any) -> None:
            shown.show(
                {
                    "stage": "train",
                    "percentage_completed": progress.percent,
                    "current_epoch": progress.epoch,
                    "time_elapsed_s": time.monotonic() - begun_s,
                    "remaining_time_s": progress.remaining_s,
                    "model_accuracy": progress.accuracy,
                }
            )

        try:
            model, card = train_kind(kind, data=data, folder=_data_folder(settings), told=told, checkpoint=checkpoint)
        except ValueError as error:
            raise WatchkeeperError(f"the kind {name} cannot be trained: {error}") from error
    metadata = Metadata(layout.metadata)
    try:
        versions = ModelVersions(metadata, layout.home / "models", keep=settings.integer("model_versions_max"))
        version = publish_kind(versions, kind, model, card, who="watchkeeper train", why="trained from public data")
        shutil.rmtree(checkpoint, ignore_errors=True)
    finally:
        metadata.close()
    if json:
        write_json(version.as_dict())
        return
    typer.echo(f"{kind.model} version {version.number} is active; learned from {card.trained_on['lines']:,} lines")


def _data_folder(settings: Any) -> Path:
    folder: Path = settings.path("data")
    return folder
