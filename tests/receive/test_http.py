"""OTLP over HTTP on a real socket: every answer of the specification, and what the ledger makes of it."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import zstandard
from google.protobuf.json_format import MessageToJson
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tests.receive.running import (
    JSON,
    PATHS,
    PROTOBUF,
    REQUESTS,
    logs_request,
    otlp_json,
    serving,
    wait_for,
)
from watchkeeper.errors import DiskNearlyFull, QueueFull, StoreError
from watchkeeper.receive.http import OtlpHttp, http_app
from watchkeeper.receive.ledger import LedgerRow
from watchkeeper.receive.receiver import Receiver
from watchkeeper.signals.schema import Signal

COMPRESS = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


def row(receiver: Receiver) -> LedgerRow:
    rows = receiver.ledger.rows()
    assert len(rows) == 1
    return rows[0]


def status_of(answer: httpx.Response) -> Status:
    assert answer.headers["content-type"] == "application/x-protobuf"
    return Status.FromString(answer.content)


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_telemetry_is_stored_and_acknowledged_in_its_own_encoding(client, receiver, store, signal, encoding) -> None:
    request = REQUESTS[signal](7)
    if encoding == "protobuf":
        answer = client.post(PATHS[signal], content=request.SerializeToString(), headers=PROTOBUF)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/x-protobuf"
    else:
        text = otlp_json(request)
        answer = client.post(PATHS[signal], content=text, headers={"content-type": "application/json; charset=utf-8"})
        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["content-type"] == "application/json"
    assert store.rows(signal) == 7
    counted = row(receiver)
    assert (counted.sender, counted.signal, counted.protocol) == ("127.0.0.1", signal, f"http/{encoding}")
    assert (counted.requests, counted.accepted, counted.rejected, counted.refused) == (1, 7, 0, 0)


@pytest.mark.parametrize("name", COMPRESS)
def test_compressed_bodies_are_taken_and_counted_decompressed(client, receiver, store, name) -> None:
    body = logs_request(50).SerializeToString()
    answer = client.post("/v1/logs", content=COMPRESS[name](body), headers={**PROTOBUF, "content-encoding": name})
    assert answer.status_code == 200
    assert store.rows(Signal.LOGS) == 50
    assert row(receiver).bytes == len(body)


def test_chunked_uploads_are_taken(client, store) -> None:
    body = logs_request(100).SerializeToString()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 97):
            yield body[start : start + 97]

    assert client.post("/v1/logs", content=pieces(), headers=PROTOBUF).status_code == 200
    assert store.rows(Signal.LOGS) == 100


def test_an_empty_request_is_a_success(client, receiver, store) -> None:
    assert client.post("/v1/logs", content=b"", headers=PROTOBUF).status_code == 200
    assert client.post("/v1/logs", content=b"{}", headers=JSON).status_code == 200
    assert store.batches == []
    assert [counted.accepted for counted in receiver.ledger.rows()] == [0, 0]


def test_records_that_cannot_be_stored_are_told_as_partial_success(client, receiver, store) -> None:
    request = logs_request(3)
    request.resource_logs[0].scope_logs[0].log_records[1].time_unix_nano = 2**63
    answer = client.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
    assert answer.status_code == 200
    partial = ExportLogsServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_log_records == 1
    assert partial.error_message
    as_json = client.post("/v1/logs", content=MessageToJson(request), headers=JSON).json()
    assert as_json["partialSuccess"]["rejectedLogRecords"] == "1"
    assert store.rows(Signal.LOGS) == 4
    assert [(counted.accepted, counted.rejected) for counted in receiver.ledger.rows()] == [(2, 1), (2, 1)]


def test_a_request_of_bad_records_only_is_told_too(client, receiver, store) -> None:
    request = logs_request(2, time_unix_ns=2**63)
    answer = client.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
    assert ExportLogsServiceResponse.FromString(answer.content).partial_success.rejected_log_records == 2
    assert store.batches == []
    assert row(receiver).rejected == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (PROTOBUF, b"\x0a\xff\xff\xff\xff\x0f"),
        (PROTOBUF, logs_request(3).SerializeToString()[:-2]),
        ({**PROTOBUF, "content-encoding": "gzip"}, b"not gzip"),
        ({**PROTOBUF, "content-encoding": "gzip"}, gzip.compress(b"x" * 1000)[:-9]),
        ({**PROTOBUF, "content-encoding": "zstd"}, b"not zstd"),
    ],
    ids=["garbage", "cut", "not gzip", "cut gzip", "not zstd"],
)
def test_malformed_protobuf_is_400_with_a_status(client, receiver, headers, body) -> None:
    answer = client.post("/v1/logs", content=body, headers=headers)
    assert answer.status_code == 400
    assert "retry-after" not in answer.headers
    status = status_of(answer)
    assert (status.code, len(status.details)) == (3, 0)
    assert status.message
    assert (row(receiver).requests, row(receiver).rejected, row(receiver).accepted) == (1, 1, 0)
    assert row(receiver).last_error == status.message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceLogs": 5}', b"\xff", b"[" * 100_000])
def test_malformed_json_is_400_with_a_status_in_json(client, body) -> None:
    answer = client.post("/v1/logs", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == 3
    assert answer.json()["message"]


def test_unknown_paths_are_404_and_name_the_known_ones(client, receiver) -> None:
    answer = client.post("/v1/log", content=b"", headers=PROTOBUF)
    assert answer.status_code == 404
    assert status_of(answer).code == 5
    assert "/v1/logs" in status_of(answer).message
    assert client.get("/").json()["code"] == 5
    assert receiver.ledger.rows() == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
def test_other_methods_are_405_with_allow(client, method) -> None:
    answer = client.request(method, "/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_unknown_content_types_are_415_with_those_that_are_known(client, receiver) -> None:
    for content_type in ("text/plain", "", "application/grpc"):
        answer = client.post("/v1/logs", content=b"x", headers={"content-type": content_type})
        assert answer.status_code == 415
        assert answer.headers["accept-post"] == "application/x-protobuf, application/json"
        assert answer.json()["code"] == 3
    assert row(receiver).rejected == 3


@pytest.mark.parametrize("named", ["br", "gzip, gzip", "snappy"])
def test_unknown_compressions_are_415_with_those_that_are_known(client, named) -> None:
    answer = client.post("/v1/logs", content=b"x", headers={**PROTOBUF, "content-encoding": named})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, zstd, deflate, identity"
    assert "zstd" in status_of(answer).message


def test_a_body_over_the_limit_is_413_before_it_is_sent_when_its_length_is_told(http_port, receiver) -> None:
    with socket.create_connection(("127.0.0.1", http_port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 200001\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert row(receiver).rejected == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_over_the_limit_is_413_to_a_client_that_goes_on_sending(client, store, chunked) -> None:
    body = b"x" * 5_000_000
    content = iter([body[:100_000]] * 50) if chunked else body
    answer = client.post("/v1/logs", content=content, headers=PROTOBUF)
    assert answer.status_code == 413
    assert "retry-after" not in answer.headers
    assert (status_of(answer).code, len(status_of(answer).details)) == (8, 0)
    assert store.batches == []
    assert client.post("/v1/logs", content=b"", headers=PROTOBUF).status_code == 200


@pytest.mark.parametrize("name", ["gzip", "zstd", "deflate"])
def test_a_decompression_bomb_is_413(client, receiver, name) -> None:
    bomb = COMPRESS[name](b"\0" * 50_000_000)
    assert len(bomb) < 200_000
    answer = client.post("/v1/logs", content=bomb, headers={**PROTOBUF, "content-encoding": name})
    assert answer.status_code == 413
    assert "request_decompressed_bytes_max" in status_of(answer).message
    assert receiver.budget.held == 0


@pytest.mark.parametrize(
    ("refusal", "code", "rpc"),
    [
        (QueueFull("full", retry_after_s=2.5), 429, 8),
        (DiskNearlyFull("full", retry_after_s=2.5), 503, 14),
        (StoreError("closed"), 503, 14),
        (RuntimeError("a fault of ours"), 503, 14),
    ],
    ids=["queue", "disk", "store", "fault"],
)
@pytest.mark.parametrize("moment", ["at once", "later"])
def test_what_a_retry_can_mend_is_told_with_when(client, receiver, store, refusal, code, rpc, moment) -> None:
    if moment == "at once":
        store.refuse = refusal
    else:
        store.fail = refusal
    body = logs_request(4).SerializeToString()
    answer = client.post("/v1/logs", content=body, headers=PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (code, "3")
    status = status_of(answer)
    assert status.code == rpc
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 2500
    store.refuse = store.fail = None
    assert client.post("/v1/logs", content=body, headers=PROTOBUF).status_code == 200
    assert (row(receiver).refused, row(receiver).accepted, row(receiver).requests) == (4, 4, 2)
    assert receiver.budget.held == 0


def test_a_retried_request_is_acknowledged_and_not_stored_twice(client, receiver, store) -> None:
    body = logs_request(4).SerializeToString()
    for _ in range(3):
        assert client.post("/v1/logs", content=body, headers=PROTOBUF).status_code == 200
    assert store.rows(Signal.LOGS) == 4
    assert (row(receiver).accepted, row(receiver).deduplicated) == (4, 8)


def test_nothing_is_acknowledged_before_it_is_durable(http_port, receiver, store) -> None:
    store.held = True
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(
            httpx.post,
            f"http://127.0.0.1:{http_port}/v1/logs",
            content=logs_request(2).SerializeToString(),
            headers=PROTOBUF,
            timeout=20,
        )
        wait_for(lambda: store.waiting)
        assert not answer.done()
        assert receiver.ledger.rows() == []
        store.release()
        assert answer.result().status_code == 200
    assert row(receiver).accepted == 2


def test_tokens_are_asked_for_once_there_is_one(client, receiver, store) -> None:
    body = logs_request(1).SerializeToString()
    sender = receiver.tokens.create("collector-1", "ingest")
    viewer = receiver.tokens.create("eve", "viewer")
    nobody = client.post("/v1/logs", content=body, headers=PROTOBUF)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert status_of(nobody).code == 16
    wrong = client.post("/v1/logs", content=body, headers={**PROTOBUF, "authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    basic = client.post("/v1/logs", content=body, headers={**PROTOBUF, "authorization": "Basic eDp5"})
    assert basic.status_code == 401
    forbidden = client.post("/v1/logs", content=body, headers={**PROTOBUF, "authorization": f"Bearer {viewer}"})
    assert (forbidden.status_code, status_of(forbidden).code) == (403, 7)
    assert store.batches == []
    allowed = client.post("/v1/logs", content=body, headers={**PROTOBUF, "authorization": f"bearer {sender}"})
    assert allowed.status_code == 200
    assert [(counted.sender, counted.accepted, counted.rejected) for counted in receiver.ledger.rows()] == [
        ("127.0.0.1", 0, 4),
        ("collector-1", 1, 0),
    ]
    assert client.get("/health").status_code == 200


def test_a_client_that_goes_away_leaves_nothing_behind(http_port, receiver, store) -> None:
    with socket.create_connection(("127.0.0.1", http_port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
        )
        wait_for(lambda: receiver.budget.held == 1)
    wait_for(receiver.ledger.rows)
    assert (row(receiver).refused, row(receiver).accepted) == (1, 0)
    assert receiver.budget.held == 0
    assert store.batches == []


def test_a_client_that_goes_away_while_the_disk_works_is_counted_as_stored(http_port, receiver, store) -> None:
    store.held = True
    body = logs_request(5).SerializeToString()
    with socket.create_connection(("127.0.0.1", http_port), timeout=10) as connection:
        head = (
            b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: %d\r\n\r\n"
        )
        connection.sendall(head % len(body) + body)
        wait_for(lambda: store.waiting)
    store.release()
    wait_for(receiver.ledger.rows)
    assert row(receiver).accepted == 5


def test_a_client_that_stops_in_the_middle_is_told_to_come_again(receiver) -> None:
    with (
        serving(OtlpHttp(receiver, read_timeout_s=0.05)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(
            b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 503 ")
    assert row(receiver).refused == 1


def test_bodies_in_flight_are_bounded_all_together(make_receiver: Callable[..., Receiver]) -> None:
    receiver = make_receiver(queue_bytes_max=10_000)
    with serving(http_app(receiver)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
            slow.sendall(
                b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
                + b" " * 9_000
            )
            wait_for(lambda: receiver.budget.held == 9_000)
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/logs", content=b" " * 2_000, headers=JSON, timeout=20)
            assert answer.status_code == 429
            assert answer.headers["retry-after"] == "1"
        wait_for(lambda: receiver.budget.held == 0)
        body = logs_request(600).SerializeToString()
        assert len(body) > 10_000, "one that is alone may pass the bound"
        assert httpx.post(f"http://127.0.0.1:{port}/v1/logs", content=body, headers=PROTOBUF).status_code == 200


def test_health_needs_nothing(client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.head("/health").status_code == 200
    answer = client.post("/health")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_connection_is_kept_over_answers_of_all_kinds(http_port, receiver) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{http_port}") as client:
        pool = client._transport._pool  # type: ignore[attr-defined]
        for path, body in (("/v1/logs", b""), ("/v1/logs", b"\xff"), ("/nowhere", b"x"), ("/v1/logs", b"")):
            client.post(path, content=body, headers=PROTOBUF)
        assert len(pool.connections) == 1


def test_the_answer_to_json_that_is_pipelined_keeps_its_order(http_port) -> None:
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with socket.create_connection(("127.0.0.1", http_port), timeout=10) as connection:
        connection.sendall(head % b"/v1/logs" + head % b"/nowhere" + head % b"/v1/traces")
        seen = b""
        while seen.count(b"HTTP/1.1") < 3 or not seen.endswith(b"{}"):
            seen += connection.recv(4096)
    codes = [part[1:4] for part in seen.split(b"HTTP/1.1")[1:]]
    assert codes == [b"200", b"404", b"200"]


def test_messages_of_hostile_length_are_cut(client) -> None:
    answer = client.post("/" + "x" * 5000, content=b"", headers=JSON)
    assert len(json.loads(answer.content)["message"]) < 500
