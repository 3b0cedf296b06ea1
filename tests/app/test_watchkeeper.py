"""The program as one: what it says of its own state, and of a home that it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.errors import StoreError
from watchkeeper.settings import Settings


def test_a_disk_that_is_nearly_full_is_a_problem_of_the_status(tmp_path: Path) -> None:
    keeper = Watchkeeper(Settings(chosen={"home": str(tmp_path), "disk_free_bytes_min": 2**62}, environment={}))
    keeper.start()
    try:
        status = keeper.status()
    finally:
        keeper.stop()
    assert status["state"] == "degraded"
    assert [
        "telemetry is refused" in problem and "disk_free_bytes_min" in problem for problem in status["problems"]
    ] == [True]


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("mine")
    with pytest.raises(StoreError, match="choose another `home`"):
        Watchkeeper(Settings(chosen={"home": str(home)}, environment={}))
    assert home.read_text() == "mine"
