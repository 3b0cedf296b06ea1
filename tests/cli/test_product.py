"""The commands against the real program: started, fed by replay, asked, backed up, restored, started again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watchkeeper.cli.main import main

LINES = 300


@contextmanager
def running(home: Path) -> Iterator[dict[str, str]]:
    ports = [option for name in ("otlp_grpc_port", "otlp_http_port", "http_port") for option in ("--set", f"{name}=0")]
    with subprocess.Popen(
        [sys.executable, "-m", "watchkeeper.cli.main", "up", "--home", str(home), "--json-ready", *ports],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, "watchkeeper up was not ready within 60 s"
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("product")
    log = folder / "spark.log"
    log.write_text(
        "".join(
            f"17/06/09 20:{n // 60:02d}:{n % 60:02d} {'ERROR' if n % 50 == 0 else 'INFO'} a.B: task {n} done\n"
            for n in range(LINES)
        )
    )
    with running(folder / "home") as found:
        with pytest.raises(SystemExit) as ended:
            main(["replay", str(log), "--now", "--to", found["otlp_http"]])
        assert not ended.value.code
        yield {**found, "home": str(folder / "home")}


def run(capsys, endpoints, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["--server", endpoints["http"], *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def until(check, *, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return found


def test_what_was_replayed_is_found(capsys, endpoints):
    status, out, _ = run(capsys, endpoints, "logs", "task", "--limit", "500", "--json")
    assert status == 0
    bodies = [json.loads(line)["body"] for line in out.splitlines()]
    assert bodies == [f"task {n} done" for n in range(LINES)]
    _, out, _ = run(capsys, endpoints, "logs", "--severity", "error", "--service", "spark")
    assert len(out.splitlines()) == 6
    assert out.splitlines()[-1].endswith("ERROR spark task 250 done")


def test_patterns(capsys, endpoints):
    def mined():
        _, out, _ = run(capsys, endpoints, "logs", "--patterns", "--json")
        return [row for row in map(json.loads, out.splitlines()) if row["count"] == LINES]

    assert len(until(mined)) == 1
    _, out, _ = run(capsys, endpoints, "logs", "--patterns")
    assert "300" in out
    assert "█" in out


def test_status_tells_the_ledger(capsys, endpoints):
    status, out, _ = run(capsys, endpoints, "status")
    assert status == 0
    assert "is healthy" in out
    _, out, _ = run(capsys, endpoints, "status", "--json")
    told = json.loads(out)
    assert sum(row["accepted"] for row in told["ledger"] if row["signal"] == "logs") == LINES


def test_sql(capsys, endpoints):
    status, out, _ = run(capsys, endpoints, "sql", "SELECT count(*) AS n FROM logs", "--csv")
    assert (status, out) == (0, f"n\n{LINES}\n")
    status, _, err = run(capsys, endpoints, "sql", "SELECT nope FROM logs")
    assert status == 1
    assert "nope" in err


def test_findings_and_a_bad_query(capsys, endpoints):
    assert run(capsys, endpoints, "findings")[0] == 0
    status, _, err = run(capsys, endpoints, "findings", "0000000000000000")
    assert status == 1
    assert "0000000000000000" in err
    status, _, err = run(capsys, endpoints, "logs", 'service:"')
    assert status == 1
    assert "^" in err


def test_followed_logs_come_as_they_are_sent(endpoints, tmp_path, capsys):
    log = tmp_path / "late.log"
    log.write_text("17/06/09 20:10:00 WARN a.B: something late\n")
    with subprocess.Popen(
        [sys.executable, "-m", "watchkeeper.cli.main", "logs", "late", "--follow", "--server", endpoints["http"]],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 40
        seen = False
        while not seen and time.monotonic() < deadline:
            log.write_text(f"17/06/09 20:10:00 WARN a.B: something late {time.monotonic_ns()}\n")
            run(capsys, endpoints, "replay", str(log), "--now", "--to", endpoints["otlp_http"])
            seen = bool(select.select([process.stdout], [], [], 0.5)[0])
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert "WARN  late something late" in line


def test_a_backup_comes_back(capsys, tmp_path):
    log = tmp_path / "app.log"
    log.write_text("".join(f"2024-01-02T03:04:{n:02d}Z INFO hello {n}\n" for n in range(10)))
    with running(tmp_path / "home") as found:
        status, _, err = run(capsys, found, "replay", str(log), "--now", "--to", found["otlp_http"])
        assert (status, err) == (0, "")
    for target in ("copy", "copy.tar"):
        status, out, err = run(capsys, found, "backup", str(tmp_path / target), "--home", str(tmp_path / "home"))
        assert (status, err) == (0, "")
        assert "files" in out
        status, _, err = run(capsys, found, "backup", str(tmp_path / target), "--home", str(tmp_path / "home"))
        assert status == 1
        assert "never overwrites" in err
    status, _, err = run(capsys, found, "restore", str(tmp_path / "copy.tar"), "--home", str(tmp_path / "again"))
    assert (status, err) == (0, "")
    with running(tmp_path / "again") as found:
        _, out, _ = run(capsys, found, "sql", "SELECT count(*) AS n FROM logs", "--csv")
        assert out == "n\n10\n"


def test_a_folder_without_a_store_is_told(capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["backup", str(tmp_path / "b"), "--home", str(tmp_path / "none")])
    assert ended.value.code == 1
    assert "there is no store in" in capsys.readouterr().err
