"""`watchkeeper token`: makes, lists and revokes access tokens, in the home folder itself, also while a server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, JsonOption, SetOption, load_settings

if TYPE_CHECKING:
    from watchkeeper.receive.tokens import Tokens

app = typer.Typer()


@app.callback()
def token() -> None:
    """Make, list and revoke access tokens; a running server knows of it within a second."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who is to use it, such as a host or a person.")],
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="viewer, operator, admin, or ingest, which only sends.")
    ] = "ingest",
    expires_days: Annotated[
        float | None, typer.Option("--expires-days", metavar="N", help="When it ends to be valid; never, if left out.")
    ] = None,
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Make a token and print its secret, which cannot be shown again."""
    with _tokens(assignments, config, home) as tokens:
        typer.echo(tokens.create(name, role, expires_days))
    typer.echo("Keep it safe: only its hash is stored. Send it as `Authorization: Bearer TOKEN`.", err=True)


@app.command("list")
def list_tokens(
    json: JsonOption = False,
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """List tokens, without their secrets."""
    with _tokens(assignments, config, home) as tokens:
        found = tokens.list()
    if json:
        import orjson

        typer.echo(orjson.dumps([each._asdict() for each in found], option=orjson.OPT_INDENT_2).decode())
        return
    for each in found:
        typer.echo(
            f"{each.name:<24} {each.role.value:<9} made {_date(each.created_unix_ns)}  {_end(each.expires_unix_ns)}"
        )
    if not found:
        typer.echo("There are no tokens; whoever reaches the ports is served.", err=True)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The name of the token.")],
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Delete a token; a running server refuses it within a second."""
    with _tokens(assignments, config, home) as tokens:
        tokens.revoke(name)
    typer.echo(f"{name} is revoked")


@contextmanager
def _tokens(assignments: list[str] | None, config: Path | None, home: Path | None) -> Iterator[Tokens]:
    from watchkeeper.receive.tokens import Tokens
    from watchkeeper.store.layout import Layout
    from watchkeeper.store.metadata import Metadata

    layout = Layout(load_settings(assignments, config, home).path("home").resolve())
    layout.prepare()
    metadata = Metadata(layout.metadata)
    try:
        yield Tokens(metadata)
    finally:
        metadata.close()


def _date(unix_ns: int) -> str:
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(unix_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"


def _end(expires_unix_ns: int | None) -> str:
    import time

    if expires_unix_ns is None:
        return "does not expire"
    return f"{'EXPIRED' if expires_unix_ns <= time.time_ns() else 'expires'} {_date(expires_unix_ns)}"
