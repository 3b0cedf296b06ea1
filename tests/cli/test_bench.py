"""`watchkeeper bench` as a command: plans, JSON, exit statuses, reports as files, an end by Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.cli.main import main

TOY = str(Path(__file__).parents[1] / "bench" / "harness" / "toy.py")
PREFIX = "anomaly-detection/toy@1"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WATCHKEEPER_DATA", str(tmp_path / "data"))
    return tmp_path / "home"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


def test_a_plan_is_run_shown_reported_run_again_and_compared(home, tmp_path, capsys):
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"data: toy\nmodels: [toy_distance, never]\nenhance: none\nuse: ['{TOY}']\n")
    status, out, err = run(capsys, "run", str(plan), "--json")
    assert status == 0, err
    [table] = json.loads(out)
    assert [(cell["model"], cell["state"]) for cell in table["cells"]] == [("toy_distance", "done"), ("never", "done")]
    assert "2 to run" in err
    assert "0 to run, 2 done before" in run(capsys, "run", str(plan), "--json")[2]
    status, out, _ = run(capsys, "show", "--use", TOY, "--data", "toy", "--summary", "--json")
    assert (status, [(line["data"], line["cells"]) for line in json.loads(out)]) == (0, [("toy@1", 1)])
    status, out, _ = run(capsys, "show", "--use", TOY, "--data", "toy", "--summary")
    assert out.splitlines()[1].split()[:4] == ["anomaly-detection", "toy@1", "f1", "toy_distance"]
    assert "Nothing was measured" in run(capsys, "show", "--data", "hdfs", "--summary")[1]
    html, text = tmp_path / "board.html", tmp_path / "board.md"
    assert run(capsys, "report", "--suite", "", "--use", TOY, "--html", str(html), "--markdown", str(text))[0] == 0
    assert "toy_distance" in html.read_text()
    assert "](board/anomaly-detection-toy-1-pr.svg)" in text.read_text()
    assert (tmp_path / "board" / "anomaly-detection-toy-1-pr.svg").read_text().startswith("<svg xmlns=")
    lost = str(tmp_path / "no such folder" / "board.html")
    status, _, err = run(capsys, "report", "--suite", "", "--use", TOY, "--html", lost)
    assert (status, "the report cannot be written" in err) == (1, True)
    record = home / "bench" / "records" / PREFIX / "toy_distance" / "none.json"
    status, out, _ = run(capsys, "run", "--again", str(record), "--json")
    assert status == 0
    assert {metric["change"] for metric in json.loads(out)[0]["metrics"]} == {0.0}
    cells = (f"{PREFIX}/toy_distance/none", f"{PREFIX}/never/none")
    assert run(capsys, "compare", *cells, "--use", TOY)[0] == 0
    status, _, err = run(capsys, "compare", *cells, "--use", TOY, "--check")
    assert status == 1
    assert "worse beyond their tolerance" in err
    assert list(home.rglob("*.part")) == []


def test_what_cannot_be_run_has_a_status_and_a_reason(home, tmp_path, capsys):
    status, _, err = run(capsys, "run", "--use", TOY, "--data", "toy", "--models", "toy_broken", "--enhance", "none")
    assert (status, "1 of 1 cells failed" in err) == (1, True)
    assert "FAILED: RuntimeError: the model is broken" in err
    bad = tmp_path / "bad.toml"
    bad.write_text("tasks = 'x'\n")
    status, _, err = run(capsys, "run", str(bad))
    assert (status, "unknown keys: tasks" in err) == (1, True)
    for text, message in (
        ("data = 3\n", "data is to be a text or a list of texts, not 3"),
        ("suite = ['quick', 'full']\n", "suite is to be one text"),
        ("suite = 'slow'\n", "there is no suite 'slow'"),
        ("data = 'toys'\n", "there is no data set 'toys'"),
        ("data =\n", "cannot be read"),
    ):
        bad.write_text(text)
        status, _, err = run(capsys, "run", str(bad))
        assert (status, message in err) == (1, True), err
    bad.write_text("data = 'toy'\n")
    status, _, err = run(capsys, "run", str(bad), "--models", "never")
    assert (status, "a plan tells what to run" in err) == (2, True)
    assert run(capsys, "run", str(tmp_path / "gone.toml"))[0] == 1
    assert run(capsys, "run", "--models", "alway")[0] == 2


def test_ctrl_c_leaves_nothing_half_written_and_tells_how_to_go_on(home):
    command = [sys.executable, "-m", "watchkeeper.cli.main", "bench", "run", "--use", TOY, "--data", "toy"]
    with subprocess.Popen(
        [*command, "--models", "toy_waiting", "--enhance", "none"], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert b"1 to run" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
        assert process.wait(60) == 130, said
    assert "go on with the same command: watchkeeper bench run --use" in said
    assert not list(home.rglob("toy_waiting/*"))
