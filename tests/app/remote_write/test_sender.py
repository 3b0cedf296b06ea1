"""Own metrics sent on: to a real receiver in both messages, and to a server that refuses, breaks off and recovers."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.collector import serving as serving_handler
from tests.receive.running import MemoryStore, serving, wait_for

from watchkeeper.app.own_metrics import Family
from watchkeeper.app.remote_write.destination import Destination, destination
from watchkeeper.app.remote_write.sender import RemoteWriteSender
from watchkeeper.errors import SettingError
from watchkeeper.receive.certs import init_authority, issue, renew, revoke
from watchkeeper.receive.http import http_app
from watchkeeper.receive.ledger import Ledger
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.remote_write.endpoint import RemoteWrite
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.translate import Version
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import Tokens
from watchkeeper.settings import Settings
from watchkeeper.store.metadata import Metadata

NOW_NS = 1_763_700_000_000_000_000
FAMILIES = [
    Family("wk_total", "counter", "All.", [({"signal": "logs", "none": ""}, 3.0), ({"signal": "spans"}, 5.0)]),
    Family("wk_bytes", "gauge", "Size.", [({}, 0.5)]),
]


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Heard(NamedTuple):
    headers: dict[str, str]
    size: int


class Scripted:
    """A server that gives the answers it is told to: (status, headers); none left means 204."""

    def __init__(self) -> None:
        self.answers: deque[tuple[int, dict[str, str]]] = deque()
        self.heard: list[Heard] = []
        self.url = ""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    state = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.heard.append(Heard({name.lower(): value for name, value in self.headers.items()}, len(body)))
            status, headers = state.answers.popleft() if state.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0" if status == 204 else "4")
            self.end_headers()
            self.wfile.write(b"" if status == 204 else b"why\n")

        def log_message(self, *unused: object) -> None:
            pass

    with serving_handler(Handler) as url:
        state.url = f"{url}/api/v1/write"
        yield state


@contextmanager
def sending(
    to: Destination, clock: Callable[[], float] | None = None
) -> Iterator[tuple[RemoteWriteSender, httpx.Client]]:
    sender = RemoteWriteSender(to, lambda: FAMILIES, now_unix_ns=lambda: NOW_NS, clock=clock or Clock())
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield sender, client


def fate(sender: RemoteWriteSender) -> tuple[int, int, int, int]:
    status = sender.status()
    return status["sent"], status["rejected"], status["dropped"], status["waiting"]


@pytest.mark.parametrize("version", list(Version))
def test_a_real_receiver_has_the_very_values(tmp_path: Path, version: Version) -> None:
    metadata, store = Metadata(tmp_path / "m.sqlite"), MemoryStore()
    settings = Settings(chosen={"home": tmp_path}, environment={})
    receiver = Receiver(store, Ledger(metadata), Tokens(metadata), settings)
    with serving(http_app(receiver, RemoteWrite(receiver, Known(metadata)))) as port:
        labels = (("instance", "wk-1"), ("job", "watchkeeper"), ("replica", "a"))
        to = Destination(f"http://127.0.0.1:{port}/api/v1/write", version, labels)
        with sending(to) as (sender, client):
            sender.collect()
            assert sender.send(client) is False
            assert fate(sender) == (3, 0, 0, 0)
            assert sender.status()["version"] == version.value
    ((_, _, batch),) = store.batches
    found = {
        (row["name"], row["kind"], row["attributes"], row["description"]): row["value_double"]
        for row in batch.to_pylist()
    }
    assert found == {
        ("wk_total", "sum", '{"replica":"a","signal":"logs"}', "All."): 3.0,
        ("wk_total", "sum", '{"replica":"a","signal":"spans"}', "All."): 5.0,
        ("wk_bytes", "gauge", '{"replica":"a"}', "Size."): 0.5,
    }
    rows = batch.to_pylist()
    assert {row["time_unix_ns"] for row in rows} == {NOW_NS}
    assert {row["entity"] for row in rows} == {"service=watchkeeper|pod=wk-1"}
    assert [row.protocol for row in receiver.ledger.rows()] == [f"remote-write/{version.value}"]
    metadata.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_for_now_is_tried_again_after_what_is_asked(scripted: Scripted, status: int) -> None:
    clock = Clock()
    scripted.answers.extend([(status, {"Retry-After": "40"}), (status, {})])
    with sending(Destination(scripted.url), clock) as (sender, client):
        sender.collect()
        assert sender.send(client) is False
        assert (fate(sender), len(scripted.heard)) == ((0, 0, 0, 1), 1)
        clock.now_s += 39.9
        sender.send(client)
        assert len(scripted.heard) == 1, "not before its time"
        clock.now_s += 0.2
        sender.send(client)
        assert (len(scripted.heard), f"answered {status}: why" in sender.status()["last_error"]) == (2, True)
        clock.now_s += 2.0
        sender.send(client)
        assert (fate(sender), sender.status()["last_error"]) == ((3, 0, 0, 0), "")
    retries = {family.name: family.samples for family in sender.own_families()}[
        "watchkeeper_remote_write_retries_total"
    ]
    assert retries == [({}, 2.0)]


def test_a_refusal_for_good_is_not_tried_again(scripted: Scripted) -> None:
    scripted.answers.append((400, {}))
    with sending(Destination(scripted.url)) as (sender, client):
        sender.collect()
        sender.collect()
        assert sender.send(client) is True
        assert sender.send(client) is False
        assert fate(sender) == (3, 3, 0, 0)
        assert sender.problems() == [
            f"3 own samples did not reach {scripted.url}; the last: {scripted.url} answered 400: why"
        ]


def test_what_waits_is_bounded_and_what_goes_is_counted() -> None:
    clock = Clock()
    with sending(Destination("http://127.0.0.1:9/api/v1/write", queue_max=3, pause_s_max=5.0), clock) as (
        sender,
        client,
    ):
        for _ in range(5):
            sender.collect()
            sender.send(client)
            clock.now_s += 10.0
        assert fate(sender) == (0, 0, 6, 3)
        assert "cannot be reached: ConnectError" in sender.status()["last_error"]
        dropped = {labels["outcome"]: value for labels, value in sender.own_families()[0].samples}
        assert dropped == {"sent": 0.0, "rejected": 0.0, "dropped": 6.0}


@pytest.mark.parametrize("refusal", [(415, {}), (204, {})])
def test_a_receiver_that_knows_no_2_is_sent_1(scripted: Scripted, refusal: tuple[int, dict[str, str]]) -> None:
    scripted.answers.append(refusal)
    with sending(Destination(scripted.url, Version.V2)) as (sender, client):
        sender.collect()
        assert sender.send(client) is True
        assert sender.send(client) is False
        assert (fate(sender), sender.status()["version"]) == ((3, 0, 0, 0), "1.0")
    assert [
        (each.headers["content-type"], each.headers["x-prometheus-remote-write-version"]) for each in scripted.heard
    ] == [
        ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        ("application/x-protobuf", "0.1.0"),
    ]


def test_what_a_receiver_of_2_left_out_is_counted(scripted: Scripted) -> None:
    scripted.answers.append((204, {"X-Prometheus-Remote-Write-Samples-Written": "1"}))
    with sending(Destination(scripted.url, Version.V2)) as (sender, client):
        sender.collect()
        sender.send(client)
        assert fate(sender) == (1, 2, 0, 0)


def test_secrets_are_read_anew_and_never_shown(scripted: Scripted, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    with sending(Destination(f"{scripted.url}?key=hidden", token_file=secret)) as (sender, client):
        for word in ("first", "second"):
            secret.write_text(f"{word}\n")
            sender.collect()
            sender.send(client)
            assert scripted.heard[-1].headers["authorization"] == f"Bearer {word}"
        secret.unlink()
        sender.collect()
        sender.send(client)
        assert "remote_write_token_file" in sender.status()["last_error"]
        assert "hidden" not in json.dumps(sender.status())
    secret.write_text("word")
    with sending(Destination(scripted.url, username="wk", password_file=secret)) as (sender, client):
        sender.collect()
        sender.send(client)
    assert base64.b64decode(scripted.heard[-1].headers["authorization"].removeprefix("Basic ")) == b"wk:word"


def test_the_thread_sends_until_it_is_stopped(scripted: Scripted) -> None:
    sender = RemoteWriteSender(Destination(scripted.url, interval_s=0.05), lambda: FAMILIES)
    sender.start()
    wait_for(lambda: len(scripted.heard) >= 3)
    sender.stop()
    heard = len(scripted.heard)
    assert fate(sender)[0] >= 3 * (heard - 1)


def test_a_renewed_client_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    init_authority(folder)
    issue(folder, "server", server=True, names=["127.0.0.1"])
    issue(folder, "wk-1")
    revoke(folder, ())
    names = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem", "tls_crl": "revoked.pem"}
    chosen = {"home": tmp_path, **{setting: folder / name for setting, name in names.items()}}
    settings = Settings(chosen=chosen, environment={})
    metadata = Metadata(tmp_path / "m.sqlite")
    receiver = Receiver(MemoryStore(), Ledger(metadata), Tokens(metadata), settings)
    tls = server_tls(settings)
    assert tls is not None
    with serving(http_app(receiver, RemoteWrite(receiver, Known(metadata))), tls.otlp) as port:
        own = {"ca": "ca.pem", "certificate": "wk-1.pem", "key": "wk-1.key"}
        to = Destination(
            f"https://127.0.0.1:{port}/api/v1/write",
            interval_s=0.05,
            **{name: str(folder / file) for name, file in own.items()},
        )
        sender = RemoteWriteSender(to, lambda: FAMILIES)
        sender.start()
        wait_for(lambda: fate(sender)[0] >= 3)
        (tmp_path / "old.pem").write_bytes((folder / "wk-1.pem").read_bytes())
        renew(folder, "wk-1")
        revoke(folder, [tmp_path / "old.pem"])
        before = fate(sender)[0]
        # What was on its way with the old one may still have been taken.
        wait_for(lambda: fate(sender)[0] >= before + 4 * 3)
        sender.stop()
    metadata.close()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"remote_write_url": "ftp://x/"}, "remote_write_url"),
        ({"remote_write_url": "http://x:bad/"}, "remote_write_url"),
        ({"remote_write_url": "http://user:secret@x/"}, "remote_write_password_file"),
        ({"remote_write_version": "3.0"}, "choose 1.0 or 2.0"),
        ({"remote_write_labels": "cluster"}, "remote_write_labels"),
        ({"remote_write_labels": "__name__=x"}, "remote_write_labels"),
        ({"remote_write_token_file": "/not/there"}, "remote_write_token_file"),
        ({"remote_write_ca": "/not/there"}, "remote_write_ca"),
    ],
)
def test_settings_that_cannot_be_are_told(chosen: dict[str, Any], message: str) -> None:
    settings = Settings(chosen={"remote_write_url": "http://127.0.0.1:1/w", **chosen}, environment={})
    with pytest.raises(SettingError, match=message):
        destination(settings)


def test_nothing_is_sent_without_an_address_and_labels_are_ones_own() -> None:
    assert destination(Settings(environment={})) is None
    chosen = {
        "remote_write_url": "http://h/w",
        "remote_write_labels": "cluster=eu, job=mine",
        "remote_write_version": "2.0",
    }
    made = destination(Settings(chosen=chosen, environment={}))
    assert made is not None
    assert (dict(made.labels)["job"], dict(made.labels)["cluster"], made.version) == ("mine", "eu", Version.V2)
    assert dict(made.labels)["instance"]
