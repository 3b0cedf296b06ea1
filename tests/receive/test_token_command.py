"""`watchkeeper token`: in the home folder itself, beside a running store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.clients.keeping import keeping
from watchkeeper.cli.token import app
from watchkeeper.errors import DuplicateName, NotFound, SettingError
from watchkeeper.receive.tokens import Role


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str, fails: type[Exception] | None = None) -> str:
    done = CliRunner().invoke(app, list(arguments))
    if fails is not None:
        assert isinstance(done.exception, fails), done.output
        return str(done.exception)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_a_token_is_made_listed_and_revoked_while_a_server_has_the_store_open(home: Path) -> None:
    with keeping(home) as keeper:
        secret = run("create", "ci", "--role", "viewer", "--expires-days", "7").strip()
        run("create", "collector-1")
        tokens = type(keeper.receiver.tokens)(keeper.receiver.tokens._metadata)
        assert tokens.check(secret).role is Role.VIEWER
        listed = json.loads(run("list", "--json"))
        assert [(each["name"], each["role"]) for each in listed] == [("ci", "viewer"), ("collector-1", "ingest")]
        assert secret not in run("list")
        assert "does not expire" in run("list")
        assert run("revoke", "ci") == "ci is revoked\n"
        assert "ci " not in run("list")


def test_what_cannot_be_is_told() -> None:
    run("create", "a")
    assert "revoke it" in run("create", "a", fails=DuplicateName)
    assert "viewer, operator, admin, ingest" in run("create", "b", "--role", "king", fails=SettingError)
    assert "token list" in run("revoke", "nobody", fails=NotFound)


def test_a_new_home_is_made_and_its_metadata_are_private(home: Path) -> None:
    assert run("list") == ""
    assert home.stat().st_mode & 0o077 == 0
