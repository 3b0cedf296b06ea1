"""Notifications: targets, the shapes that are sent, the durable queue, retries, and hostile answers; real HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.diagnose.incident_findings import SECOND, START, finding
from tests.e2e.product import wait_for

from watchkeeper.app.news import Event, News
from watchkeeper.app.notify.notifier import Notifier
from watchkeeper.app.notify.payloads import SIGNATURE_HEADER, TIMESTAMP_HEADER, Message, request_of, signature
from watchkeeper.app.notify.targets import PAGERDUTY_URL, Target, TargetKind, read_targets
from watchkeeper.diagnose.grouping import IncidentGrouper
from watchkeeper.diagnose.incident import Incident, IncidentSeverity, IncidentState
from watchkeeper.errors import SettingError
from watchkeeper.signals.finding import FindingSeverity
from watchkeeper.store.metadata import Metadata

FAST = 3600.0


def incident(**said: Any) -> Incident:
    grouper = IncidentGrouper()
    grouper.observe(finding(0, "cart", severity=FindingSeverity.CRITICAL, title="<!channel> cart & co log errors"))
    (made,) = grouper.incidents.values()
    return replace(made, **said)


class Server:
    """A real HTTP server on loopback: keeps what it gets, answers as the test says."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.default = (202, {})
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.got.append((self.path, {**self.headers}, json.loads(body)))
                status, headers = kept.answers.pop(0) if kept.answers else kept.default
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    made = Metadata(tmp_path / "metadata.sqlite")
    yield made
    made.close()


@pytest.fixture
def notifier(metadata: Metadata) -> Iterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def make(*targets: Target, **options: Any) -> Notifier:
        made.append(Notifier(metadata, targets, **{"first_pause_s": 0.01, "repeat_ns": 0, **options}))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


def target(server: Server, kind: TargetKind = TargetKind.WEBHOOK, **said: Any) -> Target:
    events = tuple(Event)
    return Target("ops", kind, server.url, **{"events": events, "rate_per_minute": FAST, "timeout_s": 5.0, **said})


def tell(to: Notifier, metadata: Metadata, *news: News) -> None:
    with metadata.transaction() as connection:
        to.enqueue(connection, news)
    to.wake()


def test_slack_gets_text_and_blocks_that_mention_nobody(server: Server) -> None:
    message = Message(Event.OPENED, incident().summary(), "http://wk/incidents/7", "1")
    body = json.loads(request_of(target(server, TargetKind.SLACK), message, START).body)
    assert body["text"].startswith("New incident: &lt;!channel&gt; cart &amp; co log errors")
    section, context = body["blocks"]
    assert (section["type"], section["text"]["type"]) == ("section", "mrkdwn")
    assert "<!" not in section["text"]["text"]
    assert context["elements"][0]["text"].endswith("<http://wk/incidents/7|open the incident>")


def test_pagerduty_gets_the_fields_of_events_v2(server: Server) -> None:
    to = target(server, TargetKind.PAGERDUTY, secret="R" * 32)
    bodies = {
        event: json.loads(request_of(to, Message(event, incident().summary(), "http://wk/7", "1"), START).body)
        for event in (Event.OPENED, Event.ACKNOWLEDGED, Event.RESOLVED, Event.MERGED, Event.REOPENED)
    }
    assert [body["event_action"] for body in bodies.values()] == [
        "trigger",
        "acknowledge",
        "resolve",
        "resolve",
        "trigger",
    ]
    assert {(body["routing_key"], body["dedup_key"]) for body in bodies.values()} == {
        ("R" * 32, f"watchkeeper-{incident().id}")
    }
    payload = bodies[Event.OPENED]["payload"]
    assert {"summary", "source", "severity"} <= set(payload)
    assert payload["severity"] == "critical"
    assert payload["timestamp"] == "2025-11-21T04:40:00.000+00:00"
    assert bodies[Event.OPENED]["links"] == [{"href": "http://wk/7", "text": "Incident in Watchkeeper"}]


def test_alertmanager_gets_one_alert_that_goes_on_and_ends_those_of_other_severities(server: Server) -> None:
    to = target(server, TargetKind.ALERTMANAGER)
    now = START + 60 * SECOND
    request = request_of(to, Message(Event.OPENED, incident().summary(), "", "1"), now)
    assert request.url.endswith("/hook/api/v2/alerts")
    going_on = [each for each in json.loads(request.body) if each["endsAt"] > "2025-11-21T05:00:00"]
    assert [each["labels"]["severity"] for each in going_on] == ["critical"]
    ended = json.loads(request_of(to, Message(Event.RESOLVED, incident().summary(), "", "1"), now).body)
    assert all(each["endsAt"] == "2025-11-21T04:41:00+00:00" for each in ended)


