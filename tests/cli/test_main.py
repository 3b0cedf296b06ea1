from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from watchkeeper.cli import main as cli
from watchkeeper.cli.main import COMMANDS, exit_status, main
from watchkeeper.errors import NotFound, QueryError, SettingError, UnknownName, Unreachable
from watchkeeper.version import __version__


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watchkeeper.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


def modules_after(code: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_help_names_every_command_with_its_line():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    for name, entry in COMMANDS.items():
        assert f"{name} {entry.help}" in text


def test_help_imports_no_command_and_nothing_heavy():
    loaded = modules_after("from watchkeeper.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not {entry.module for entry in COMMANDS.values()} & loaded
    assert not {"pyarrow", "duckdb", "grpc", "httpx", "fastapi", "numpy", "rich"} & loaded


@pytest.mark.parametrize("module", ["logs", "findings", "status", "sql", "replay", "data", "settings"])
def test_light_commands_import_nothing_heavy(module):
    loaded = modules_after(f"import watchkeeper.cli.{module}, watchkeeper.edge.replay")
    assert not {"pyarrow", "duckdb", "grpc", "fastapi", "uvicorn"} & loaded


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_has_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: watchkeeper {name}")
    assert "--install-completion" not in text
    assert "╭" not in text


def test_version():
    assert run("--version").stdout == f"watchkeeper {__version__}\n"


def test_a_mistyped_command_is_answered_with_the_nearest():
    done = run("stauts")
    assert done.returncode == 2
    assert "Did you mean 'status'" in done.stderr


def test_an_unknown_option_is_a_usage_error():
    assert run("status", "--nope").returncode == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(SettingError("x"), 2), (UnknownName("x"), 2), (Unreachable("x"), 3), (QueryError("x"), 1), (NotFound("x"), 1)],
)
def test_exit_statuses(error, status):
    assert exit_status(error) == status


def test_an_error_is_one_line_without_a_trace():
    done = run("settings", "--set", "nope=1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"watchkeeper: there is no setting 'nope' .*\n", done.stderr)


def test_errors_cannot_speak_to_the_terminal(capsys, monkeypatch):
    def fail(**unused):
        raise QueryError("bad\x1b[2J\n  here ^")

    monkeypatch.setattr(cli.typer.main, "get_command", lambda app: type("C", (), {"main": staticmethod(fail)}))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "watchkeeper: bad\\x1b[2J\n    here ^\n"


def test_an_interruption_is_130_without_a_trace(capsys, monkeypatch):
    def interrupt(**unused):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.typer.main, "get_command", lambda app: type("C", (), {"main": staticmethod(interrupt)}))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_is_no_drama():
    command = f"{sys.executable} -m watchkeeper.cli.main replay --formats | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("json ")
    assert done.stderr == ""


def test_settings_as_a_list_json_and_markdown(capsys):
    import json

    from watchkeeper.settings import SETTINGS

    for option, check in (
        ("--json", lambda text: {row["name"] for row in json.loads(text)} == {setting.name for setting in SETTINGS}),
        ("--markdown", lambda text: all(f"| `{setting.name}` |" in text for setting in SETTINGS)),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["settings", option])
        assert ended.value.code == 0
        assert check(capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["settings", "--set", "http_port=9000"])
    assert "http_port = 9000  (command line)" in capsys.readouterr().out


def test_the_markdown_of_settings_holds_nothing_of_this_machine():
    from pathlib import Path

    from watchkeeper.cli.settings import settings_markdown

    assert str(Path.home()) + "/" not in settings_markdown()
