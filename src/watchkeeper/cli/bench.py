"""`watchkeeper bench`: measures models on public data and on a user's own, and shows what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchkeeper.cli.bench_plan import chosen_of, folders_of, from_file, planned
from watchkeeper.cli.bench_record import record
from watchkeeper.cli.bench_run import keep_board, run_again, run_shown, tell_skipped
from watchkeeper.cli.options import JsonOption, SetOption, load_settings
from watchkeeper.errors import WatchkeeperError

if TYPE_CHECKING:
    from watchkeeper.bench.cells import Chosen
    from watchkeeper.bench.compare import Unpaired
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
        "--use", metavar="FILE|MODULE", help="Your own tasks, data, models, enhancements (.py, .toml); may be repeated."
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Folder of records, HOME/bench.")]
PlanArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PLAN]", help="TOML or YAML file with task, data, models, enhance, suite, use instead of options."
    ),
]


@app.command("list")
def list_all(json: JsonOption = False, use: UseOption = None, assignments: SetOption = None) -> None:
    """List tasks, data sets, models and enhancements with what each needs."""
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.cli.bench_list import list_text, listed
    from watchkeeper.cli.output import write_json

    told = listed(catalogue(use or ()), load_settings(assignments).path("data"))
    if json:
        write_json(told)
        return
    for line in list_text(told):
        typer.echo(line)


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
    cell_seconds: Annotated[
        float, typer.Option(min=0.0, help="Time that one cell may take; 0: what the suite gives, or 1800.")
    ] = 0.0,
    cell_memory: Annotated[int, typer.Option(min=64, metavar="MIB", help="Memory that one cell may take.")] = 4_096,
    memory: Annotated[int, typer.Option(min=64, metavar="MIB", help="Memory of all cells at once.")] = 8_192,
    at_once: Annotated[int, typer.Option(min=0, help="Cells at once; 0: as many as cores.")] = 0,
    minutes: Annotated[
        float, typer.Option(min=0.0, help="Begin no cell after that time; 0: as the suite has it, or no end.")
    ] = 0.0,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed cells again.")] = False,
    again: Annotated[Path | None, typer.Option(metavar="RECORD", help="Run a record's cell again and compare.")] = None,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Run cells that have no record yet; what is interrupted goes on where it stopped.

    Exit status 1 when a cell failed, 130 when it was interrupted.
    """
    from watchkeeper.bench.room import Limits
    from watchkeeper.bench.runner import todo
    from watchkeeper.bench.suites import suite_of

    if again is not None:
        limits = Limits(cell_seconds or 1_800.0, cell_memory, memory, at_once)
        pair = run_again(again, folders_of(out, use, assignments), limits)
        _tell_comparison([pair], use or (), json=json)
        return
    chosen = chosen_of(task, data, models, enhance, suite)
    if plan is not None:
        if task or data or models or enhance or suite:
            raise typer.BadParameter("a plan tells what to run; leave out --task, --data, --models, --enhance, --suite")
        chosen, more = from_file(plan)
        use = [*(use or ()), *more]
    named = suite_of(chosen.suite)
    cell_s = cell_seconds or (named.cell_s if named else 1_800.0)
    limits = Limits(
        cell_s,
        cell_memory,
        memory,
        at_once,
        minutes or (named.minutes if named else 0.0),
        named.name if named and not cell_seconds else "",
    )
    folders = folders_of(out, use, assignments)
    known, cells = planned(chosen, folders)
    ahead = todo(cells, folders.out, retry=retry, cell_s=cell_s)
    skipped = [cell for cell in cells if cell.skipped]
    announced = (
        f"{len(cells)} cells: {len(ahead)} to run, {len(cells) - len(ahead) - len(skipped)} done before, "
        f"{len(skipped)} skipped; records in {folders.out}"
    )
    try:
        failed = run_shown(ahead, folders, limits, announced=announced)
    finally:
        keep_board(known, folders)
    if json:
        tell_skipped(skipped)
    _show(chosen, folders, json=json, summary=True)
    if failed:
        raise WatchkeeperError(f"{failed} of {len(ahead)} cells failed; `watchkeeper bench show` has the reasons")