def test_a_webhook_is_signed_and_delivered_in_order(server: Server, metadata: Metadata, notifier: Any) -> None:
    told: list[tuple[str, str]] = []
    made = notifier(target(server, secret="key"), public_url="http://wk/")
    made.on_sent = lambda *said: told.append(said)
    one = incident()
    over = replace(one, state=IncidentState.RESOLVED)
    tell(made, metadata, News(Event.OPENED, one), News(Event.RESOLVED, over))
    wait_for(lambda: len(told) == 2, what="two deliveries")
    assert [body["event"] for _, _, body in server.got] == ["opened", "resolved"]
    _, headers, body = server.got[0]
    raw = json.dumps(body, separators=(",", ":")).encode()
    stamped = headers[TIMESTAMP_HEADER].encode() + b"." + raw
    assert headers[SIGNATURE_HEADER] == "sha256=" + hmac.new(b"key", stamped, hashlib.sha256).hexdigest()
    assert signature("key", "1", raw) != signature("key", "2", raw)
    assert body["link"] == f"http://wk/incidents/{one.id}"
    assert body["incident"]["first_unix_ns"] == str(START)
    assert told[0] == (one.id, "ops was told: opened")
    assert (made.status()[0]["sent"], made.status()[0]["waiting"]) == (2, 0)


@pytest.mark.parametrize(
    ("kind", "path", "field"),
    [
        (TargetKind.SLACK, "/hook", "blocks"),
        (TargetKind.PAGERDUTY, "/hook", "routing_key"),
        (TargetKind.ALERTMANAGER, "/hook/api/v2/alerts", "labels"),
    ],
)
def test_every_kind_is_delivered(
    server: Server, metadata: Metadata, notifier: Any, kind: TargetKind, path: str, field: str
) -> None:
    made = notifier(target(server, kind, secret="s" * 32))
    tell(made, metadata, News(Event.OPENED, incident()))
    (got,) = wait_for(lambda: server.got, what="the delivery")
    where, headers, body = got
    assert where == path
    assert field in (body[0] if isinstance(body, list) else body)
    assert headers["Content-Type"] == "application/json"
    assert headers.get("Authorization") == (None if kind is TargetKind.PAGERDUTY else "Bearer " + "s" * 32)


