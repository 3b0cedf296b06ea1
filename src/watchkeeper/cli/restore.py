"""`watchkeeper restore`: fills a home folder from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, JsonOption, SetOption, load_settings
from watchkeeper.cli.text import bytes_text

app = typer.Typer()


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A backup: the folder, or the .tar file.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in the home folder.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
    assignments: SetOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring a backup back into the home folder, which no Watchkeeper may have open.

    The backup is verified first; a home that is not empty is left alone unless --overwrite is given.
    """
    from watchkeeper.store.backup import restore as bring_back

    settings = load_settings(assignments, config, home)
    report = bring_back(source, settings.path("home"), overwrite=overwrite)
    if json:
        import orjson

        told = {"target": str(report.target), "files": report.files, "bytes": report.bytes}
        typer.echo(orjson.dumps(told).decode())
    else:
        typer.echo(f"{report.target} holds {report.files:,} files, {bytes_text(report.bytes)} again")
