"""The worker on a real NATS server: results, redelivery after kill -9, dead letters, a server that restarts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.infer.chat_server import ChatServer, broken, refuse, stream

from watchkeeper.cli.main import main
from watchkeeper.errors import SettingError
from watchkeeper.infer.bus import Subjects

pytest.importorskip("nats", reason="needs the extra nats (nats-py)")
from tests.infer.nats_server import PROGRAM, NatsServer

needs_server = pytest.mark.skipif(PROGRAM is None, reason="needs nats-server (Debian: apt-get install nats-server)")
WAIT_S = 30.0
ACK_WAIT_S = 1.0


class WorkerProcess:
    """`watchkeeper infer worker`, and its log as it comes."""

    def __init__(self, server: NatsServer, home: Path, *more: str) -> None:
        command = [sys.executable, "-m", "watchkeeper.cli.main", "infer", "worker", "--nats", server.url]
        command += ["--ack-wait", str(ACK_WAIT_S), "--pause", "0.05", "--health", "0.2", *more]
        environment = {**os.environ, "WATCHKEEPER_HOME": str(home)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            with self._changed:
                self.lines.append(json.loads(text))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, test: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line of the log."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or any(map(test, self.lines)), WAIT_S)
            found = [line for line in self.lines if test(line)]
            assert found, self.lines
            return found[0]

    def wait_for_message(self, message: str) -> dict[str, Any]:
        return self.wait_for(lambda line: line["message"].startswith(message))

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@contextmanager
def working(server: NatsServer, home: Path, *more: str) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(server, home, *more)
    try:
        worker.wait_for_message("the worker is ready")
        yield worker
    finally:
        worker.end(signal.SIGKILL)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    told = NatsServer(tmp_path)
    told.start()
    yield told
    told.kill()


def job(model: str = "category", **changes: Any) -> bytes:
    good = {"model": model, "prompt": "disk full: no space left", "parameters": {"max_tokens": 8, "temperature": 0}}
    return json.dumps(good | changes).encode()


def at(chat: ChatServer) -> tuple[str, ...]:
    return ("--set", f"infer_openai_url={chat.url}", "--set", "infer_attempts_max=1")


@needs_server
def test_results_dead_letters_health_and_a_clean_end(server: NatsServer, tmp_path: Path) -> None:
    with working(server, tmp_path) as worker:
        server.send(job(request_id="r-1"), b'{"model": "category",\n "prompt": 3}', job("echo"), b"\xff", job())
        first, second = server.read("infer.results", 2)
        assert (first.body["result"], first.body["request_id"]) == ("resource_disk", "r-1")
        assert first.headers["Watchkeeper-Request-Id"] == "r-1"
        assert len(second.body["request_id"]) == 36
        contract, unknown, bytes_only = (message.body for message in server.read("infer.dead", 3))
        assert [(fault["field"], fault["line"]) for fault in contract["faults"]] == [("parameters", 1), ("prompt", 2)]
        assert json.loads(contract["job"]) == {"model": "category", "prompt": 3}
        assert (unknown["error"], unknown["model"], unknown["deliveries"]) == ("UnknownName", "echo", 1)
        assert bytes_only["job_base64"] == "/w=="
        health = worker.wait_for(lambda line: line["message"] == "health" and line["done"] + line["dead"] == 5)
        assert (health["connected"], health["done"], health["dead"]) == (True, 2, 3)
        assert worker.end(signal.SIGTERM) == 0
        assert worker.lines[-1]["message"] == "the worker ends"
        assert {line["component"] for line in worker.lines} == {"infer.worker"}
    assert server.stored("infer.jobs") == 0


@needs_server
def test_a_job_of_a_worker_killed_in_the_middle_is_done_by_another_once(
    server: NatsServer, chat: ChatServer, tmp_path: Path
) -> None:
    chat.answer(chat.hang, stream("done"))
    with working(server, tmp_path, *at(chat)) as first:
        server.send(job("openai:m"))
        assert chat.arrived.acquire(timeout=WAIT_S)
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
    with working(server, tmp_path, *at(chat)) as second:
        [message] = server.read("infer.results", 1)
        assert message.body["result"] == "done"
        assert second.wait_for_message("the result is published")["delivery"] == 2
        second.wait_for(lambda line: line["message"] == "health" and line["done"] == 1)
    assert (server.stored("infer.jobs"), server.stored("infer.results"), len(chat.asked)) == (0, 1, 2)


@needs_server
def test_a_job_that_kills_its_workers_ends_as_a_dead_letter(
    server: NatsServer, chat: ChatServer, tmp_path: Path
) -> None:
    chat.answer(chat.hang)
    with working(server, tmp_path, *at(chat)) as first:
        server.send(job("openai:m", request_id="killer"))
        assert chat.arrived.acquire(timeout=WAIT_S)
        first.end(signal.SIGKILL)
    with working(server, tmp_path, *at(chat), "--deliveries", "1"):
        [message] = server.read("infer.dead", 1)
    assert (message.body["request_id"], message.body["deliveries"]) == ("killer", 2)
    assert "killed its workers" in message.body["reason"]
    assert len(chat.asked) == 1


@needs_server
def test_a_poisonous_job_is_tried_with_pauses_and_then_buried_and_others_pass(
    server: NatsServer, chat: ChatServer, tmp_path: Path
) -> None:
    chat.answer(refuse(429, "busy", Retry_After="1"), broken("half"))
    with working(server, tmp_path, *at(chat), "--deliveries", "3") as worker:
        server.send(job("openai:m", request_id="poison"), job(request_id="fine"))
        [letter] = server.read("infer.dead", 1)
        [result] = server.read("infer.results", 1)
        worker.wait_for(lambda line: line["message"] == "health" and line["dead"] == 1)
    assert result.body["request_id"] == "fine"
    assert (letter.body["request_id"], letter.body["deliveries"], letter.body["error"]) == ("poison", 3, "ModelFault")
    assert "broke off after 4 characters" in letter.body["reason"]
    pauses = [line["message"] for line in worker.lines if "tried again" in line["message"]]
    assert pauses == ["the job is tried again in 1 s", "the job is tried again in 0.1 s"]


@needs_server
def test_a_long_job_outlives_a_restart_of_the_server_and_is_published_once(
    server: NatsServer, chat: ChatServer, tmp_path: Path
) -> None:
    chat.answer(chat.answer_once_let_go)
    with working(server, tmp_path, *at(chat)) as worker:
        server.send(job("openai:m", request_id="long"))
        assert chat.arrived.acquire(timeout=WAIT_S)
        server.kill()
        worker.wait_for_message("the connection to NATS is lost")
        chat.let_go.set()
        worker.wait_for_message("the model answered")
        server.start()
        worker.wait_for_message("the connection to NATS is back")
        [message] = server.read("infer.results", 1)
        assert (message.body["result"], message.body["request_id"]) == ("late", "long")
        server.send(job(request_id="after"))
        worker.wait_for(lambda line: line["message"] == "health" and line["done"] == 2)
    assert (server.stored("infer.results"), server.stored("infer.jobs")) == (2, 0)


@needs_server
def test_a_job_that_takes_longer_than_the_ack_wait_is_delivered_once(
    server: NatsServer, chat: ChatServer, tmp_path: Path
) -> None:
    # Long enough for a worker on a busy machine to say in time that it works.
    ack_wait_s = 3 * ACK_WAIT_S
    chat.answer(chat.answer_once_let_go)
    with working(server, tmp_path, *at(chat), "--ack-wait", str(ack_wait_s)):
        server.send(job("openai:m"))
        assert chat.arrived.acquire(timeout=WAIT_S)
        assert not server.offers_a_job("watchkeeper-infer", timeout_s=1.2 * ack_wait_s)
        chat.let_go.set()
        server.read("infer.results", 1)
    assert len(chat.asked) == 1


@needs_server
def test_what_does_not_fit_into_a_message_is_a_shortened_dead_letter(tmp_path: Path, chat: ChatServer) -> None:
    server = NatsServer(tmp_path, payload_bytes_max=16_384)
    server.start()
    try:
        chat.answer(stream("x" * 20_000))
        with working(server, tmp_path, *at(chat)):
            server.send(job("openai:m", prompt="p" * 12_000))
            [letter] = server.read("infer.dead", 1)
        assert letter.body["error"] == "TooLarge"
        assert letter.body["job_truncated"]
        assert letter.body["job"].startswith('{"model": "openai:m"')
    finally:
        server.kill()


@needs_server
def test_results_wait_for_a_stream_that_is_full(server: NatsServer, tmp_path: Path) -> None:
    server.make_stream("infer.results", messages_max=1)
    with working(server, tmp_path) as worker:
        server.send(job(request_id="first"), job(request_id="second"))
        worker.wait_for_message("not published yet: NATS does not publish to infer.results: maximum messages exceeded")
        assert [message.body["request_id"] for message in server.read("infer.results", 1)] == ["first"]
        server.purge("infer.results")
        worker.wait_for(lambda line: line["message"] == "health" and line["done"] == 2)
    assert [message.body["request_id"] for message in server.read("infer.results", 1)] == ["second"]


@needs_server
def test_a_server_without_jetstream_is_told(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, jetstream=False)
    server.start()
    worker = WorkerProcess(server, tmp_path)
    try:
        assert worker.process.wait(WAIT_S) == 4
        assert "JetStream is not ready" in worker.wait_for(lambda line: line["level"] == "error")["message"]
    finally:
        worker.end(signal.SIGKILL)
        server.kill()


def test_a_server_that_is_not_there_has_its_own_status_and_shows_no_password(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    server.url = server.url.replace("//", "//user:hush@")
    worker = WorkerProcess(server, tmp_path)
    assert worker.process.wait(WAIT_S) == 3
    worker.end(signal.SIGKILL)
    [line] = worker.lines
    assert f"no NATS server answers at 127.0.0.1:{server.port}: " in line["message"]
    assert "hush" not in json.dumps(worker.lines)


def test_without_its_extra_a_worker_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHKEEPER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nats.aio.client", None)
    with pytest.raises(SystemExit) as caught:
        main(["infer", "worker", "--nats", "nats://127.0.0.1:1"])
    assert caught.value.code == 1
    assert "pip install 'watchkeeper[nats]'" in json.loads(capsys.readouterr().err)["message"]


def test_options_before_the_name_of_the_worker_are_not_lost_silently(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["infer", "--otlp", "http://127.0.0.1:4318", "worker", "--nats", "nats://127.0.0.1:1"])
    assert caught.value.code == 2
    assert "stand after its name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [{"jobs": "a.*"}, {"jobs": ""}, {"results": "a b"}, {"dead": "infer.jobs"}, {"durable": "a.b"}]
)
def test_subjects_that_are_none_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingError):
        Subjects(**wrong)
