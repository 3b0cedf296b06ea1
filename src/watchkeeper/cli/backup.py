"""`watchkeeper backup`: a verified copy of the store, also while Watchkeeper runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from watchkeeper.cli.text import bytes_text
from watchkeeper.errors import NotFound, StoreError

if TYPE_CHECKING:
    from watchkeeper.settings import Settings

app = typer.Typer()


@app.command()
def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A new folder, or a new file that ends in .tar.")],
    json: JsonOption = False,
    home: HomeOption = None,
    assignments: SetOption = None,
    config: ConfigOption = None,
    server: ServerOption = "",
    token: TokenOption = "",
) -> None:
    """Copy the store in the home folder and check the copy.

    While Watchkeeper runs on that home, the running process is asked to make the copy (role admin); else it is made
    here. A target that exists is never overwritten. `watchkeeper restore` brings the copy back.
    """
    settings = load_settings(assignments, config, home)
    place = target.expanduser().absolute()
    if _is_running(settings):
        told = _ask_server(ctx, place, server, token)
    else:
        told = _copy(settings, place)
    if json:
        import orjson

        typer.echo(orjson.dumps(told).decode())
    else:
        typer.echo(f"{told['target']} holds {told['files']:,} files, {bytes_text(told['bytes'])}")


def _is_running(settings: Settings) -> bool:
    """Tell whether a process has the store open; raises StoreError when there is no store."""
    from watchkeeper.store.layout import FolderLock, Layout

    layout = Layout(settings.path("home").resolve())
    if not layout.format.exists():
        raise StoreError(f"there is no store in {layout.home}; name its folder with --home or WATCHKEEPER_HOME")
    try:
        FolderLock.take(layout.lock).release()
    except StoreError:
        return True
    return False


def _copy(settings: Settings, target: Path) -> dict[str, Any]:
    import pyarrow as pa

    from watchkeeper.receive.decode import decode
    from watchkeeper.store.entry import Entry
    from watchkeeper.store.store import Store

    def read(entry: Entry) -> pa.RecordBatch:
        return decode(
            entry.signal,
            entry.encoding,
            entry.payload,
            sender=entry.sender,
            received_unix_ns=entry.received_unix_ns,
        ).batch

    with Store.open(settings.path("home"), settings, read) as store:
        report = store.backup(target)
    return {"target": str(report.target), "files": report.files, "bytes": report.bytes}


def _ask_server(ctx: typer.Context, target: Path, server: str, token: str) -> dict[str, Any]:
    from watchkeeper.cli.client import Client

    with Client(connection(ctx, server, token)) as client:
        try:
            told: dict[str, Any] = client.post("/api/v1/backup", {"target": str(target)})
        except NotFound as error:
            raise StoreError(
                "the home is in use by a Watchkeeper that cannot make backups while it runs; stop it, or upgrade it"
            ) from error
    return told
