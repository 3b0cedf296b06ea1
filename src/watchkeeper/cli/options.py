"""Options that several commands share, and what they mean.

Enters: raw option values. Leaves: a Connection (which server, which token) and Settings. Does not connect to anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from watchkeeper.errors import SettingError

if TYPE_CHECKING:
    from watchkeeper.settings import Settings


class Connection(NamedTuple):
    """Where the server is and what opens it; kept in the context of the root command."""

    server: str
    token: str


ServerOption = Annotated[
    str, typer.Option("--server", metavar="URL", help="Address of a running Watchkeeper; as the option of the root.")
]
TokenOption = Annotated[str, typer.Option("--token", metavar="TEXT", help="Access token; as the option of the root.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a setting, see `watchkeeper settings`; may be repeated."),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file of settings, instead of watchkeeper.toml.")
]
HomeOption = Annotated[Path | None, typer.Option("--home", metavar="FOLDER", help="Folder of all state.")]


def connection(ctx: typer.Context, server: str = "", token: str = "") -> Connection:
    """Give the connection that a command is to use: its own options, else those of the root command."""
    root = ctx.find_root().obj
    known = root if isinstance(root, Connection) else Connection("http://127.0.0.1:8080", "")
    return Connection(server or known.server, token or known.token)


def load_settings(
    assignments: Sequence[str] | None = None, config: Path | None = None, home: Path | None = None
) -> Settings:
    """Read the settings in force; `assignments` are `name=value` texts. Raises SettingError."""
    from watchkeeper.settings import Settings

    chosen: dict[str, str] = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SettingError(f"--set {assignment!r} has no value; write it as --set name=value")
        chosen[name.strip()] = value.strip()
    if home is not None:
        chosen["home"] = str(home)
    return Settings(chosen=chosen, file=config)
