"""OTLP over gRPC with a real channel: every answer of the specification, and what the ledger makes of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.receive.running import REQUESTS, call, failure, logs_request, traces_request
from watchkeeper.errors import DiskNearlyFull, QueueFull, SettingError, StoreError
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.receiver import Receiver
from watchkeeper.signals.schema import Signal

LOGS = logs_request(4).SerializeToString()


@pytest.fixture
def port(receiver: Receiver) -> Iterator[int]:
    server = GrpcServer(receiver, receiver.settings)
    yield server.start()
    server.stop(1)


@pytest.fixture
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)]) as opened:
        yield opened


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_telemetry_is_stored_and_acknowledged(channel, receiver, store, signal, compression) -> None:
    payload = REQUESTS[signal](300).SerializeToString()
    assert call(channel, signal, payload, compression=compression) == b""
    assert store.rows(signal) == 300
    (row,) = receiver.ledger.rows()
    assert (row.sender, row.signal, row.protocol, row.accepted, row.bytes) == (
        "127.0.0.1",
        signal,
        "grpc",
        300,
        len(payload),
    )
    assert receiver.budget.held == 0


def test_an_empty_request_is_a_success(channel, store) -> None:
    assert call(channel, Signal.LOGS, b"") == b""
    assert store.batches == []


@pytest.mark.parametrize(
    ("signal", "response", "field"),
    [
        (Signal.SPANS, ExportTraceServiceResponse, "rejected_spans"),
        (Signal.METRICS, ExportMetricsServiceResponse, "rejected_data_points"),
    ],
)
def test_records_that_cannot_be_stored_are_told_as_partial_success(channel, signal, response, field) -> None:
    request = REQUESTS[signal](3)
    if signal is Signal.SPANS:
        request.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = 2**63
    else:
        request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].time_unix_nano = 2**63
    partial = response.FromString(call(channel, signal, request.SerializeToString())).partial_success
    assert getattr(partial, field) == 1
    assert partial.error_message


def test_malformed_messages_are_invalid_arguments(channel, receiver) -> None:
    for payload in (b"\xff\xff", LOGS[:-1]):
        failed = failure(channel, Signal.LOGS, payload)
        assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failed.retry_s is None
        assert failed.status is not None
        assert failed.status.code == 3
    (row,) = receiver.ledger.rows()
    assert (row.requests, row.rejected, row.accepted) == (2, 2, 0)


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (QueueFull("full", retry_after_s=2.5), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (DiskNearlyFull("full", retry_after_s=2.5), grpc.StatusCode.UNAVAILABLE),
        (StoreError("closed"), grpc.StatusCode.UNAVAILABLE),
        (RuntimeError("a fault of ours"), grpc.StatusCode.UNAVAILABLE),
    ],
    ids=["queue", "disk", "store", "fault"],
)
@pytest.mark.parametrize("moment", ["at once", "later"])
def test_what_a_retry_can_mend_is_told_with_when(channel, receiver, store, refusal, code, moment) -> None:
    if moment == "at once":
        store.refuse = refusal
    else:
        store.fail = refusal
    failed = failure(channel, Signal.LOGS, LOGS)
    assert (failed.code, failed.retry_s, failed.retry_trailer_s) == (code, 2.5, 2.5)
    store.refuse = store.fail = None
    call(channel, Signal.LOGS, LOGS)
    (row,) = receiver.ledger.rows()
    assert (row.refused, row.accepted) == (4, 4)


def test_a_message_over_the_limit_is_exhausted_without_a_retry(channel, receiver, store) -> None:
    failed = failure(channel, Signal.LOGS, b"\n" * 300_000)
    assert (failed.code, failed.retry_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert failed.status is not None
    assert "request_bytes_max" in failed.status.message
    (row,) = receiver.ledger.rows()
    assert row.rejected == 1
    assert store.batches == []


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_a_message_far_over_the_limit_is_refused_by_grpc_itself(channel, compression) -> None:
    failed = failure(channel, Signal.LOGS, bytes(30_000_000), compression=compression)
    assert (failed.code, failed.retry_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    call(channel, Signal.LOGS, LOGS)


def test_tokens_are_asked_for_once_there_is_one(channel, receiver, store) -> None:
    sender = receiver.tokens.create("collector-1", "ingest")
    viewer = receiver.tokens.create("eve", "viewer")
    assert failure(channel, Signal.LOGS, LOGS).code is grpc.StatusCode.UNAUTHENTICATED
    wrong = failure(channel, Signal.LOGS, LOGS, metadata=[("authorization", "Bearer wrong")])
    assert (wrong.code, wrong.retry_s) == (grpc.StatusCode.UNAUTHENTICATED, None)
    forbidden = failure(channel, Signal.LOGS, LOGS, metadata=[("authorization", f"Bearer {viewer}")])
    assert forbidden.code is grpc.StatusCode.PERMISSION_DENIED
    assert store.batches == []
    call(channel, Signal.LOGS, LOGS, metadata=[("authorization", f"Bearer {sender}")])
    assert [(row.sender, row.accepted, row.rejected) for row in receiver.ledger.rows()] == [
        ("127.0.0.1", 0, 3),
        ("collector-1", 4, 0),
    ]


def test_a_retried_message_is_acknowledged_and_not_stored_twice(channel, receiver, store) -> None:
    for _ in range(3):
        call(channel, Signal.LOGS, LOGS)
    assert store.rows(Signal.LOGS) == 4
    assert receiver.ledger.rows()[0].deduplicated == 8


def test_services_and_methods_that_do_not_exist_are_unimplemented(channel) -> None:
    for method in ("/opentelemetry.proto.collector.logs.v1.LogsService/Import", "/grpc.health.v1.Health/Check"):
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(method)(b"", timeout=20)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_long_messages_of_errors_fit_into_the_trailer(channel, store) -> None:
    store.refuse = QueueFull("x" * 100_000 + "\u20ac")
    assert failure(channel, Signal.LOGS, LOGS).code is grpc.StatusCode.RESOURCE_EXHAUSTED
    store.refuse = QueueFull("\u20ac" * 100_000)
    failed = failure(channel, Signal.LOGS, LOGS)
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed.status is not None
    assert failed.status.message.startswith("\u20ac")


def test_calls_under_way_are_finished_when_the_server_stops(receiver, store) -> None:
    server = GrpcServer(receiver, receiver.settings)
    store.held = True
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        answer = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export").future(
            traces_request(1).SerializeToString(), timeout=20
        )
        while not store.waiting:
            assert not answer.done()
        store.release()
        server.stop(10)
        assert answer.result() == b""
    server.stop(1)


def test_a_taken_port_is_told_with_the_setting_to_change(make_receiver: Callable[..., Receiver]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        receiver = make_receiver(otlp_grpc_port=taken.getsockname()[1])
        with pytest.raises(SettingError, match="otlp_grpc_port=NUMBER"):
            GrpcServer(receiver, receiver.settings).start()


def test_two_servers_do_not_share_a_port_in_silence(port, make_receiver: Callable[..., Receiver]) -> None:
    receiver = make_receiver(otlp_grpc_port=port)
    with pytest.raises(SettingError):
        GrpcServer(receiver, receiver.settings).start()
