"""The client and the commands on it, against a server on loopback that answers in the shapes of docs/api.md."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.collector import serving

from watchkeeper.cli.client import Client, Event, parse_events
from watchkeeper.cli.main import main
from watchkeeper.cli.options import Connection
from watchkeeper.errors import NotFound, SettingError, Unreachable
from watchkeeper.receive.certs import init_authority, issue
from watchkeeper.receive.tls import server_context
from watchkeeper.signals.finding import Band, Baseline, Evidence, Finding, FindingSeverity

T = 1_700_000_000 * 10**9


class Api:
    """Answers by path: (status, body); `streams` are the bytes of one event stream after another."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.streams: deque[bytes] = deque()
        self.asked: list[tuple[str, dict[str, list[str]], dict[str, str], bytes]] = []
        self.url = ""


@pytest.fixture
def api() -> Iterator[Api]:
    state = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def answer(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((parts.path, parse_qs(parts.query), headers, body))
            if "event-stream" in headers.get("accept", ""):
                if not state.streams:
                    self.send_error(401)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                self.wfile.write(state.streams.popleft())
                return
            status, answer = state.answers.get(parts.path, (404, {"title": "Not Found", "detail": f"no {parts.path}"}))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *unused: object) -> None:
            pass

    with serving(Handler) as url:
        state.url = url
        yield state


