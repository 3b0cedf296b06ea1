"""`watchkeeper bench`: measures models on public data and on a user's own, and shows what came of it."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchkeeper.cli.options import JsonOption, SetOption, load_settings
from watchkeeper.errors import WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.bench.cells import Cell, Chosen
    from watchkeeper.bench.discover import Catalogue
    from watchkeeper.bench.output.board import Table
    from watchkeeper.bench.room import Folders

app = typer.Typer(help="Measure models on tasks, beside trivial baselines.", no_args_is_help=True)

TaskOption = Annotated[list[str] | None, typer.Option("--task", metavar="PATTERN", help="Tasks; may be repeated.")]
DataOption = Annotated[list[str] | None, typer.Option("--data", metavar="PATTERN", help="Data sets; may be repeated.")]
ModelOption = Annotated[list[str] | None, typer.Option("--models", metavar="PATTERN", help="Models; may be repeated.")]
EnhanceOption = Annotated[
    list[str] | None, typer.Option("--enhance", metavar="PATTERN", help="Enhancements; may be repeated.")
]
SuiteOption = Annotated[str, typer.Option("--suite", metavar="quick|full", help="A named choice of cells.")]
UseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--use", metavar="FILE.py|MODULE", help="Your own tasks, data, models, enhancements; may be repeated."
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Folder of records, HOME/bench.")]
PlanArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[PLAN.toml]", help="File with task, data, models, enhance, suite, use instead of options."),
]


def _folders(out: Path | None, use: list[str] | None, assignments: list[str] | None) -> Folders:
    from watchkeeper.bench.room import Folders

    settings = load_settings(assignments)
    home = settings.path("home") / "bench"
    return Folders(out or home / "records", settings.path("data"), home / "cache", tuple(use or ()))


def _planned(chosen: Chosen, folders: Folders) -> tuple[Catalogue, list[Cell]]:
    from watchkeeper.bench.cells import plan
    from watchkeeper.bench.discover import catalogue

    known = catalogue(folders.use)
    return known, plan(known, chosen, folders.data)


def _chosen(
    task: list[str] | None, data: list[str] | None, models: list[str] | None, enhance: list[str] | None, suite: str
) -> Chosen:
    from watchkeeper.bench.cells import Chosen

    every = ["*"]
    return Chosen(
        _split(task) or every, _split(data) or every, _split(models) or every, _split(enhance) or every, suite
    )


def _split(patterns: list[str] | None) -> list[str]:
    return [each.strip() for pattern in patterns or () for each in pattern.split(",") if each.strip()]


@app.command("list")
def list_all(json: JsonOption = False, use: UseOption = None, assignments: SetOption = None) -> None:
    """List tasks, data sets, models and enhancements with what each needs."""
    from watchkeeper.bench.cells import absence
    from watchkeeper.bench.discover import catalogue

    folder = load_settings(assignments).path("data")
    known = catalogue(use or ())
    tasks = [known.tasks.get(name) for name in known.tasks]
    data = [known.data.get(name) for name in known.data]
    models = [known.models.get(name) for name in known.models]
    enhancements = [known.enhancements.get(name) for name in known.enhancements]
    if json:
        from watchkeeper.cli.output import write_json

        write_json(
            {
                "tasks": [
                    {"name": one.name, "stage": one.stage, "metrics": [m.name for m in one.metrics]} for one in tasks
                ],
                "data": [
                    {
                        "id": one.id,
                        "task": one.task,
                        "form": one.form,
                        "labels": one.labels,
                        "about": one.about,
                        "missing": absence(one, folder),
                    }
                    for one in data
                ],
                "models": [
                    {
                        "name": one.name,
                        "forms": one.forms,
                        "trivial": one.trivial,
                        "random": one.random,
                        "needs": one.needs,
                        "about": one.about,
                    }
                    for one in models
                ],
                "enhancements": [{"name": one.name, "about": one.about} for one in enhancements],
            }
        )
        return
    for task in tasks:
        typer.echo(f"{task.name}  ({task.stage}): {task.about}")
        typer.echo(f"    metrics: {', '.join(metric.name for metric in task.metrics)}")
        for each in (one for one in data if one.task == task.name):
            typer.echo(f"    {each.id}  [{each.form}] {each.about}")
            if absence(each, folder):
                typer.echo(f"        {absence(each, folder)}")
    typer.echo("\nModels:")
    for model in models:
        kind = "baseline: " if model.trivial else ""
        needs = f"; needs {', '.join(model.needs)}" if model.needs else ""
        typer.echo(f"    {model.name}  [{', '.join(model.forms)}] {kind}{model.about}{needs}")
    typer.echo("\nEnhancements:")
    for enhancement in enhancements:
        typer.echo(f"    {enhancement.name}  {enhancement.about}")


@app.command("run")
def run(
    plan: PlanArgument = None,
    task: TaskOption = None,
    data: DataOption = None,
    models: ModelOption = None,
    enhance: EnhanceOption = None,
    suite: SuiteOption = "",
    use: UseOption = None,
    out: OutOption = None,
    cell_seconds: Annotated[float, typer.Option(min=1.0, help="Time that one cell may take.")] = 1_800.0,
    cell_memory: Annotated[int, typer.Option(min=64, metavar="MIB", help="Memory that one cell may take.")] = 4_096,
    memory: Annotated[int, typer.Option(min=64, metavar="MIB", help="Memory of all cells at once.")] = 8_192,
    at_once: Annotated[int, typer.Option(min=0, help="Cells at once; 0: as many as cores.")] = 0,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed cells again.")] = False,
    again: Annotated[Path | None, typer.Option(metavar="RECORD", help="Run a record's cell again and compare.")] = None,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Run cells that have no record yet; what is interrupted goes on where it stopped."""
    from watchkeeper.bench.room import Limits
    from watchkeeper.bench.runner import todo

    limits = Limits(cell_seconds, cell_memory, memory, at_once)
    if again is not None:
        _run_again(again, limits, out, assignments)
        return
    chosen = _chosen(task, data, models, enhance, suite)
    if plan is not None:
        chosen, use = _from_file(plan)
    folders = _folders(out, use, assignments)
    _, cells = _planned(chosen, folders)
    ahead = todo(cells, folders.out, retry=retry)
    skipped = [cell for cell in cells if cell.skipped]
    typer.echo(
        f"{len(cells)} cells: {len(ahead)} to run, {len(cells) - len(ahead) - len(skipped)} done before, "
        f"{len(skipped)} skipped; records in {folders.out}",
        err=True,
    )
    failed = _run_shown(ahead, folders, limits)
    for cell in skipped:
        typer.echo(f"skipped: {cell.id}: {cell.skipped}", err=True)
    _show(chosen, folders, json=json)
    if failed:
        raise WatchkeeperError(f"{failed} of {len(ahead)} cells failed; `watchkeeper bench show` has the reasons")


