"""`watchkeeper data`: lists, fetches and verifies the public data sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from watchkeeper.cli.options import JsonOption, SetOption, load_settings
from watchkeeper.cli.text import bytes_text
from watchkeeper.errors import DataSetError

app = typer.Typer(help="List, fetch and verify public data sets.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A data set; `watchkeeper data list` shows them.")]


@app.command("list")
def list_sets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show one set with its files.")] = None,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """List the data sets: what they hold, their licence, whom to cite, where they come from, whether they are here."""
    from watchkeeper.datasets.catalogue import DATA_SETS
    from watchkeeper.datasets.citations import citations_of
    from watchkeeper.datasets.fetch import is_present
    from watchkeeper.datasets.logs import log_set_names

    folder = load_settings(assignments).path("data")
    names = list(DATA_SETS) if name is None else [name]
    rows = [{**DATA_SETS.get(each).as_dict(), "present": is_present(DATA_SETS.get(each), folder)} for each in names]
    if json:
        import orjson

        for row in rows:
            typer.echo(orjson.dumps(row).decode())
        return
    for row in rows:
        data_set = DATA_SETS.get(str(row["name"]))
        here = "here" if row["present"] else "not here"
        typer.echo(f"{data_set.name}  {bytes_text(data_set.size_bytes)}, {here}; licence: {data_set.licence}")
        typer.echo(f"    {data_set.holds}")
        typer.echo(f"    for {', '.join(data_set.tasks)}; from {'; '.join(map(str, data_set.places))}")
        typer.echo(f"    cite: {'; '.join(citations_of(data_set.name))}")
    if name is None:
        typer.echo(f"\nData sets are looked for in {folder}. To replay as logs: {', '.join(log_set_names())}")
    elif rows[0]["present"]:
        _show_members(name, folder)


def _show_members(name: str, folder: Path) -> None:
    from watchkeeper.datasets.read import members

    for member in members(name, folder):
        typer.echo(f"    {bytes_text(member.size_bytes):>10}  {member.name}")


@app.command("fetch")
def fetch_set(
    name: NameArgument,
    origin: Annotated[
        str,
        typer.Option(
            "--from", metavar="URL|FOLDER", help="Where the packed file lies, instead of setting data_mirror."
        ),
    ] = "",
    assignments: SetOption = None,
) -> None:
    """Fetch a data set into the data folder and check it; tells its licence and whom to cite.

    What was cut off goes on where it stopped; a file with another checksum than the catalogue's is refused and removed.
    Without a mirror, the files come from the public repository, for the sets whose files are known one by one.
    """
    from watchkeeper.datasets.catalogue import DATA_SETS
    from watchkeeper.datasets.citations import citations_of
    from watchkeeper.datasets.fetch import fetch

    settings = load_settings(assignments)
    shown = sys.stderr.isatty()

    def progress(file: str, done: int, total: int) -> None:
        if shown:
            typer.echo(f"\r{file}  {bytes_text(done)} of {bytes_text(total)}\033[K", nl=False, err=True)

    paths = fetch(name, settings.path("data"), origin or settings.text("data_mirror"), progress=progress)
    if shown:
        typer.echo("", err=True)
    typer.echo(f"{name} is in {paths[0] if len(paths) == 1 else settings.path('data') / name}")
    typer.echo(f"licence: {DATA_SETS.get(name).licence}; cite: {'; '.join(citations_of(name))}", err=True)


@app.command("path")
def show_path(name: NameArgument, assignments: SetOption = None) -> None:
    """Print where a data set lies."""
    from watchkeeper.datasets.read import locate

    typer.echo(str(locate(name, load_settings(assignments).path("data"))))


@app.command("verify")
def verify_sets(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets; all that are here.")
    ] = None,
    json: JsonOption = False,
    assignments: SetOption = None,
) -> None:
    """Compare the data sets on this machine with their checksums; fails when one differs or a named one is absent."""
    from watchkeeper.datasets.catalogue import DATA_SETS
    from watchkeeper.datasets.fetch import verify

    folder = load_settings(assignments).path("data")
    found = {name: verify(DATA_SETS.get(name), folder) for name in names or DATA_SETS}
    if not names:
        found = {name: state for name, state in found.items() if state != "absent"}
    if json:
        import orjson

        typer.echo(orjson.dumps(found).decode())
    else:
        for name, state in found.items():
            typer.echo(f"{name}: {state}")
    wrong = [name for name, state in found.items() if state != "ok"]
    if wrong:
        raise DataSetError(f"not as they should be in {folder}: {', '.join(wrong)}; fetch them again")
    if not found:
        raise DataSetError(f"there is no data set in {folder}; fetch one with `watchkeeper data fetch NAME`")
