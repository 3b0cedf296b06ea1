from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest
from google.rpc.status_pb2 import Status

from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.record import Record
from watchkeeper.edge.sender import Sender, Sent, Target, retry_after_s
from watchkeeper.errors import Forbidden, Refused, SettingError, TooLarge, Unauthorized, Unreachable, WatchkeeperError

PAYLOAD = encode_logs([Record("a"), Record("b")], observed_unix_ns=1)


class FakeTime:
    """A clock that a sender's pauses move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


def sender_to(url: str, fake: FakeTime, **options) -> Sender:
    return Sender(Target(url, **options), sleep=fake.sleep, monotonic=fake.monotonic)


def test_a_batch_is_sent_compressed_with_its_headers(collector):
    sender = sender_to(collector.url, FakeTime(), headers={"Authorization": "Bearer s"})
    assert sender.send(PAYLOAD, 2) == Sent(2, 0, "", 0)
    sender.close()
    assert [record.body.string_value for record in collector.records()] == ["a", "b"]
    assert collector.paths == ["/v1/logs"]
    assert collector.headers[0]["authorization"] == "Bearer s"
    assert collector.headers[0]["content-encoding"] == "gzip"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_is_refused_for_now_is_sent_again_unchanged_after_the_time_asked_for(collector, status):
    collector.answers += [(status, {"Retry-After": "7"}, b""), (status, {}, b"")]
    fake = FakeTime()
    sender = sender_to(collector.url, fake)
    assert sender.send(PAYLOAD, 2) == Sent(2, 0, "", 2)
    sender.close()
    assert len(collector.bodies) == 3
    assert len(set(collector.bodies)) == 1
    assert fake.pauses[0] == 7.0
    assert 0 < fake.pauses[1] <= 0.5


def test_it_gives_up_when_its_patience_ends_and_says_what_was_answered(collector):
    collector.answers += [(503, {"Retry-After": "20"}, Status(message="disk is full").SerializeToString())] * 9
    fake = FakeTime()
    sender = sender_to(collector.url, fake, retry_for_s=60)
    with pytest.raises(Refused, match=r"503.*kept refusing"):
        sender.send(PAYLOAD, 2)
    sender.close()
    assert fake.pauses == [20.0, 20.0, 20.0]


def test_a_connection_that_breaks_is_taken_up_again(collector):
    fake = FakeTime()
    sender = sender_to(collector.url, fake)
    assert sender.send(PAYLOAD, 2).accepted == 2
    collector.answers += [(0, {}, b""), (0, {}, b"")]
    assert sender.send(PAYLOAD, 2) == Sent(2, 0, "", 1)
    sender.close()
    assert len(collector.requests) == 2


def test_partial_success_is_told(collector):
    collector.partial(1, "time too far ahead")
    sender = sender_to(collector.url, FakeTime())
    assert sender.send(PAYLOAD, 2) == Sent(1, 1, "time too far ahead", 0)
    sender.close()


def test_a_malformed_batch_is_rejected_and_not_tried_again(collector):
    answer = Status(message="bad bytes").SerializeToString()
    collector.answers.append((400, {"Content-Type": "application/x-protobuf"}, answer))
    sender = sender_to(collector.url, FakeTime())
    sent = sender.send(PAYLOAD, 2)
    sender.close()
    assert (sent.accepted, sent.rejected, sent.retries) == (0, 2, 0)
    assert "bad bytes" in sent.message


@pytest.mark.parametrize(
    ("status", "error", "hint"),
    [
        (401, Unauthorized, "--token"),
        (403, Forbidden, "role ingest"),
        (413, TooLarge, "--batch"),
        (404, WatchkeeperError, "OTLP/HTTP collector"),
        (301, WatchkeeperError, "OTLP/HTTP collector"),
    ],
)
def test_what_a_retry_cannot_mend_is_an_error_at_once(collector, status, error, hint):
    collector.answers.append((status, {}, b""))
    fake = FakeTime()
    sender = sender_to(collector.url, fake)
    with pytest.raises(error, match=hint):
        sender.send(PAYLOAD, 2)
    sender.close()
    assert fake.pauses == []


def test_where_nothing_ever_answered_it_fails_at_once_and_says_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fake = FakeTime()
    with pytest.raises(Unreachable, match=r"Connection refused; start Watchkeeper with `watchkeeper up`"):
        sender_to(f"http://127.0.0.1:{port}", fake).send(PAYLOAD, 2)
    assert fake.pauses == []


def test_a_stopped_sender_tries_nothing_again(collector):
    collector.answers.append((503, {"Retry-After": "300"}, b""))
    sender = Sender(Target(collector.url))
    sender.stop()
    started = time.monotonic()
    with pytest.raises(Refused):
        sender.send(PAYLOAD, 2)
    sender.close()
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"),
        ("127.0.0.1:4318", "http://127.0.0.1:4318/v1/logs"),
        ("https://a.example/otlp/", "https://a.example/otlp/v1/logs"),
        ("https://a.example/otlp/v1/logs", "https://a.example/otlp/v1/logs"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/logs"),
    ],
)
def test_addresses(url, whole):
    assert Sender(Target(url)).url == whole


@pytest.mark.parametrize("url", ["", "ftp://a.example", "http://", "http://a:port", "http://a:99999"])
def test_an_address_that_is_none_is_told(url):
    with pytest.raises(SettingError, match=r"http://127\.0\.0\.1:4318"):
        Sender(Target(url))


def test_retry_after_as_a_date_and_within_bounds():
    assert retry_after_s(formatdate(100.0, usegmt=True), now_s=90.0) == 10.0
    assert retry_after_s(formatdate(100.0, usegmt=True), now_s=200.0) == 0.0
    assert retry_after_s("99999", now_s=0.0) == 300.0
    assert retry_after_s("nan", now_s=0.0) == 0.0
    assert retry_after_s("-5", now_s=0.0) == 0.0