def _run_shown(cells: list[Cell], folders: Folders, limits: Any, seeds: tuple[int, ...] = ()) -> int:
    """Run cells with progress and time left on the standard error; gives how many failed."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from watchkeeper.bench.records import FAILED
    from watchkeeper.bench.runner import run_cells

    failed = 0
    console = Console(stderr=True)
    begun_s = time.monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("cells", total=len(cells))
        count = 0

        def told(cell: Cell, record: dict[str, Any]) -> None:
            nonlocal failed, count
            count += 1
            failed += record["state"] == FAILED
            left_s = (time.monotonic() - begun_s) / count * (len(cells) - count)
            word = record["state"] if record["state"] != FAILED else f"FAILED: {record['reason']}"
            progress.advance(bar)
            progress.console.print(
                f"[{count}/{len(cells)}, {left_s:.0f} s left] {cell.id}: {word}", markup=False, highlight=False
            )

        run_cells(cells, folders, limits, told, seeds)
    return failed


def _run_again(path: Path, limits: Any, out: Path | None, assignments: list[str] | None) -> None:
    """Run the cell of a record with its seeds, into the folder `again` beside the records, and compare."""
    from watchkeeper.bench.cells import cell_of
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.bench.records import find_record, read_record
    from watchkeeper.bench.room import Folders

    record = read_record(path)
    folders = _folders(out, record.get("use", []), assignments)
    apart = Folders(folders.out / "again", folders.data, folders.cache, folders.use)
    known = catalogue(folders.use)
    cell = cell_of(known, record["id"])
    if _run_shown([cell], apart, limits, tuple(record.get("seeds", ()))):
        raise WatchkeeperError(f"{record['id']} failed; its record is in {apart.out}")
    fresh = find_record(apart.out, record["id"])
    if fresh is not None and record["state"] == "done":
        _tell_comparison(known, [(record, fresh)])


def _from_file(path: Path) -> tuple[Chosen, list[str]]:
    """Read a plan: TOML with lists of patterns."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WatchkeeperError(f"the plan {path} cannot be read: {error}") from error
    unknown = set(told) - {"task", "data", "models", "enhance", "suite", "use"}
    if unknown:
        raise WatchkeeperError(f"the plan {path} has unknown keys: {', '.join(sorted(unknown))}")
    lists = {key: [value] if isinstance(value, str) else list(value) for key, value in told.items() if key != "suite"}
    chosen = _chosen(
        lists.get("task"), lists.get("data"), lists.get("models"), lists.get("enhance"), str(told.get("suite", ""))
    )
    return chosen, lists.get("use", [])


