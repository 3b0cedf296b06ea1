"""A small real OTLP/HTTP collector for the shop's tests: it decodes with opentelemetry-proto and keeps everything."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    service: str
    version: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_span_id: str
    seconds: float
    status: int
    attributes: dict[str, Any]
    links: list[str]


class Log(NamedTuple):
    service: str
    version: str
    severity: int
    body: str
    trace_id: str
    attributes: dict[str, Any]
    time_unix_ns: int


class Point(NamedTuple):
    service: str
    name: str
    attributes: dict[str, Any]
    value: float  # of a histogram: its sum
    count: int
    time_unix_ns: int


class Sink:
    """Listens on a free port of loopback from `start` to `stop`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._logs: list[Log] = []
        self._points: list[Point] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            {"/v1/traces": self._take_spans, "/v1/logs": self._take_logs, "/v1/metrics": self._take_metrics}[path](body)

    def spans(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    def logs(self) -> list[Log]:
        with self._lock:
            return list(self._logs)

    def points(self) -> list[Point]:
        with self._lock:
            return list(self._points)

    def _take_spans(self, body: bytes) -> None:
        for resource, span in _flat(ExportTraceServiceRequest.FromString(body).resource_spans, "scope_spans", "spans"):
            self._spans.append(
                Span(
                    str(resource["service.name"]),
                    str(resource.get("service.version", "")),
                    span.name,
                    span.kind,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    span.status.code,
                    _plain(span.attributes),
                    [link.trace_id.hex() for link in span.links],
                )
            )

    def _take_logs(self, body: bytes) -> None:
        for resource, log in _flat(
            ExportLogsServiceRequest.FromString(body).resource_logs, "scope_logs", "log_records"
        ):
            self._logs.append(
                Log(
                    str(resource["service.name"]),
                    str(resource.get("service.version", "")),
                    log.severity_number,
                    log.body.string_value,
                    log.trace_id.hex(),
                    _plain(log.attributes),
                    log.time_unix_nano,
                )
            )

    def _take_metrics(self, body: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        for resource, metric in _flat(request.resource_metrics, "scope_metrics", "metrics"):
            data = getattr(metric, metric.WhichOneof("data"))
            for point in data.data_points:
                histogram = metric.HasField("histogram")
                value = point.sum if histogram else point.as_double or float(point.as_int)
                count = point.count if histogram else 1
                self._points.append(
                    Point(
                        str(resource["service.name"]),
                        metric.name,
                        _plain(point.attributes),
                        value,
                        count,
                        point.time_unix_nano,
                    )
                )


def _flat(resources: Any, scopes: str, items: str) -> Any:
    for resource in resources:
        attributes = _plain(resource.resource.attributes)
        for scope in getattr(resource, scopes):
            for item in getattr(scope, items):
                yield attributes, item


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}
