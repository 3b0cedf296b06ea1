"""POST /api/v1/write on a real socket: the specification's answers, and what the ledger makes of each request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.receive.remote_write.written import COUNTER, T0_MS, V2, histogram, request_v1, sample, series_v1
from tests.receive.running import MemoryStore, serving
from watchkeeper.errors import DiskNearlyFull, QueueFull, StoreError
from watchkeeper.receive.http import http_app
from watchkeeper.receive.ledger import LedgerRow
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.remote_write.endpoint import RemoteWrite
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.snappy import compress
from watchkeeper.receive.tokens import Role
from watchkeeper.signals.schema import Signal

V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
GOOD = {"__name__": "up", "job": "node", "instance": "n1:9100"}
WRITTEN = "x-prometheus-remote-write-{}-written"


@pytest.fixture
def client(receiver: Receiver) -> Iterator[httpx.Client]:
    with (
        serving(http_app(receiver, RemoteWrite(receiver, Known()))) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as opened,
    ):
        yield opened


def post(client: httpx.Client, body: bytes, kind: str = V1_TYPE, *, whole: bytes | None = None, **more: str) -> Any:
    headers = {"content-type": kind, "content-encoding": "snappy", **{k.replace("_", "-"): v for k, v in more.items()}}
    return client.post("/api/v1/write", content=compress(body) if whole is None else whole, headers=headers)


def row(receiver: Receiver) -> LedgerRow:
    rows = receiver.ledger.rows()
    assert len(rows) == 1
    return rows[0]


def written(answer: httpx.Response) -> list[str | None]:
    return [answer.headers.get(WRITTEN.format(name)) for name in ("samples", "histograms", "exemplars")]


@pytest.mark.parametrize("kind", [V1_TYPE, f"{V1_TYPE}; proto=prometheus.WriteRequest", f"{V1_TYPE};charset=utf-8"])
def test_version_1_is_stored_and_answered_without_a_body(client, receiver, store, kind) -> None:
    body = request_v1(series_v1(GOOD, sample(1.0), sample(2.0, T0_MS + 1)))
    answer = post(client, body, kind, x_prometheus_remote_write_version="0.1.0")
    assert (answer.status_code, answer.content, written(answer)) == (204, b"", [None] * 3)
    assert store.rows(Signal.METRICS) == 2
    counted = row(receiver)
    assert (counted.sender, counted.signal, counted.protocol) == ("127.0.0.1", Signal.METRICS, "remote-write/1.0")
    assert (counted.requests, counted.accepted, counted.rejected, counted.refused) == (1, 2, 0, 0)


def test_version_2_is_told_how_much_was_written(client, receiver, store) -> None:
    request = V2().series(GOOD, sample(1.0), exemplars=[b"", b""]).series(GOOD, histograms=[histogram(count=1)])
    answer = post(client, request.whole(), V2_TYPE, x_prometheus_remote_write_version="2.0.0")
    assert (answer.status_code, answer.content, written(answer)) == (204, b"", ["1", "1", "0"])
    assert (row(receiver).protocol, row(receiver).accepted) == ("remote-write/2.0", 2)


def test_what_cannot_be_stored_is_told_in_words_and_the_rest_is_stored(client, receiver, store) -> None:
    request = V2().series(GOOD, sample(1.0), histograms=[histogram(count_float=2.0)], kind=COUNTER)
    answer = post(client, request.whole(), V2_TYPE)
    assert answer.status_code == 400
    assert answer.text == "1 left out: float histograms have no form in OTLP (1)\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert written(answer) == ["1", "0", "0"]
    assert store.rows(Signal.METRICS) == 1
    assert (row(receiver).accepted, row(receiver).rejected, row(receiver).last_error) == (1, 1, answer.text.strip())


def test_an_empty_request_is_a_success(client, store) -> None:
    assert post(client, b"").status_code == 204
    assert written(post(client, V2().whole(), V2_TYPE)) == ["0", "0", "0"]
    assert store.batches == []


def test_a_request_sent_again_is_known(client, receiver, store) -> None:
    body = request_v1(series_v1(GOOD, sample(1.0)))
    assert [post(client, body).status_code for _ in range(3)] == [204] * 3
    assert store.rows(Signal.METRICS) == 1
    assert (row(receiver).accepted, row(receiver).deduplicated) == (1, 2)


@pytest.mark.parametrize(
    ("kind", "encoding", "told"),
    [
        ("application/json", "snappy", "accept-post"),
        ("", "snappy", "accept-post"),
        (f"{V1_TYPE};proto=io.prometheus.write.v9.Request", "snappy", "accept-post"),
        (V1_TYPE, "gzip", "accept-encoding"),
        (V2_TYPE, "zstd", "accept-encoding"),
    ],
)
def test_what_is_not_known_is_415_and_told_what_is(client, receiver, store, kind, encoding, told) -> None:
    answer = post(client, request_v1(series_v1(GOOD, sample(1.0))), kind, content_encoding=encoding)
    assert answer.status_code == 415
    assert answer.headers[told]
    assert "not known here" in answer.text or "no remote write" in answer.text
    assert (store.batches, row(receiver).rejected) == ([], 1)


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (b"", "does not begin with a length"),
        (b"\xff\xff\xff\xff\xff\xff", "does not begin with a length"),
        (b"\xff\xff\xff\x7f" + b"a" * 50, "cannot hold the 268435455"),
        (compress(b"x" * 5_000)[:-3], "no snappy block"),
        (b"\x05" + compress(b"x" * 50)[1:], "no snappy block"),
        (request_v1(series_v1(GOOD, sample(1.0))), "no snappy block"),
        (compress(b"\x0a\x7f not protobuf"), "no remote write request of version 1.0"),
    ],
)
def test_damaged_bodies_are_400_and_nothing_is_stored(client, receiver, store, whole, message) -> None:
    answer = post(client, b"", whole=whole)
    assert (answer.status_code, message in answer.text) == (400, True), answer.text
    assert (store.batches, row(receiver).rejected) == ([], 1)


def test_bodies_past_the_limits_are_413(client, receiver, store) -> None:
    bomb = compress(bytes(1_000_001))
    assert len(bomb) < 60_000
    answer = post(client, b"", whole=bomb)
    assert (answer.status_code, "request_decompressed_bytes_max" in answer.text) == (413, True)
    answer = post(client, b"", whole=b"x" * 200_001)
    assert (answer.status_code, "request_bytes_max" in answer.text) == (413, True)
    assert (store.batches, receiver.budget.held) == ([], 0)


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (QueueFull("the queue is full; retry", retry_after_s=2.5), 503, "3"),
        (DiskNearlyFull("the disk is nearly full", retry_after_s=9.0), 503, "9"),
        (RuntimeError("of ours"), 503, "3"),
    ],
)
def test_a_refusal_says_when_to_come_again(client, receiver, store, error, status, retry) -> None:
    store.refuse = error
    answer = post(client, request_v1(series_v1(GOOD, sample(1.0))))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, retry)
    assert row(receiver).refused == 1
    store.refuse = None
    assert post(client, request_v1(series_v1(GOOD, sample(1.0)))).status_code == 204


def test_a_disk_that_fails_is_told_before_anything_is_acknowledged(client, receiver, store) -> None:
    store.fail = StoreError("the write failed")
    assert post(client, request_v1(series_v1(GOOD, sample(1.0)))).status_code == 503
    assert (row(receiver).accepted, row(receiver).refused) == (0, 1)


def test_tokens_are_those_of_otlp(receiver, store: MemoryStore) -> None:
    made = {role: receiver.tokens.create(role.value, role) for role in (Role.INGEST, Role.VIEWER)}
    body = request_v1(series_v1(GOOD, sample(1.0)))
    with (
        serving(http_app(receiver, RemoteWrite(receiver, Known()))) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
    ):
        assert post(client, body).status_code == 401
        assert post(client, body, authorization=f"Bearer {made[Role.VIEWER]}").status_code == 403
        assert store.batches == []
        assert post(client, body, authorization=f"Bearer {made[Role.INGEST]}").status_code == 204
    assert {each.sender: each.accepted for each in receiver.ledger.rows()} == {"127.0.0.1": 0, "ingest": 1}


def test_other_methods_and_an_agent_without_remote_write(client, receiver) -> None:
    answer = client.get("/api/v1/write")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    with serving(http_app(receiver)) as port:
        assert httpx.post(f"http://127.0.0.1:{port}/api/v1/write", content=b"").status_code == 404
