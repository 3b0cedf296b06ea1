"""`watchkeeper settings`: every setting, its value and where it came from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from watchkeeper.cli.options import ConfigOption, HomeOption, JsonOption, SetOption, load_settings

app = typer.Typer()


@app.command()
def settings(
    json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write a Markdown table.")] = False,
    assignments: SetOption = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """List every setting with its value and where it came from.

    A value comes from, in this order: --set, the environment (WATCHKEEPER_<NAME>), watchkeeper.toml in the home folder
    (or --config), the default.
    """
    rows = load_settings(assignments, config, home).table()
    if json:
        import orjson

        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    elif markdown:
        typer.echo(settings_markdown())
    else:
        for row in rows:
            typer.echo(f"{row['name']} = {_show(row['value'])}  ({row['source']})\n    {row['help']}")


def settings_markdown() -> str:
    """Render the table of settings as Markdown, without anything of this machine: the same everywhere."""
    from watchkeeper.settings import SETTINGS

    portable = {"home": "~/.local/share/watchkeeper", "data": "~/.cache/watchkeeper/datasets"}
    lines = ["| setting | environment | default | what it does |", "|---|---|---|---|"]
    for setting in SETTINGS:
        default = _show(portable.get(setting.name, setting.default))
        text = setting.help.replace("|", "\\|")
        lines.append(f"| `{setting.name}` | `WATCHKEEPER_{setting.name.upper()}` | `{default}` | {text} |")
    return "\n".join(lines) + "\n"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return '""' if value == "" else str(value)