def run(capsys, api: Api, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["--server", api.url, *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


SERIES = (*((T + n * 10**10, float(n % 3)) for n in range(9)), (T + 10**11, 24.0))
FINDING = Finding(
    id="00ff00ff00ff00ff", kind="log.rate.high", signal="logs", service="cart", entity="service=cart|pod=cart-7f",
    subject="errors", title="errors of cart \x1b[31m are far up", why="12 times the most seen before",
    severity=FindingSeverity.CRITICAL, score=12.5, count=240, first_unix_ns=T, last_unix_ns=T + 90 * 10**9,
    expected=Band("0 to 2 errors in 10 s", 0.0, 2.0, "lines"), seen=Band("24 errors in 10 s", 24.0, 24.0, "lines"),
    baseline=Baseline(T - 600 * 10**9, T, windows=60, lines=1200), template_id=-5, template="cannot reach <*>",
    evidence=(
        Evidence("line", "cannot reach redis\nat x", T, "ab" * 16),
        Evidence("series", "errors in 10 s", points=SERIES),
    ),
).as_dict()  # fmt: skip


def test_findings_as_a_list(capsys, api):
    api.answers["/api/v1/findings"] = (
        200,
        {"items": [{**FINDING, "first_unix_ns": str(T), "last_unix_ns": str(T)}], "next_cursor": None},
    )
    status, out, _ = run(capsys, api, "findings", "--state", "open", "--service", "cart")
    assert status == 0
    assert "00ff00ff00ff00ff" in out
    assert "critical open   cart errors of cart \\x1b[31m are far up  x240" in out
    assert api.asked[0][1] == {"state": ["open"], "service": ["cart"], "limit": ["50"]}


def test_one_finding_with_all_its_evidence(capsys, api):
    api.answers["/api/v1/findings/00ff00ff00ff00ff"] = (200, FINDING)
    status, out, _ = run(capsys, api, "findings", "00ff00ff00ff00ff")
    assert status == 0
    for text in (
        "why       12 times the most seen before",
        "expected  0 to 2 errors in 10 s  [0 to 2 lines]",
        "seen      24 errors in 10 s  [24 lines]",
        "60 windows, 1,200 lines",
        "pattern   cannot reach <*>  (watchkeeper logs --template -5)",
        "cannot reach redis\n              at x",
        f"(trace {'ab' * 16})",
        "█",
    ):
        assert text in out
    assert "\x1b" not in out


def test_no_findings_tells_what_is_still_being_learned(capsys, api):
    api.answers["/api/v1/findings"] = (200, {"items": [], "next_cursor": None})
    learning = [{"service": "cart", "state": "warming", "learned_s": 31.0, "needed_s": 600, "lines": 12}]
    api.answers["/api/v1/status"] = (200, {"learning": learning})
    _, out, _ = run(capsys, api, "findings")
    assert out == "no findings\nstill being learned, and not judged before:\n  cart: 31 of 600 s, 12 lines\n"


def test_findings_are_followed_as_json(capsys, api):
    api.answers["/api/v1/findings"] = (200, {"items": [], "next_cursor": None})
    own, other = json.dumps(FINDING), json.dumps({**FINDING, "service": "other"})
    stream = f"event: status\ndata: {{}}\n\nevent: finding\ndata: {own}\n\nevent: finding\ndata: {other}\n\n"
    api.streams.append(stream.encode())
    status, out, err = run(capsys, api, "findings", "--follow", "--json", "--service", "cart")
    assert [json.loads(line)["id"] for line in out.splitlines()] == [FINDING["id"]]
    assert status == 1
    assert "--token" in err


def test_a_broken_stream_is_taken_up_again(api):
    api.streams += [b'event: log\ndata: {"n":1}\n\n', b": nothing\n\n", b'event: log\ndata: {"n":2}\n\n']
    pauses: list[float] = []
    with Client(Connection(api.url, ""), sleep=pauses.append) as client:
        events = client.events("/api/v1/logs/stream", {"query": "x", "service": ""})
        assert [next(events), next(events)] == [Event("log", {"n": 1}), Event("log", {"n": 2})]
    assert len(pauses) == 2
    assert api.asked[0][1] == {"query": ["x"]}


def test_a_stream_that_never_stood_is_an_error_at_once():
    with Client(Connection("http://127.0.0.1:9", "")) as client, pytest.raises(Unreachable, match="watchkeeper up"):
        next(client.events("/api/v1/events"))


def test_events_are_read_as_the_standard_says():
    lines = [
        ": hello",
        "",
        "event: a",
        "data: [1,",
        "data: 2]",
        "id: 7",
        "",
        "data:3",
        "",
        "event: bad",
        "data: {",
        "",
        "data: 4",
    ]
    assert list(parse_events(lines)) == [Event("a", [1, 2]), Event("message", 3)]


@pytest.mark.parametrize(
    ("status", "detail", "exit_status", "hint"),
    [
        (401, "no token", 1, "no token; give a token with --token"),
        (403, "viewers cannot", 1, "viewers cannot; use a token of a higher role"),
        (404, "no such thing", 1, "no such thing"),
        (400, "this quote is not closed", 1, "this quote is not closed"),
        (503, "starting", 3, "starting; try again"),
        (500, "broken", 1, "broken (500)"),
    ],
)
def test_problems_of_the_server_are_told_with_what_to_do(capsys, api, status, detail, exit_status, hint):
    api.answers["/api/v1/status"] = (status, {"title": "x", "status": status, "detail": detail})
    code, out, err = run(capsys, api, "status")
    assert (code, out) == (exit_status, "")
    assert hint in err


def test_something_that_is_no_watchkeeper_is_told(capsys, api):
    api.answers["/api/v1/status"] = (200, b"<html>hello</html>")
    assert "is that a Watchkeeper?" in run(capsys, api, "status")[2]


def test_nobody_there_is_3_and_says_how_to_start(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["status", "--server", "http://127.0.0.1:9"])
    assert ended.value.code == 3
    assert "start it with `watchkeeper up`" in capsys.readouterr().err


@pytest.mark.parametrize("server", ["ftp://x", "http://a:b:c"])
def test_a_server_that_is_no_address_is_told(server):
    with pytest.raises(SettingError), Client(Connection(server, "")) as client:
        client.get("/api/v1/status")


def test_the_token_of_the_root_and_of_the_command_are_sent(capsys, api):
    api.answers["/api/v1/findings"] = (200, {"items": [FINDING], "next_cursor": None})
    run(capsys, api, "--token", "root", "findings")
    run(capsys, api, "--token", "root", "findings", "--token", "own")
    assert [headers["authorization"] for _, _, headers, _ in api.asked] == ["Bearer root", "Bearer own"]


def test_logs_are_fetched_page_by_page_and_shown_harmless(capsys, api):
    record = {
        "time_unix_ns": str(T),
        "severity": "error",
        "service": "cart",
        "body": "boom \x1b[2J\nat x",
        "attributes": {},
    }
    api.answers["/api/v1/logs"] = (200, {"items": [record] * 1000, "next_cursor": "c", "scanned": 1})
    status, out, _ = run(capsys, api, "logs", "boom", "--severity", "error", "--limit", "1500")
    assert status == 0
    assert [query["limit"] for _, query, _, _ in api.asked] == [["1000"], ["500"]]
    assert api.asked[0][1]["severity_min"] == ["17"]
    assert api.asked[1][1]["cursor"] == ["c"]
    assert "ERROR cart boom \\x1b[2J\n    at x" in out


def test_an_unknown_severity_is_a_usage_error(capsys, api):
    assert run(capsys, api, "logs", "--severity", "loud")[0] == 2


@pytest.mark.parametrize(
    ("option", "expected"),
    [("--csv", 'a,b\n1,"x,y"\n,\x1b\n'), ("--json", '{"a":1,"b":"x,y"}\n{"a":null,"b":"\\u001b"}\n')],
)
def test_sql_as_csv_and_json(capsys, api, option, expected):
    columns = [{"name": "a", "type": "BIGINT"}, {"name": "b", "type": "VARCHAR"}]
    api.answers["/api/v1/sql"] = (
        200,
        {"columns": columns, "rows": [[1, "x,y"], [None, "\x1b"]], "truncated": True, "elapsed_ms": 2.5},
    )
    status, out, err = run(capsys, api, "sql", "SELECT 1", option, "--rows-max", "2")
    assert (status, out) == (0, expected)
    assert "more rows" in err
    assert json.loads(api.asked[0][3]) == {"query": "SELECT 1", "rows_max": 2}
    _, out, _ = run(capsys, api, "sql", "SELECT 1")
    assert out == "   a  b\n   1  x,y\nNULL  \\x1b\n"


def test_authorities_come_from_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(SettingError, match="SSL_CERT_FILE"):
        Client(Connection("https://127.0.0.1:1", ""))
    authority = init_authority(tmp_path)
    server = issue(tmp_path, "server", server=True, names=["127.0.0.1"])
    trusted = server_context(server.certificate, server.key, None)
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as http:
        http.socket = trusted.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.handle_request).start()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        with Client(Connection(f"https://127.0.0.1:{http.server_address[1]}", "")) as client, pytest.raises(NotFound):
            client.get("/nothing-is-here")