def test_a_target_that_does_not_answer_holds_up_nobody(metadata: Metadata, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = Target("mute", TargetKind.SLACK, f"http://127.0.0.1:{silent.getsockname()[1]}/", events=tuple(Event))
        made = Notifier(metadata, [replace(mute, timeout_s=60.0), target(server)], repeat_ns=0)
        made.start()
        begun = time.monotonic()
        tell(made, metadata, News(Event.OPENED, incident()))
        wait_for(lambda: server.got, what="the other target's delivery")
        assert made.status()[0]["waiting"] == 1
        made.stop()
        assert time.monotonic() - begun < 20


def test_the_rate_of_a_target_is_bounded(server: Server, metadata: Metadata, notifier: Any) -> None:
    made = notifier(target(server, rate_per_minute=1.0))
    tell(made, metadata, *(News(Event.OPENED, incident(id=f"i{number}")) for number in range(5)))
    wait_for(lambda: made.status()[0]["sent"] == 1, what="the first delivery")
    assert made.status()[0]["waiting"] == 4


def test_what_fails_is_tried_again_then_given_up_and_told(server: Server, metadata: Metadata, notifier: Any) -> None:
    server.answers = [(500, {}), (429, {"Retry-After": "0"})]
    made = notifier(target(server), attempts_max=3)
    tell(made, metadata, News(Event.OPENED, incident()))
    wait_for(lambda: made.status()[0]["sent"] == 1, what="the third attempt")
    server.default = (503, {})
    tell(made, metadata, News(Event.RESOLVED, incident()))
    wait_for(lambda: made.status()[0]["dead"] == 1, what="a notification given up")
    assert len(server.got) == 6
    assert "answered 503" in made.problems()[0]


def test_what_is_refused_for_good_and_redirects_are_not_tried_again(
    server: Server, metadata: Metadata, notifier: Any
) -> None:
    made = notifier(target(server))
    for number, (status, words) in enumerate([(404, "404"), (302, "redirect"), (307, "redirect")], 1):
        server.answers = [(status, {"Location": server.url + "/elsewhere"})]
        tell(made, metadata, News(Event.OPENED, incident(id=f"i{number}")))
        wait_for(lambda wanted=number: made.status()[0]["dead"] == wanted, what="a notification given up")
        assert words in made.status()[0]["last_error"]
    assert [path for path, _, _ in server.got] == ["/hook"] * 3


def test_an_address_where_nothing_listens_never_shows_its_secret(metadata: Metadata, notifier: Any) -> None:
    secret = Target("ops", TargetKind.SLACK, "http://127.0.0.1:1/T000/secret", events=tuple(Event))
    made = notifier(secret, attempts_max=1)
    tell(made, metadata, News(Event.OPENED, incident()))
    wait_for(made.problems, what="a problem")
    assert "secret" not in json.dumps([made.status(), made.problems(), repr(secret)])


def test_the_queue_survives_a_restart(server: Server, metadata: Metadata, notifier: Any) -> None:
    idle = Notifier(metadata, [target(server)], repeat_ns=0)
    tell(idle, metadata, News(Event.OPENED, incident()))
    assert idle.status()[0]["waiting"] == 1
    made = notifier(target(server))
    wait_for(lambda: made.status()[0]["sent"] == 1, what="the delivery")


def test_flapping_is_told_once(server: Server, metadata: Metadata) -> None:
    now = [START]
    made = Notifier(metadata, [target(server)], repeat_ns=600 * SECOND, now_unix_ns=lambda: now[0])
    one = incident()
    tell(made, metadata, News(Event.OPENED, one), News(Event.RESOLVED, one))
    for _ in range(20):
        now[0] += 10 * SECOND
        tell(made, metadata, News(Event.REOPENED, one))
        now[0] += 10 * SECOND
        tell(made, metadata, News(Event.RESOLVED, one))
    assert made.status()[0]["waiting"] == 2
    tell(made, metadata, News(Event.REOPENED, one))
    assert made.status()[0]["waiting"] == 3, "it waits, and is told when the incident goes on"


def test_who_hears_of_what(server: Server, metadata: Metadata) -> None:
    picky = target(server, severity_min=IncidentSeverity.CRITICAL, services=("ca*",))
    made = Notifier(metadata, [picky], repeat_ns=0)
    warning = incident(severity=IncidentSeverity.WARNING)
    tell(made, metadata, News(Event.OPENED, warning), News(Event.ACKNOWLEDGED, warning), News(Event.RESOLVED, warning))
    tell(made, metadata, News(Event.OPENED, incident(id="m", services=("mail",))))
    assert made.status()[0]["waiting"] == 0
    tell(made, metadata, News(Event.WORSE, incident()))
    rows = metadata.read("SELECT event FROM notifications")
    assert [row["event"] for row in rows] == ["opened"], "for this target it begins when it gets that bad"


def test_alertmanager_is_reminded_of_what_goes_on(server: Server, metadata: Metadata) -> None:
    now = [START]
    made = Notifier(
        metadata, [target(server, TargetKind.ALERTMANAGER)], repeat_ns=600 * SECOND, now_unix_ns=lambda: now[0]
    )
    one = incident()
    tell(made, metadata, News(Event.OPENED, one))
    events = lambda: [row["event"] for row in metadata.read("SELECT event FROM notifications ORDER BY id")]  # noqa: E731
    made.remind(lambda _: one)
    assert events() == ["opened"]
    now[0] += 3700 * SECOND
    for _ in range(3):
        made.remind(lambda _: one)
    assert events() == ["opened", "still"]
    tell(made, metadata, News(Event.RESOLVED, one))
    now[0] += 7400 * SECOND
    made.remind(lambda _: one)
    assert events() == ["opened", "still", "resolved"]


def test_a_notification_file(tmp_path: Path) -> None:
    file = tmp_path / "notify.toml"
    file.write_text(
        """
        [[target]]
        type = "slack"
        url_env = "SLACK"
        services = ["shop*"]
        events = ["opened", "resolved"]
        [[target]]
        name = "pager"
        type = "pagerduty"
        secret_env = "KEY"
        severity_min = "critical"
        """
    )
    slack, pager = read_targets(file, {"SLACK": "https://hooks.example/x", "KEY": "k"})
    assert (slack.name, slack.url, slack.events) == ("slack", "https://hooks.example/x", (Event.OPENED, Event.RESOLVED))
    assert (pager.url, pager.secret, pager.severity_min) == (PAGERDUTY_URL, "k", IncidentSeverity.CRITICAL)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[target]]\ntype = 'smoke'", "slack, webhook"),
        ("[[target]]\ntype = 'slack'\nurl = 'ftp://x/y'", "http://"),
        ("[[target]]\ntype = 'slack'\nurl = 'file:///etc/passwd'", "http://"),
        ("[[target]]\ntype = 'slack'\nurl = 'http://a b/'", "http://"),
        ("[[target]]\ntype = 'slack'\nurl_env = 'NOT_SET'", "NOT_SET, which is not set"),
        ("[[target]]\ntype = 'pagerduty'", "secret_env"),
        ("[[target]]\ntype = 'pagerduty'\nsecret_env='KEY'\nevents=['still']", "cannot be told"),
        ("[[target]]\ntype = 'slack'\nurl = 'http://x'\ncolour = 1", "'colour', which is not known"),
        ("[[target]]\ntype = 'slack'\nurl = 'http://x'\nrate_per_minute = 0", "above 0"),
        ("[[target]]\ntype = 'slack'\nurl = 'http://x'\n[[target]]\ntype='slack'\nurl='http://x'", "named 'slack'"),
        ("targets = 1", "[[target]]"),
        ("[[target]", "not valid TOML"),
    ],
)
def test_a_notification_file_that_cannot_be_is_refused_with_the_fix(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "notify.toml"
    file.write_text(text)
    with pytest.raises(SettingError) as refused:
        read_targets(file, {"KEY": "k"})
    assert words in str(refused.value)
