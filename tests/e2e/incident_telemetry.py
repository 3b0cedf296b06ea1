"""Telemetry of a small shop whose payments break: spans, logs and metrics as OTLP bytes, with times of our choosing.

frontend calls checkout and catalogue, checkout calls payments, payments asks its database. During the fault payments is
slow, fails, logs a line never logged before, and its pool of connections fills up; its callers suffer.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.e2e.product import PROTOBUF

SECOND_NS = 10**9
MS_NS = 10**6
SERVICES = ("frontend", "catalogue", "checkout", "payments")
REQUESTS_A_SECOND = 2
BATCH_S = 10
INFO, ERROR = 9, 17
HOSTILE = '<img src=x onerror="document.title=alert">'
SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


def keyed(**values: str) -> list[KeyValue]:
    return [KeyValue(key=name.replace("__", "."), value=AnyValue(string_value=value)) for name, value in values.items()]


class Shop:
    """Tells what the shop did, second by second; `send` brings it to a Watchkeeper."""

    def __init__(self, endpoint: str, *, seed: int = 11) -> None:
        self._endpoint = endpoint
        self._chance = random.Random(seed)
        self._start_batch()

    def tell(self, from_unix_ns: int, seconds: int, *, is_broken: Callable[[int], bool]) -> None:
        """Tell of some seconds; `is_broken` says of each whether payments is."""
        for second in range(seconds):
            at = from_unix_ns + second * SECOND_NS
            for number in range(REQUESTS_A_SECOND):
                self._request(at + number * SECOND_NS // REQUESTS_A_SECOND, broken=is_broken(second))
            if second % 5 == 0:
                self._measure(at, broken=is_broken(second))
            if second % BATCH_S == BATCH_S - 1:
                self.send()
        self.send()

    def send(self) -> None:
        """Send what was told since."""
        for signal, request in (("traces", self._spans), ("logs", self._logs), ("metrics", self._metrics)):
            answer = httpx.post(
                f"{self._endpoint}/v1/{signal}", content=request.SerializeToString(), headers=PROTOBUF, timeout=30
            )
            assert answer.status_code == 200, answer.text
        self._start_batch()

    def _start_batch(self) -> None:
        self._spans, self._logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
        self._metrics = ExportMetricsServiceRequest()
        self._span_scopes, self._log_scopes, self._metric_scopes = {}, {}, {}
        for service in SERVICES:
            resource = Resource(attributes=keyed(service__name=service, host__name="n1"))
            spans, logs = self._spans.resource_spans.add(), self._logs.resource_logs.add()
            metrics = self._metrics.resource_metrics.add()
            for part in (spans, logs, metrics):
                part.resource.CopyFrom(resource)
            self._span_scopes[service] = spans.scope_spans.add()
            self._log_scopes[service] = logs.scope_logs.add()
            self._metric_scopes[service] = metrics.scope_metrics.add()

    def _request(self, at: int, *, broken: bool) -> None:
        trace = self._chance.randbytes(16)
        refused = broken and self._chance.random() < 0.6
        paying = int(self._chance.uniform(20, 30) * MS_NS * (12 if broken else 1))
        root = self._span("frontend", "POST /checkout", SERVER, at, paying + 40 * MS_NS, trace, b"", refused=refused)
        self._call("frontend", "catalogue", "GET /prices", at + MS_NS, self._usual_ns(8), trace, root)
        begun = at + 20 * MS_NS
        checkout = self._call(
            "frontend", "checkout", "POST /order", begun, paying + 12 * MS_NS, trace, root, refused=refused
        )
        payments = self._call(
            "checkout", "payments", "POST /charge", begun + 4 * MS_NS, paying, trace, checkout, refused=refused
        )
        self._span(
            "payments",
            "SELECT cards",
            CLIENT,
            begun + 6 * MS_NS,
            self._usual_ns(5),
            trace,
            payments,
            db__system__name="postgresql",
            server__address="cards-db",
        )
        self._log("checkout", f"order {self._chance.randint(1, 9999)} placed", INFO, at, trace)
        self._log("payments", f"charged card in {paying // MS_NS} ms", INFO, begun + paying, trace)
        self._log("catalogue", f"prices of {self._chance.randint(1, 40)} items read", INFO, at, trace)
        if refused:
            line = f"no free connection to cards-db after {self._chance.randint(200, 400)} ms {HOSTILE}"
            self._log("payments", line, ERROR, begun + paying, trace)

    def _usual_ns(self, ms: float) -> int:
        return int(self._chance.uniform(0.8, 1.25) * ms * MS_NS)

    def _call(
        self,
        caller: str,
        callee: str,
        name: str,
        at: int,
        duration: int,
        trace: bytes,
        parent: bytes,
        *,
        refused: bool = False,
    ) -> bytes:
        outgoing = self._span(caller, name, CLIENT, at, duration + 3 * MS_NS, trace, parent, refused=refused)
        return self._span(callee, name, SERVER, at + MS_NS, duration, trace, outgoing, refused=refused)

    def _span(
        self,
        service: str,
        name: str,
        kind: Span.SpanKind,
        at: int,
        duration: int,
        trace: bytes,
        parent: bytes,
        *,
        refused: bool = False,
        **attributes: str,
    ) -> bytes:
        span = self._span_scopes[service].spans.add(
            trace_id=trace,
            span_id=self._chance.randbytes(8),
            parent_span_id=parent,
            name=name,
            kind=kind,
            start_time_unix_nano=at,
            end_time_unix_nano=at + duration,
            attributes=keyed(**attributes),
        )
        if refused:
            span.status.code = 2
            span.status.message = "no free connection"
        return bytes(span.span_id)

    def _log(self, service: str, body: str, severity_number: int, at: int, trace: bytes) -> None:
        self._log_scopes[service].log_records.add(
            time_unix_nano=at, severity_number=severity_number, body=AnyValue(string_value=body), trace_id=trace
        )

    def _measure(self, at: int, *, broken: bool) -> None:
        for service in SERVICES:
            self._gauge(service, "process.cpu.utilization", "1", self._chance.uniform(0.2, 0.24), at)
        used = 20 if broken else self._chance.randint(3, 6)
        self._gauge("payments", "db.client.connection.count", "{connection}", used, at)

    def _gauge(self, service: str, name: str, unit: str, value: float, at: int) -> None:
        metric = self._metric_scopes[service].metrics.add(name=name, unit=unit)
        metric.gauge.data_points.add(time_unix_nano=at, as_double=value)


def tell_calm(shop: Shop, seconds: int, *, until_unix_ns: int) -> None:
    """Tell of a calm time that ends then."""
    shop.tell(until_unix_ns - seconds * SECOND_NS, seconds, is_broken=lambda _: False)


def tell_fault(shop: Shop, seconds: int, *, from_unix_ns: int) -> None:
    """Tell of a time in which payments is broken."""
    shop.tell(from_unix_ns, seconds, is_broken=lambda _: True)
