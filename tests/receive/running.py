"""What the tests of the receiver run: real servers on loopback, a store in memory that can be told to refuse."""

from __future__ import annotations

import asyncio
import base64
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import pyarrow as pa
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.receive.listen import HttpServer, bind
from watchkeeper.receive.tls_files import TlsContexts
from watchkeeper.receive.tls_gate import TurnedAway
from watchkeeper.signals.schema import Signal
from watchkeeper.store.entry import Appended

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
NOW_NS = 1_763_700_000_000_000_000


class MemoryStore:
    """Stands in for the store at its boundary: acknowledges at once, or does what a test asks for.

    `refuse` is raised by append, `fail` is what the disk says later; while `held` is set nothing is acknowledged.
    """

    def __init__(self) -> None:
        self.batches: list[tuple[Signal, str, pa.RecordBatch]] = []
        self.refuse: Exception | None = None
        self.fail: Exception | None = None
        self.held = False
        self.waiting: list[tuple[Future[Appended], Appended]] = []
        self._seen: dict[tuple[Signal, str, bytes], int] = {}
        self._lock = threading.Lock()

    def append(
        self,
        signal: Signal,
        encoding: str,
        sender: str,
        received_unix_ns: int,
        payload: bytes,
        batch: pa.RecordBatch,
    ) -> Future[Appended]:
        if self.refuse is not None:
            raise self.refuse
        future: Future[Appended] = Future()
        if self.fail is not None:
            future.set_exception(self.fail)
            return future
        with self._lock:
            key = (signal, sender, payload)
            duplicate = key in self._seen
            sequence = self._seen.setdefault(key, len(self._seen) + 1)
            if not duplicate:
                self.batches.append((signal, sender, batch))
            if self.held:
                self.waiting.append((future, Appended(sequence, duplicate)))
            else:
                future.set_result(Appended(sequence, duplicate))
        return future

    def release(self) -> None:
        self.held = False
        for future, appended in self.waiting:
            future.set_result(appended)
        self.waiting.clear()

    def rows(self, signal: Signal) -> int:
        return sum(batch.num_rows for kind, _, batch in self.batches if kind is signal)


@contextmanager
def serving(app: Any, tls: TlsContexts | None = None, *, turned_away: TurnedAway | None = None) -> Iterator[int]:
    """Serve an ASGI application on a free port of loopback; gives the port."""
    listener = bind("127.0.0.1", 0, "otlp_http_port")
    server = HttpServer(app, tls, turned_away=turned_away)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def wait_for(condition: Callable[[], Any], *, within_s: float = 20.0) -> Any:
    """Poll until the condition gives something true; fails after the deadline."""
    deadline = time.monotonic() + within_s
    pause = select.poll()
    while time.monotonic() < deadline:
        got = condition()
        if got:
            return got
        pause.poll(5)
    raise AssertionError(f"the condition did not come true within {within_s:g} s")


def logs_request(
    count: int, *, body: str = "line", service: str = "cart", time_unix_ns: int = NOW_NS
) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add()
    for number in range(count):
        record = scope.log_records.add(time_unix_nano=time_unix_ns + number, severity_number=9)  # type: ignore[arg-type]
        record.body.string_value = f"{body} {number}"
    return request


def metrics_request(count: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="load")
    for number in range(count):
        metric.gauge.data_points.add(time_unix_nano=NOW_NS + number, as_double=number / 2)
    return request


def traces_request(count: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(count):
        scope.spans.add(
            trace_id=b"\1" * 16,
            span_id=number.to_bytes(8, "big"),
            name="GET /",
            start_time_unix_nano=NOW_NS,
            end_time_unix_nano=NOW_NS + 5,
        )
    return request


def otlp_json(request: Message) -> str:
    """Write a request as OTLP's JSON, in which trace and span ids are hexadecimal and not base64."""

    def mend(value: Any) -> Any:
        if isinstance(value, list):
            return [mend(each) for each in value]
        if isinstance(value, dict):
            return {key: to_hex(each) if key in {"traceId", "spanId"} else mend(each) for key, each in value.items()}
        return value

    def to_hex(text: str) -> str:
        return base64.b64decode(text).hex()

    return json.dumps(mend(MessageToDict(request)))


REQUESTS: dict[Signal, Callable[[int], Any]] = {
    Signal.LOGS: logs_request,
    Signal.METRICS: metrics_request,
    Signal.SPANS: traces_request,
}
PATHS = {Signal.LOGS: "/v1/logs", Signal.METRICS: "/v1/metrics", Signal.SPANS: "/v1/traces"}
METHODS = {
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.SPANS: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}


class Failure(NamedTuple):
    """How a gRPC call failed: its code, the google.rpc.Status, the seconds to wait as told in it and in a trailer."""

    code: grpc.StatusCode
    status: Status | None
    retry_s: float | None
    retry_trailer_s: float | None


def call(channel: grpc.Channel, signal: Signal, payload: bytes, **options: Any) -> bytes:
    answer: bytes = channel.unary_unary(METHODS[signal])(payload, timeout=20, **options)
    return answer


def failure(channel: grpc.Channel, signal: Signal, payload: bytes, **options: Any) -> Failure:
    """Make a call that has to fail."""
    try:
        call(channel, signal, payload, **options)
    except grpc.RpcError as error:
        details = {key: value for key, value in error.trailing_metadata() or ()}  # noqa: C416 - pairs of gRPC's own type
        raw = details.get("grpc-status-details-bin")
        status = Status.FromString(raw) if raw else None
        retry_s = None
        for detail in status.details if status else ():
            info = RetryInfo()
            if detail.Unpack(info):
                retry_s = info.retry_delay.ToTimedelta().total_seconds()
        trailer = details.get("google.rpc.retryinfo-bin")
        trailer_s = RetryInfo.FromString(trailer).retry_delay.ToTimedelta().total_seconds() if trailer else None
        return Failure(error.code(), status, retry_s, trailer_s)
    raise AssertionError("the call did not fail")
