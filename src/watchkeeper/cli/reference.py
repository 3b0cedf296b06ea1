"""The help of every command as Markdown, for docs/cli.md: the same on every machine and terminal.

Enters: nothing but the commands themselves. Leaves: one Markdown text. Imports every command.
"""

from __future__ import annotations

import inspect
from typing import Any

import typer.main

from watchkeeper.cli.main import COMMANDS, load_command, root


def cli_markdown() -> str:
    """Render the help of the root and of all commands, in the order of the table."""
    group = typer.main.get_command(root)
    parts = [
        "# The command line\n",
        "Made from the commands' own help by `watchkeeper.cli.reference.cli_markdown`; do not edit.\n",
        f"{group.help}\n",
        "Exit status: 0 done, 1 failed, 2 wrong usage or setting, 3 no server answers, 130 interrupted.\n",
        "| command | what it does |\n|---|---|",
        *(f"| [`watchkeeper {name}`](#watchkeeper-{name}) | {_cell(entry.help)} |" for name, entry in COMMANDS.items()),
        "",
        _table("option", [param for param in group.params if param.param_type_name == "option"]),
    ]
    for name in COMMANDS:
        parts += _command(load_command(name), f"watchkeeper {name}", level=2)
    return "\n".join(parts).rstrip() + "\n"


def _command(command: Any, path: str, *, level: int) -> list[str]:
    """Render one command, and below it those that it groups."""
    children = getattr(command, "commands", {})
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    usage = " ".join(
        [path, *(["[OPTIONS]"] if options else []), *(["COMMAND"] if children else []), *map(_argument, arguments)]
    )
    parts = [f"{'#' * level} {path}\n", f"```\n{usage}\n```\n", f"{_paragraphs(command.help or '')}\n"]
    if arguments:
        parts.append(_table("argument", arguments))
    if options:
        parts.append(_table("option", options))
    for name, child in children.items():
        parts += _command(child, f"{path} {name}", level=level + 1)
    return parts


def _paragraphs(text: str) -> str:
    """Unwrap the lines of each paragraph."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _argument(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    return name if param.required or name.startswith("[") else f"[{name}]"


def _table(kind: str, params: list[Any]) -> str:
    rows = [f"| {kind} | meaning |", "|---|---|"]
    for param in params:
        if kind == "argument":
            shown = f"`{_argument(param)}`"
        else:
            names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
            shown = names if param.is_flag else f"{names} `{_value(param)}`"
        rows.append(f"| {_cell(shown)} | {_cell(_meaning(param))} |")
    return "\n".join(rows) + "\n"


def _value(param: Any) -> str:
    return str(param.metavar or param.name.upper().replace("_", " "))


def _meaning(param: Any) -> str:
    text = " ".join(str(param.help or "").split())
    default = param.default
    notes = []
    if param.envvar:
        notes.append(f"environment: `{param.envvar}`")
    if default not in (None, "", [], ()) and not callable(default) and not isinstance(default, bool):
        notes.append(f"default: `{default}`")
    return f"{text} ({'; '.join(notes)})" if notes else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
