"""Writes the generated parts of docs/: `make docs` runs it, test_docs.py holds the files to it."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.cli.reference import cli_markdown
from watchkeeper.cli.settings import settings_markdown

DOCS = Path(__file__).resolve().parents[2] / "docs"


def settings_page() -> str:
    """Give the page of settings."""
    return (
        "# Settings\n\n"
        "A value comes from, in this order: the command line (`--set name=value`), the environment, the file\n"
        "`watchkeeper.toml` in the home folder (or `--config FILE`), the default. `watchkeeper settings` shows\n"
        "the values in force and where each comes from.\n\n" + settings_markdown()
    )


def generated() -> dict[Path, str]:
    """Give every generated file with its text."""
    return {DOCS / "cli.md": cli_markdown(), DOCS / "settings.md": settings_page()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(DOCS.parent))