@app.command("show")
def show(
    task: TaskOption = None,
    data: DataOption = None,
    models: ModelOption = None,
    enhance: EnhanceOption = None,
    suite: SuiteOption = "",
    use: UseOption = None,
    out: OutOption = None,
    summary: Annotated[bool, typer.Option("--summary", help="One line of each data set: best cell, baseline.")] = False,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Show the tables: figures with 95 % intervals, cost, baselines, what failed and what was skipped."""
    chosen, folders = chosen_of(task, data, models, enhance, suite), folders_of(out, use, assignments)
    if summary:
        from watchkeeper.bench.output.board import board

        _, cells_ = planned(chosen, folders)
        _summarize(board(cells_, folders.out), json=json)
        return
    _show(chosen, folders, json=json)


def _summarize(tables: Sequence[Table], *, json: bool) -> None:
    """Show a line of each table; that of the terminal says at its end what the words mean."""
    from watchkeeper.bench.output.glance import GLANCE_ABOUT, HEADER, glances, plain_glance
    from watchkeeper.cli.output import table as laid_out
    from watchkeeper.cli.output import write_json

    found = glances(tables)
    if json:
        write_json([plain_glance(each) for each in found])
        return
    if not found:
        typer.echo("Nothing was measured of these cells; `watchkeeper bench run` does.")
        return
    for line in laid_out(HEADER, [each.words() for each in found], right=(5, 7)):
        typer.echo(line)
    typer.echo(f"\n{GLANCE_ABOUT}")


def _show(chosen: Chosen, folders: Folders, *, json: bool, summary: bool = False) -> None:
    """Show the tables of the chosen cells; where there are several, and in the terminal, the summary below them."""
    from watchkeeper.bench.output.board import board
    from watchkeeper.bench.output.plain import plain_table
    from watchkeeper.bench.output.words import cells, grouped, header
    from watchkeeper.bench.records import SKIPPED
    from watchkeeper.cli.output import table as laid_out
    from watchkeeper.cli.output import write_json

    _, cells_ = planned(chosen, folders)
    tables = board(cells_, folders.out)
    if json:
        write_json([plain_table(each) for each in tables])
        return
    for each in tables:
        typer.echo(f"\n{each.task.name}/{each.data.id}: {each.data.about}; judged by {each.headline.name}")
        columns = min(len(each.metrics), 5)
        rows = [cells(each, row, columns) for row in each.rows if row.state != SKIPPED]
        for line in laid_out(header(each, columns), rows):
            typer.echo(f"  {line}")
        for line in grouped((row.reason, row.cell) for row in each.rows if row.state == SKIPPED):
            typer.echo(f"  skipped, {line}")
    if summary and len(tables) > 1:
        typer.echo("")
        _summarize(tables, json=False)


@app.command("report")
def report(
    target: Annotated[Path, typer.Option("--html", metavar="FILE", help="The page to write.")] = Path("bench.html"),
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write Markdown as well, plots in a folder beside it.")
    ] = None,
    suite: SuiteOption = "full",
    use: UseOption = None,
    out: OutOption = None,
    assignments: SetOption = None,
) -> None:
    """Write one page with all tables, intervals, cost and plots, and the tables as Markdown."""
    from watchkeeper.bench.output.board import board
    from watchkeeper.bench.output.markdown import markdown_page
    from watchkeeper.bench.output.page import html_page
    from watchkeeper.bench.output.plots import write_plots

    folders = folders_of(out, use, assignments)
    known, cells_ = planned(chosen_of(None, None, None, None, suite), folders)
    tables = board(cells_, folders.out)
    keep_board(known, folders)
    try:
        target.write_text(html_page(tables), encoding="utf-8")
        typer.echo(f"{target}")
        if markdown is not None:
            drawn = write_plots(tables, markdown.with_suffix(""))
            pictures = {
                key: [(title, f"{path.parent.name}/{path.name}") for title, path in each] for key, each in drawn.items()
            }
            markdown.write_text(markdown_page(tables, pictures), encoding="utf-8")
            typer.echo(f"{markdown}")
    except OSError as error:
        raise WatchkeeperError(f"the report cannot be written: {error}; is there such a folder?") from error


@app.command("compare")
def compare_two(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="A cell's id, a record, or a folder of records.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="What to hold against it.")],
    check: Annotated[bool, typer.Option("--check", help="Fail when something is worse beyond its tolerance.")] = False,
    json: JsonOption = False,
    use: UseOption = None,
    out: OutOption = None,
    assignments: SetOption = None,
) -> None:
    """Compare two cells or two runs: change, direction, tolerance, and the paired interval of the difference.

    Worse is also what has lost a figure, and what was measured in the first and failed or was skipped in the second.
    """
    from watchkeeper.bench.compare import find, pairs, unpaired

    folders = folders_of(out, use, assignments)
    one, other = find(first, folders.out), find(second, folders.out)
    worse = _tell_comparison(pairs(one, other), use or (), unpaired(one, other), json=json)
    if check and worse:
        raise WatchkeeperError(f"{worse} figures or cells are worse beyond their tolerance")


def _tell_comparison(
    both: list[tuple[dict[str, Any], dict[str, Any]]],
    use: Sequence[str],
    alone: Sequence[Unpaired] = (),
    *,
    json: bool,
) -> int:
    """Write the tables of pairs and the cells without one; gives how many figures and cells are worse."""
    from watchkeeper.bench.compare import compare
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.cli.bench_text import comparison_text, plain_comparison, plain_unpaired, unpaired_text
    from watchkeeper.cli.output import write_json

    known = catalogue([*use, *(each for record, _ in both for each in record.get("use", ()) if each not in use)])
    told = [(one, other, compare(known.tasks.get(one["task"]), one, other)) for one, other in both]
    if json:
        write_json([plain_comparison(*each) for each in told] + [plain_unpaired(each) for each in alone])
    else:
        for each in told:
            for line in comparison_text(*each):
                typer.echo(line)
        for text in unpaired_text(alone):
            typer.echo(text)
    return sum(line.is_worse for _, _, lines in told for line in lines) + sum(each.is_worse for each in alone)


@app.command("audit")
def audit_all(
    scoreboard: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A report in Markdown that is to tell of every cell.")
    ] = None,
    use: UseOption = None,
    json: JsonOption = False,
) -> None:
    """Fail when something registered is neither measured in the full suite nor excluded with a reason."""
    from watchkeeper.bench.audit import audit, product, untold
    from watchkeeper.bench.discover import catalogue
    from watchkeeper.bench.excluded import EXCLUDED
    from watchkeeper.cli.output import write_json

    known = catalogue(use or ())
    complaints = audit(known)
    if scoreboard is not None:
        try:
            complaints += untold(known, scoreboard.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WatchkeeperError(f"{scoreboard} cannot be read: {error}") from error
    if json:
        write_json({"registered": product(), "excluded": EXCLUDED, "complaints": complaints})
    else:
        for name, why in EXCLUDED.items():
            typer.echo(f"excluded: {name}: {why}")
        for each in complaints:
            typer.echo(f"missing: {each}")
    if complaints:
        raise WatchkeeperError(f"{len(complaints)} complaints of the audit")
    if not json:
        typer.echo(f"all of {len(product())} registered parts are measured or excluded with a reason")


app.command("record")(record)
