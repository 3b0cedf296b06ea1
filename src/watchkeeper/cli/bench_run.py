"""Running cells from the command line: progress with the time left, an end by Ctrl-C in order, a record run again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from watchkeeper.cli.main import EXIT_INTERRUPTED
from watchkeeper.errors import WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.bench.cells import Cell
    from watchkeeper.bench.discover import Catalogue
    from watchkeeper.bench.progress import HowFar
    from watchkeeper.bench.room import Folders, Limits


def run_shown(
    cells: list[Cell], folders: Folders, limits: Limits, seeds: tuple[int, ...] = (), *, announced: str = ""
) -> int:
    """Run cells with progress and time left on the standard error, after `announced`; gives how many failed.

    Raises typer.Exit with the status of an interrupt when it is interrupted, after telling how to go on.
    """
    ahead = {cell.id for cell in cells}
    try:
        if announced:
            typer.echo(announced, err=True)
        return _run_told(cells, ahead, folders, limits, seeds)
    except KeyboardInterrupt:
        typer.echo(f"\ninterrupted: {len(cells) - len(ahead)} cells are done, {len(ahead)} are not", err=True)
        typer.echo(f"go on with the same command: {shlex.join(['watchkeeper', *sys.argv[1:]])}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _run_told(cells: list[Cell], ahead: set[str], folders: Folders, limits: Limits, seeds: tuple[int, ...]) -> int:
    """Run cells and tell each; those that are done leave `ahead`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from watchkeeper.bench.durations import Durations
    from watchkeeper.bench.records import DONE, FAILED
    from watchkeeper.bench.runner import run_cells

    durations = Durations(folders.cache)
    expected = durations.expected_s(cells)
    failed = 0
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(cells))

        def told(cell: Cell, record: dict[str, Any]) -> None:
            nonlocal failed
            durations.keep(record)
            ahead.discard(cell.id)
            failed += record["state"] == FAILED
            left = span(sum(expected[name] for name in ahead) / limits.workers)
            word = record["state"] if record["state"] == DONE else f"{record['state'].upper()}: {record['reason']}"
            progress.update(bar, advance=1, description=f"about {left} left")
            progress.console.print(
                f"[{len(cells) - len(ahead)}/{len(cells)}, about {left} left] {cell.id}: {word}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

        def far(cell: Cell, how: HowFar) -> None:
            text = f"{cell.id}: {how.doing} {how.percent:.0f} %, {span(how.remaining_s)} of it left"
            progress.update(bar, description=text)

        run_cells(cells, folders, limits, told, seeds, expected, far)
    if ahead:
        typer.echo(
            f"{len(ahead)} cells were not begun: {limits.minutes:g} minutes are over; the same command goes on",
            err=True,
        )
    return failed


def keep_board(known: Catalogue, folders: Folders) -> None:
    """Write the scoreboard of all that has a record, for the page."""
    from watchkeeper.bench.cells import Chosen, plan
    from watchkeeper.bench.output.board import board
    from watchkeeper.bench.output.plain import write_board

    write_board(folders.out, board(plan(known, Chosen(), folders.data), folders.out))


def tell_skipped(cells: list[Cell]) -> None:
    """Tell the cells that cannot be run, those of one reason together."""
    from watchkeeper.bench.output.words import grouped

    for each in grouped((cell.skipped, cell) for cell in cells):
        typer.echo(f"skipped, {each}", err=True)


def span(seconds: float) -> str:
    """Write a time to come: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def run_again(path: Path, folders: Folders, limits: Limits) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the cell of a record with its seeds into the folder `again` beside the records; gives both records.

    Trains anew, whatever is kept: what is taken over would be the same by itself.
    """
    from watchkeeper.bench.cells import absence, cell_of, unmet
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.bench.records import DONE, find_record, read_record
    from watchkeeper.bench.room import Folders

    record = read_record(path)
    use = tuple(record.get("use", ()))
    apart = Folders(folders.out / "again", folders.data, folders.cache, use, shares=False)
    cell = cell_of(catalogue(apart.use), record["id"])
    reason = cell.enhancement.applies(cell.subject) or unmet(cell.model, cell.data) or absence(cell.data, apart.data)
    if reason:
        raise WatchkeeperError(f"{record['id']} cannot be run here: {reason}")
    for told in changed(record, cell, apart.data):
        typer.echo(f"note: {told}", err=True)
    run_shown([cell], apart, limits, tuple(record.get("seeds", ())))
    fresh = find_record(apart.out, record["id"])
    if fresh is None or fresh["state"] != DONE:
        reason = fresh["reason"] if fresh else "it was not run"
        raise WatchkeeperError(f"{record['id']} was not measured again: {reason}; its record is in {apart.out}")
    return record, fresh


def changed(record: dict[str, Any], cell: Cell, data: Path) -> list[str]:
    """Tell what is not as it was when the record was made: parameters, data sets in the folder, commit, versions."""
    from watchkeeper.bench.measure import about

    now = about(cell, data)
    told = []
    for name in ("parameters", "sources", "commit", "versions"):
        before, after = record.get(name), now[name]
        if before != after:
            told.append(f"{name} were {_short(before, after)} when the record was made, now {_short(after, before)}")
    return told


def _short(one: Any, other: Any) -> Any:
    """Give what differs of a mapping, or the whole of anything else."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: value for name, value in one.items() if other.get(name) != value}
    return one or "unknown"
