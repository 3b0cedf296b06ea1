"""One job from file to file by the command line: output, exit status, log, OTLP."""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.collector import Collector
from tests.infer.chat_server import ChatServer, refuse, stream

from watchkeeper.cli.main import main
from watchkeeper.embed.minilm import is_available
from watchkeeper.errors import StoreError
from watchkeeper.infer.files import write_output
from watchkeeper.infer.job_log import JobLog, LogLine
from watchkeeper.infer.models.catalogue import Models
from watchkeeper.infer.run import run_job
from watchkeeper.settings import Settings

SIX = ["timestamp", "level", "component", "message", "model", "duration_ms"]


class Place:
    """A folder with a job and where its output is to be."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.source, self.target = folder / "job.json", folder / "result.json"
        self.folder, self._capsys = folder, capsys
        self.lines: list[dict[str, Any]] = []

    def job(self, **changes: Any) -> None:
        good = {"model": "category", "prompt": "No space left on device", "request_id": "r-1"}
        good |= {"parameters": {"max_tokens": 4, "temperature": 0}}  # type: ignore[dict-item]
        self.source.write_text(json.dumps(good | changes), encoding="utf-8")

    def run(self, *more: str) -> int:
        with pytest.raises(SystemExit) as caught:
            main(["infer", "--input", str(self.source), "--output", str(self.target), *more])
        self.lines = [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]
        return int(caught.value.code or 0)

    def output(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.target.read_text(encoding="utf-8"))
        return told


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Place(tmp_path, capsys)


def test_a_job_gives_its_output_and_a_line_of_log_for_each_step(place: Place) -> None:
    place.job()
    assert place.run() == 0
    told = place.output()
    assert (told["result"], told["request_id"], told["model"]) == ("resource_disk", "r-1", "category")
    assert told["details"]["why"]
    assert sum(told["details"]["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
    assert [line["message"] for line in place.lines] == [
        "the input is read",
        "the job is valid",
        "the model is ready",
        "the model answered",
        "the output is written",
    ]
    for line in place.lines:
        assert list(line)[:6] == SIX
        assert line["level"] == "info"
        assert line["component"] == "infer"
        assert line["duration_ms"] >= 0
    assert {line["model"] for line in place.lines[1:]} == {"category"}
    assert "No space left" not in json.dumps(place.lines)
    assert sorted(path.name for path in place.folder.iterdir()) == ["job.json", "result.json"]


def test_a_job_in_process_has_the_same_contract_and_log() -> None:
    lines: list[LogLine] = []
    data = b'{"model": "category", "prompt": "hello", "parameters": {"max_tokens": 1, "temperature": 0}}'
    told = run_job(data, Models(Settings(environment={})), JobLog(quiet=True, listeners=[lines.append]))
    assert list(told) == [
        "schema_version",
        "result",
        "request_id",
        "model",
        "processed_at",
        "duration_ms",
        "parameters",
        "details",
    ]
    assert [line.message for line in lines] == ["the job is valid", "the model is ready", "the model answered"]
    assert {line.more["request_id"] for line in lines} == {told["request_id"]}


def test_an_address_of_no_collector_is_wrong_usage(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.job()
    with pytest.raises(SystemExit) as caught:
        main(["infer", "--input", str(place.source), "--output", str(place.target), "--otlp", "ftp://x"])
    assert caught.value.code == 2
    assert "--otlp 'ftp://x'" in capsys.readouterr().err


def test_a_text_that_says_nothing_clear_is_unknown(place: Place) -> None:
    place.job(prompt="hello there")
    assert place.run() == 0
    assert (place.output()["result"], place.output()["details"]["abstains"]) == ("unknown", True)


def test_bad_input_leaves_no_output_file_and_tells_each_fault(place: Place) -> None:
    place.job(prompt=3, parameters={"max_tokens": 4})
    place.target.write_text("of an earlier job")
    assert place.run() == 2
    assert not place.target.exists()
    [line] = [line for line in place.lines if line["level"] == "error"]
    assert [(fault["field"], fault["line"]) for fault in line["faults"]] == [
        ("prompt", 1),
        ("parameters.temperature", 1),
    ]
    assert line["request_id"] == "r-1"


@pytest.mark.parametrize(("changes", "status"), [({"model": "echo"}, 2), ({"model": "openai:x"}, 2)])
def test_wrong_names_and_settings_are_wrong_usage(place: Place, changes: dict[str, Any], status: int) -> None:
    place.job(**changes)
    assert place.run() == status
    assert not place.target.exists()
    assert place.lines[-1]["message"].startswith("the job failed: ")


def test_files_that_cannot_be_read_or_written_are_told(place: Place) -> None:
    assert place.run() == 1
    assert "does not exist" in place.lines[-1]["message"]
    place.job()
    place.target = place.folder / "none" / "result.json"
    assert place.run() == 1
    assert "cannot be written" in place.lines[-1]["message"]
    place.target = place.folder
    assert place.run() == 1
    assert place.folder.is_dir()
    place.target = place.source
    assert place.run() == 2
    assert "the same file" in place.lines[-1]["message"]
    assert place.source.exists()


def test_a_server_that_refuses_or_is_away_has_its_own_status(place: Place, chat: ChatServer) -> None:
    place.job(model="openai:m")
    chat.answer(refuse(429, "busy", Retry_After="99"))
    assert place.run("--set", f"infer_openai_url={chat.url}") == 4
    assert not place.target.exists()
    away = ("--set", "infer_openai_url=http://127.0.0.1:1", "--set", "infer_attempts_max=1")
    assert place.run(*away) == 3
    chat.answer(stream("here"))
    assert place.run("--set", f"infer_openai_url={chat.url}") == 0
    assert place.output()["result"] == "here"


def test_the_log_goes_to_a_file_and_as_otlp_to_a_collector(place: Place, collector: Collector) -> None:
    place.job()
    log = place.folder / "infer.log"
    assert place.run("--log", str(log), "--otlp", collector.url, "--token", "t") == 0
    assert [json.loads(line) for line in log.read_text().splitlines()] == place.lines
    records = collector.records()
    assert [record.body.string_value for record in records] == [line["message"] for line in place.lines]
    assert {record.severity_number for record in records} == {9}
    last = {pair.key: pair.value for pair in records[-1].attributes}
    assert (last["model"].string_value, last["request_id"].string_value) == ("category", "r-1")
    assert last["component"].string_value == "infer"
    assert last["duration_ms"].double_value == place.lines[-1]["duration_ms"]
    assert collector.resources()[0]["service.name"] == "watchkeeper-infer"
    assert collector.headers[0]["authorization"] == "Bearer t"


def test_a_collector_that_is_away_fails_no_job_and_is_told(place: Place) -> None:
    place.job()
    assert place.run("--otlp", "http://127.0.0.1:1") == 0
    assert place.lines[-1]["level"] == "warning"
    assert place.lines[-1]["message"].startswith("5 log lines were not sent as OTLP: no collector answers")


def test_a_log_file_that_cannot_be_opened_is_told_before_any_work(place: Place) -> None:
    place.job()
    with pytest.raises(SystemExit) as caught:
        main(["infer", "--input", str(place.source), "--output", str(place.target), "--log", str(place.folder)])
    assert caught.value.code == 1
    assert not place.target.exists()


def test_an_output_that_cannot_be_completed_leaves_what_was_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "result.json"
    target.write_text("before")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_output(target, {"result": "x"})
    assert (target.read_text(), [path.name for path in tmp_path.iterdir()]) == ("before", ["result.json"])


def test_the_umask_decides_who_may_read_a_result(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_output(tmp_path / "result.json", {"result": "é"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "result.json").stat().st_mode) == 0o640
    assert "é" in (tmp_path / "result.json").read_text(encoding="utf-8")


def test_a_log_that_cannot_be_written_is_given_up_and_told_in_the_other(tmp_path: Path) -> None:
    gone = io.StringIO()
    gone.close()
    log = JobLog(stream=gone, file=tmp_path / "log")
    log.write("info", "first")
    log.write("info", "second")
    log.close()
    messages = [json.loads(line)["message"] for line in (tmp_path / "log").read_text().splitlines()]
    assert messages[0].startswith("a log is given up")
    assert messages[1:] == ["first", "second"]


def test_the_embedding_is_a_unit_vector_or_tells_what_to_install(place: Place) -> None:
    place.job(model="embedding", prompt="the disk is full")
    if is_available():
        assert place.run() == 0
        told = place.output()
        assert (len(told["result"]), told["details"]["dimensions"]) == (384, 384)
        assert sum(value * value for value in told["result"]) == pytest.approx(1.0, abs=1e-4)
    else:
        assert place.run() == 1
        assert "pip install 'watchkeeper[embeddings]'" in place.lines[-1]["message"]
        assert place.lines[-1]["error"] == "MissingExtra"
