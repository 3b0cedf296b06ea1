"""An inference job in a container: the contract and the log of the job in process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.containers.running import Running
from watchkeeper.infer.job_log import JobLog, LogLine
from watchkeeper.infer.models.catalogue import Models
from watchkeeper.infer.run import run_job
from watchkeeper.settings import Settings

pytestmark = [pytest.mark.containers]
JOB = {
    "model": "category",
    "prompt": "connection to 10.0.0.7 timed out after 5 s, no route to host",
    "parameters": {"max_tokens": 16, "temperature": 0},
    "request_id": "ticket-17",
}
VARIES = {"processed_at", "duration_ms", "timestamp"}


def in_podman(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a job as docs/infer.md tells: input and output are volumes, the network is none."""
    options = [
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--ulimit",
        "nofile=4096:4096",
        "--ulimit",
        "nproc=4096:4096",
    ]
    options += ["--user", "0", "--volume", f"{folder / 'in'}:/in:ro", "--volume", f"{folder / 'out'}:/out"]
    return subprocess.run(
        ["podman", "run", *options, "--entrypoint", "watchkeeper", "localhost/watchkeeper-edge", "infer", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def said(log: list[dict[str, object]]) -> list[object]:
    return [line["message"] for line in log]


def steady(data: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if name not in VARIES}


def test_same_contract_and_same_log_as_in_process(harness: Running, tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "job.json").write_text(json.dumps(JOB), encoding="utf-8")
    done = in_podman(tmp_path, "--input", "/in/job.json", "--output", "/out/result.json", "--log", "/out/log.jsonl")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert log == [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    told: list[LogLine] = []
    here = run_job(
        json.dumps(JOB).encode(), Models(Settings(environment={})), JobLog(quiet=True, listeners=[told.append])
    )
    assert set(result) == set(here)
    assert steady(result) == steady(json.loads(json.dumps(here)))
    in_process = [json.loads(json.dumps(line.as_dict())) for line in told]
    assert [set(line) for line in in_process] == [set(line) for line in log if line["message"] in said(in_process)]
    assert [steady(line) for line in in_process] == [
        steady(line) for line in log if line["message"] in said(in_process)
    ]
    assert {"the model is ready", "the model answered"} <= set(said(in_process))


def test_a_job_that_breaks_the_contract_ends_with_its_status_and_no_output(harness: Running, tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "job.json").write_text(json.dumps({**JOB, "parameters": {"temperature": 3}}), encoding="utf-8")
    done = in_podman(tmp_path, "--input", "/in/job.json", "--output", "/out/result.json")
    assert done.returncode == 2
    assert "parameters.temperature" in done.stderr
    assert not (tmp_path / "out" / "result.json").exists()
