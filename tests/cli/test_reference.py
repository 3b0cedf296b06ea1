from __future__ import annotations

from watchkeeper.cli.main import COMMANDS
from watchkeeper.cli.reference import cli_markdown


def test_every_command_and_option_is_in_the_reference():
    text = cli_markdown()
    for name, entry in COMMANDS.items():
        assert f"## watchkeeper {name}\n" in text
        assert entry.help in text
    for option in ("--speed", "--original-time", "--follow", "--patterns", "--server", "--retry-for", "--overwrite"):
        assert f"`{option}`" in text
    assert "### watchkeeper data fetch" in text


def test_the_reference_does_not_depend_on_the_terminal_or_the_machine(monkeypatch):
    wide = cli_markdown()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("WATCHKEEPER_SERVER", "http://elsewhere:1")
    monkeypatch.setenv("HOME", "/elsewhere")
    assert cli_markdown() == wide
    assert "elsewhere" not in wide
