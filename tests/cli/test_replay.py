from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time

import pytest

from watchkeeper.cli.main import main

LINES = "".join(f"17/06/09 20:10:{n:02d} INFO a.B: line {n}\n" for n in range(20))


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "shop.log.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return str(path)


def test_a_file_is_sent_and_summed_up(capsys, collector, log):
    status, out, err = run(capsys, log, "--to", collector.url, "--timezone", "UTC")
    assert (status, err) == (0, "")
    assert "spark (Spark and others with a two-digit year)" in out
    assert f"sent      20 records to {collector.url}/v1/logs" in out
    assert collector.resources()[0]["service.name"] == "shop"
    assert collector.records()[0].time_unix_nano == 1_497_039_000 * 10**9


def test_json_token_header_service_and_format(capsys, collector, log):
    status, out, _ = run(
        capsys, log, "--to", collector.url, "--json", "--token", "s3", "--header", "X-Scope=a=b", "--service", "cart",
        "--format", "spark", "--batch", "10", "--limit", "15",
    )  # fmt: skip
    told = json.loads(out)
    assert status == 0
    assert (told["sent"], told["requests"], told["when"]) == (15, 2, "original")
    assert collector.headers[0]["authorization"] == "Bearer s3"
    assert collector.headers[0]["x-scope"] == "a=b"
    assert collector.resources()[0]["service.name"] == "cart"


def test_now_moves_the_history_to_end_now(capsys, collector, log):
    before = time.time_ns()
    run(capsys, log, "--to", collector.url, "--now")
    last = max(record.time_unix_nano for record in collector.records())
    assert before <= last <= time.time_ns()


def test_rejected_records_are_told_and_fail_the_command(capsys, collector, log):
    collector.partial(3, "too old")
    status, out, _ = run(capsys, log, "--to", collector.url)
    assert status == 1
    assert "rejected  3 records: too old" in out


def test_a_refusal_is_waited_out(capsys, collector, log):
    collector.answers.append((429, {"Retry-After": "0.01"}, b""))
    status, out, _ = run(capsys, log, "--to", collector.url)
    assert status == 0
    assert "1 retries" in out


def test_no_collector_is_3_and_says_what_to_do(capsys, log):
    status, out, err = run(capsys, log, "--to", "http://127.0.0.1:9")
    assert status == 3
    assert err.startswith("watchkeeper: no collector answers at http://127.0.0.1:9/v1/logs: Connection refused; start")
    assert "unsent    20 records" in out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["/nowhere/app.log"], "there is no file"),
        (["spaark"], "neither a file nor a data set"),
        (["loghub/Nope"], "it has: HDFS"),
        (["{log}", "--format", "sparc"], "did you mean 'spark'"),
        (["{log}", "--timezone", "Mars/Base"], "Europe/Berlin"),
        (["{log}", "--header", "nothing"], "name=value"),
        (["{log}", "--to", "ftp://x"], "http://127.0.0.1:4318"),
        (["{log}", "--rate", "-1"], "--rate"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_right(capsys, log, arguments, hint):
    status, _, err = run(capsys, *(argument.format(log=log) for argument in arguments))
    assert status == 2
    assert hint in err


def test_a_dry_run_sends_nothing_and_shows_what_it_read(capsys, log):
    status, out, _ = run(capsys, log, "--dry-run")
    assert status == 0
    assert "sent      nothing, a dry run" in out
    assert "info [a.B] line 0" in out


def test_formats_are_listed(capsys):
    status, out, _ = run(capsys, "--formats")
    assert status == 0
    assert "syslog-5424" in out


def test_the_standard_input_is_read(collector):
    done = subprocess.run(
        [sys.executable, "-m", "watchkeeper.cli.main", "replay", "-", "--to", collector.url, "--json"],
        input=LINES.encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["sent"] == 20
    assert collector.resources()[0]["service.name"] == "stdin"


def test_an_interruption_ends_it_quickly_says_what_was_sent_and_leaves_no_trace(collector, tmp_path):
    path = tmp_path / "slow.log"
    path.write_text(LINES)
    with subprocess.Popen(
        [sys.executable, "-m", "watchkeeper.cli.main", "replay", str(path), "--to", collector.url, "--speed", "0.01"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not collector.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "sent      1 records" in out


def test_a_file_without_lines_is_told(capsys, collector, tmp_path):
    (tmp_path / "empty.log").touch()
    status, out, _ = run(capsys, str(tmp_path / "empty.log"), "--to", collector.url)
    assert status == 0
    assert "read      0 lines" in out
