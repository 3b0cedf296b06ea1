"""A diagnosis that fails is told, and takes nothing from the program."""

from __future__ import annotations

import time
from pathlib import Path

from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.diagnose.incident import Incident, IncidentSeverity, IncidentState
from watchkeeper.settings import Settings


def test_a_diagnosis_that_fails_is_told_in_the_status(tmp_path: Path) -> None:
    keeper = Watchkeeper(Settings(chosen={"home": str(tmp_path)}, environment={}))
    keeper.start()
    try:
        gone = Incident("gone", "a title", IncidentState.OPEN, IncidentSeverity.INFO, 1, 1, 1, 1, (), ())
        keeper.diagnoses.notice([gone])
        deadline = time.monotonic() + 20
        while not keeper.status()["problems"]:
            assert time.monotonic() < deadline
        (problem,) = keeper.status()["problems"]
        assert "diagnoses failed" in problem
        assert "incident gone" in problem
        assert keeper.status()["state"] == "degraded"
        assert keeper.ready == (True, "")
    finally:
        keeper.stop()
