"""Settings: where a value comes from, and what a wrong one says."""

from pathlib import Path

import pytest

from watchkeeper.errors import SettingError
from watchkeeper.settings import SETTINGS, Settings


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text("http_port = 1\notlp_http_port = 2\notlp_grpc_port = 3\n")
    settings = Settings(
        chosen={"http_port": "10"},
        environment={"WATCHKEEPER_HTTP_PORT": "20", "WATCHKEEPER_OTLP_HTTP_PORT": "21"},
        file=file,
    )
    sources = {row["name"]: (row["value"], row["source"]) for row in settings.table()}
    assert sources["http_port"] == (10, "command line")
    assert sources["otlp_http_port"] == (21, "WATCHKEEPER_OTLP_HTTP_PORT")
    assert sources["otlp_grpc_port"] == (3, "configuration file")
    assert sources["bind"] == ("127.0.0.1", "default")


def test_the_file_in_the_home_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "watchkeeper.toml").write_text("insecure = true\n")
    assert Settings(chosen={"home": str(tmp_path)}, environment={}).flag("insecure")
    assert Settings(environment={"WATCHKEEPER_HOME": str(tmp_path)}).flag("insecure")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("http_prot", "1", "did you mean 'http_port'"),
        ("http_port", "http", "whole number"),
        ("http_port", "-1", "below the least allowed"),
        ("http_port", "65536", "above the most allowed"),
        ("insecure", "perhaps", "true or false"),
        ("retry_after_s", "nan", "below the least allowed"),
    ],
)
def test_a_wrong_setting_says_what_and_where(name: str, value: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        Settings(chosen={name: value}, environment={})
    assert "command line" in str(caught.value)


def test_a_missing_or_broken_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="does not exist"):
        Settings(environment={}, file=tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("http_port = = 1")
    with pytest.raises(SettingError, match="not valid TOML"):
        Settings(environment={}, file=broken)


def test_every_setting_has_help_and_a_unit_where_it_is_a_number() -> None:
    units = ("_port", "_max", "_min", "_s", "_ms")
    for setting in SETTINGS:
        assert setting.help.endswith("."), setting.name
        if type(setting.default) in {int, float}:
            assert setting.name.endswith(units), setting.name
            assert setting.minimum is not None, setting.name
