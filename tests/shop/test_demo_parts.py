"""The demo's parts, each by itself; the whole is played in tests/e2e/test_demo.py."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from watchkeeper.cli import demo as demo_module
from watchkeeper.cli.demo import Demo
from watchkeeper.cli.demo_places import PORT_SETTINGS, find_shop, is_taken, listening, port_settings
from watchkeeper.cli.demo_screen import FoundView, Screen, View, finding_lines, picture
from watchkeeper.errors import DemoError


def finding(service: str = "payment", identity: str = "f1", last_unix_ns: int = 0) -> dict[str, Any]:
    return {
        "id": identity,
        "service": service,
        "title": "a line never seen",
        "severity": "critical",
        "expected": {"text": "no such line"},
        "seen": {"text": "3 lines in 5 s"},
        "last_unix_ns": str(last_unix_ns or time.time_ns()),
        "evidence": [{"kind": "line", "text": "POST /charges failed:\n KeyError"}, {"kind": "note", "text": "a note"}],
    }


def incident(blamed: str, last_unix_ns: int = 0) -> dict[str, Any]:
    cause = {"node": blamed, "confidence": 0.9, "indicator": "span.error.ratio"} if blamed else None
    return {
        "id": "i1",
        "title": "payment: half of POST /charges fails",
        "severity": "critical",
        "cause": cause,
        "last_unix_ns": str(last_unix_ns or time.time_ns() + 10**9),
    }


def test_find_shop_tells_where_it_looked(tmp_path: Path) -> None:
    assert (find_shop(None) / "shop" / "web.py").is_file()
    with pytest.raises(DemoError, match="--shop") as told:
        find_shop(tmp_path)
    assert str(tmp_path) in str(told.value)


def test_ports_are_free_ones_when_wanted_and_where_the_usual_are_taken() -> None:
    assert port_settings(any_ports=True) == [part for name in PORT_SETTINGS for part in ("--set", f"{name}=0")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_taken(port)
        assert listening([f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"]) == [
            f"http://127.0.0.1:{port}",
            f"127.0.0.1:{port}",
        ]
    assert not is_taken(port)
    assert listening([f"http://127.0.0.1:{port}"]) == []


def test_words_of_a_finding() -> None:
    assert finding_lines(FoundView(finding(), 7.4, at_fault=True)) == [
        "-> +7 s  critical  payment: a line never seen",
        "        expected no such line; seen 3 lines in 5 s",
        "        | POST /charges failed: KeyError",
    ]
    own = {**finding(), "title": "payment logs warnings", "evidence": [{"kind": "line", "text": "slow"}] * 3}
    assert finding_lines(FoundView(own, 7.4, at_fault=False))[::2] == [
        "   +7 s  critical  payment logs warnings",
        "        | slow",
    ]


def test_plain_screen_tells_each_thing_once() -> None:
    written = io.StringIO()
    screen = Screen(Console(file=written, width=200))
    view = View(phase="fault", detail="on", found=[FoundView(finding(), 7, at_fault=True)])
    with screen.open():
        for _ in range(3):
            screen.show(view)
    assert written.getvalue().count("a line never seen") == 1
    assert written.getvalue().count("[fault] on") == 1


def test_picture_shows_services_learning_and_findings_as_they_are_written() -> None:
    view = View(
        phase="learning",
        detail="12 s to go",
        page="http://127.0.0.1:8080",
        services=[
            {"service": "pay[red]ment", "logs_per_second": 1.25, "errors": 3, "spans": 9, "findings_open": 1},
        ],
        learning={"pay[red]ment": ("warming", 12.0, 60.0)},
        found=[FoundView(finding(identity=str(n)), n, at_fault=n == 0) for n in range(10)],
    )
    written = io.StringIO()
    Console(file=written, width=120, force_terminal=True, color_system=None).print(picture(view))
    text = written.getvalue()
    for expected in (
        "12 s to go",
        "http://127.0.0.1:8080",
        "pay[red]ment",
        "learning 12 of 60 s",
        "and 2 more on the page",
    ):
        assert expected in text


class FakeApi:
    """The addresses that the demo asks, of Watchkeeper and of the shop, answered as docs/api.md says."""

    def __init__(self) -> None:
        self.state = "watching"
        self.findings: list[dict[str, Any]] = []
        self.incidents: list[dict[str, Any]] = []
        self.blamed = "service:payment"
        self.status = 200
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                learning = [
                    {"service": name, "state": api.state, "learned_s": 10, "needed_s": 10, "lines": 1}
                    for name in demo_module.SERVICES
                ]
                learning.append({"service": "redis", "state": "warming", "learned_s": 0, "needed_s": 10, "lines": 1})
                answers: dict[str, Any] = {
                    "/api/v1/status": {"learning": learning},
                    "/api/v1/services": {"items": []},
                    "/api/v1/findings": {"items": api.findings},
                    "/api/v1/incidents": {"items": api.incidents},
                }
                self.answer(api.status, answers[path])

            def do_POST(self) -> None:
                wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if wish["kind"] == "meteor":
                    self.answer(422, {"detail": "there is no fault 'meteor'"})
                    return
                known = {"service": "payment", "start_unix_ns": time.time_ns(), "parameters": {}, **wish}
                api.findings = [finding(identity="later", service="payment"), *api.findings]
                api.incidents = [incident(api.blamed), *api.incidents]
                self.answer(201, known)

            def answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def playing(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Demo, io.StringIO]]:
    """A demo whose programs only wait, and which asks the fake API."""
    monkeypatch.setattr(demo_module, "POLL_S", 0.01)
    written = io.StringIO()
    demo = make_demo(api, tmp_path, written)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield demo, written
    assert demo.stop() == []
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def make_demo(api: FakeApi, folder: Path, written: io.StringIO, fault: str = "error-rate") -> Demo:
    demo = Demo(folder, Screen(Console(file=written, width=200)), fault=fault, service="", warmup_s=10, fault_for_s=60)
    ready = f'import time;print(\'{{"control": "{api.address}"}}\',flush=True);time.sleep(60)'
    for name in ("watchkeeper", "shop"):
        demo._running.append(demo._programs.start(name, [sys.executable, "-c", ready], folder))
    demo._api.base_url = api.address
    return demo


def test_plays_to_the_incident_that_names_the_cause(playing: tuple[Demo, io.StringIO], api: FakeApi) -> None:
    demo, written = playing
    api.findings = [finding(identity="old", service="payment")]
    api.incidents = [incident("service:cart", last_unix_ns=1)]
    assert demo.play(once=True)
    text = written.getvalue()
    assert "s after the fault a finding points at payment" in text
    assert "s after the fault an incident names service:payment as its cause" in text
    assert "/incidents/i1" in text
    assert "service:cart" not in text, "an incident of before the fault is not told"
    assert text.count("a line never seen") == 1, "what was there before the fault is not told as found"


@pytest.mark.parametrize("blamed", ["", "service:payment"], ids=["no cause named", "another cause named"])
def test_says_so_when_no_incident_names_the_cause(
    playing: tuple[Demo, io.StringIO], api: FakeApi, monkeypatch: pytest.MonkeyPatch, blamed: str
) -> None:
    demo, written = playing
    api.blamed = blamed
    monkeypatch.setattr(demo_module, "ANSWER_S", 0.3)
    monkeypatch.setattr(demo, "_wish", {"kind": "latency", "service": "cart", "seconds": 60})
    assert not demo.play(once=True)
    assert "No incident names service:cart" in written.getvalue()


def test_learning_that_does_not_end_is_told(
    playing: tuple[Demo, io.StringIO], api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.state = "warming"
    monkeypatch.setattr(demo_module, "LEARNING_GRACE_S", -9.7)
    with pytest.raises(DemoError, match=r"still learning after 0\.3 s: frontend, catalogue"):
        playing[0].play(once=True)


def test_an_api_that_stays_silent_ends_the_demo(
    playing: tuple[Demo, io.StringIO], api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.status = 503
    monkeypatch.setattr(demo_module, "SILENT_S", 0.2)
    with pytest.raises(DemoError, match="has not answered"):
        playing[0].play(once=True)


def test_a_fault_that_the_shop_refuses_is_told(
    playing: tuple[Demo, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing[0], "_wish", {"kind": "meteor"})
    with pytest.raises(DemoError, match="there is no fault 'meteor'"):
        playing[0].play(once=True)


def test_a_program_that_dies_ends_the_demo(playing: tuple[Demo, io.StringIO]) -> None:
    demo = playing[0]
    os.kill(demo._running[1].process.pid, signal.SIGKILL)
    demo._running[1].process.wait()
    with pytest.raises(DemoError, match="shop ended by itself with status -9"):
        demo.play(once=True)