@app.command("show")
def show(
    task: TaskOption = None,
    data: DataOption = None,
    models: ModelOption = None,
    enhance: EnhanceOption = None,
    suite: SuiteOption = "",
    use: UseOption = None,
    out: OutOption = None,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Show the tables: figures with 95 % intervals, cost, baselines, what failed and what was skipped."""
    _show(_chosen(task, data, models, enhance, suite), _folders(out, use, assignments), json=json)


def _show(chosen: Chosen, folders: Folders, *, json: bool) -> None:
    from watchkeeper.bench.output.board import board
    from watchkeeper.bench.output.words import cells, header
    from watchkeeper.cli.output import table as laid_out
    from watchkeeper.cli.output import write_json

    _, planned = _planned(chosen, folders)
    tables = board(planned, folders.out)
    if json:
        write_json([_plain_table(each) for each in tables])
        return
    for each in tables:
        typer.echo(f"\n{each.task.name}/{each.data.id}: {each.data.about}; judged by {each.headline.name}")
        columns = min(len(each.metrics), 5)
        rows = [cells(each, row, columns) for row in each.rows]
        for line in laid_out(header(each, columns), rows):
            typer.echo(f"  {line}")


def _plain_table(each: Table) -> dict[str, Any]:
    return {
        "task": each.task.name,
        "data": each.data.id,
        "headline": each.headline.name,
        "cells": [
            {
                "id": row.cell.id,
                "state": row.state,
                "reason": row.reason,
                "loses_to": row.loses_to,
                "figures": row.record["figures"] if row.record and row.state == "done" else {},
                "seconds": row.record["seconds"] if row.record and row.state == "done" else {},
            }
            for row in each.rows
        ],
    }


@app.command("report")
def report(
    target: Annotated[Path, typer.Option("--html", metavar="FILE", help="The page to write.")] = Path("bench.html"),
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown as well.")] = None,
    suite: SuiteOption = "full",
    use: UseOption = None,
    out: OutOption = None,
    assignments: SetOption = None,
) -> None:
    """Write one page with all tables, intervals, cost and plots, and the tables as Markdown."""
    from watchkeeper.bench.output.board import board
    from watchkeeper.bench.output.markdown import markdown_page
    from watchkeeper.bench.output.page import html_page

    folders = _folders(out, use, assignments)
    _, planned = _planned(_chosen(None, None, None, None, suite), folders)
    tables = board(planned, folders.out)
    target.write_text(html_page(tables), encoding="utf-8")
    typer.echo(f"{target}")
    if markdown is not None:
        markdown.write_text(markdown_page(tables), encoding="utf-8")
        typer.echo(f"{markdown}")


@app.command("compare")
def compare_two(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A cell's id, a record, or a folder of records.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="What to hold against it.")],
    check: Annotated[bool, typer.Option("--check", help="Fail when something is worse beyond its tolerance.")] = False,
    use: UseOption = None,
    out: OutOption = None,
    assignments: SetOption = None,
) -> None:
    """Compare two cells or two runs: change, direction, tolerance, and the paired interval of the difference."""
    from watchkeeper.bench.compare import find, pairs
    from watchkeeper.bench.discover import catalogue

    folders = _folders(out, use, assignments)
    known = catalogue(folders.use)
    worse = _tell_comparison(known, pairs(find(first, folders.out), find(second, folders.out)))
    if check and worse:
        raise WatchkeeperError(f"{worse} figures are worse beyond their tolerance")


def _tell_comparison(known: Catalogue, both: list[tuple[dict[str, Any], dict[str, Any]]]) -> int:
    from watchkeeper.bench.compare import compare
    from watchkeeper.bench.output.words import number
    from watchkeeper.cli.output import table as laid_out

    worse = 0
    for one, other in both:
        lines = compare(known.tasks.get(one["task"]), one, other)
        worse += sum(line.verdict == "worse" for line in lines)
        typer.echo(f"\n{one['id']}\n  against {other['id']} ({other['date']}, {other['commit'] or 'no commit'})")
        rows = [
            (
                line.metric.name,
                "higher" if line.metric.higher_is_better else "lower",
                number(line.first),
                number(line.second),
                f"{line.change:+.4f}",
                f"{line.metric.tolerance:g}",
                line.verdict,
                f"[{line.paired.low:+.4f}, {line.paired.high:+.4f}]" if line.paired else "-",
            )
            for line in lines
        ]
        for text in laid_out(
            ("metric", "better", "first", "second", "change", "tolerance", "verdict", "paired 95 %"), rows
        ):
            typer.echo(f"  {text}")
    return worse


@app.command("audit")
def audit_all(use: UseOption = None) -> None:
    """Fail when something registered is neither measured in the full suite nor excluded with a reason."""
    from watchkeeper.bench.audit import audit, product
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.bench.excluded import EXCLUDED

    complaints = audit(catalogue(use or ()))
    for name, why in EXCLUDED.items():
        typer.echo(f"excluded: {name}: {why}")
    for each in complaints:
        typer.echo(f"missing: {each}")
    if complaints:
        raise WatchkeeperError(f"{len(complaints)} complaints of the audit")
    typer.echo(f"all of {len(product())} registered rankers and data sets are measured or excluded with a reason")
