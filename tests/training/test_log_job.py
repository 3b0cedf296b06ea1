"""A job of a log model, killed by SIGKILL at one place after another of every stage: it goes on, to the same model."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_job.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch, of the extra learning, is not installed")
def test_a_job_that_is_killed_in_every_stage_comes_to_the_same_model(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=280, env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    *killed, last, never = told["ends"].values()
    assert killed == [signal.SIGKILL] * len(killed)
    assert len(killed) >= 8
    assert (last, never) == (0, 0), told["log"]
    assert told["killed"] == told["whole"]
    assert told["killed"]["trained_on"]["lines"] == 600
    assert told["seen"] == sorted(told["seen"]), "the percentage never goes back"
    # After the counts were whole they were not made again, nor was a step that a checkpoint knew done again.
    log = told["log"].splitlines()
    counted = next(at for at, line in enumerate(log) if line.endswith("the lines were counted before"))
    assert not any("stored lines were looked at" in line for line in log[counted:])
    steps = [int(line.split("goes on after step ")[1].split()[0]) for line in log if "goes on after step " in line]
    assert steps == [10, 40, 40, 40]
