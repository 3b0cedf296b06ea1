"""Telemetry as a real program sends it: the OpenTelemetry SDK's exporters over OTLP/HTTP, with times of our choosing.

`tell_history` tells of services that were calm for some minutes until one had a fault. Times lie in the past up to now,
so that minutes of learning take seconds of the test's time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

SECOND_NS = 10**9
HOSTILE = '<img src=x onerror="document.title=1"> \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202eturned'


class Sender:
    """The SDK of one service; `close` it at the end."""

    def __init__(self, endpoint: str, service: str) -> None:
        resource = Resource.create({"service.name": service, "service.version": "1.4.2", "host.name": "n1"})
        self._logs = LoggerProvider(resource=resource)
        self._logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{endpoint}/v1/logs")))
        self._traces = TracerProvider(resource=resource)
        self._traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
        exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
        self._metrics = MeterProvider(resource=resource, metric_readers=[reader])
        self.logger = self._logs.get_logger("shop")
        self.tracer = self._traces.get_tracer("shop")
        self.meter = self._metrics.get_meter("shop")

    def close(self) -> None:
        """Send what waits and end."""
        self.flush()
        self._logs.shutdown()
        self._traces.shutdown()
        self._metrics.shutdown()

    def flush(self) -> None:
        self._logs.force_flush()
        self._traces.force_flush()
        self._metrics.force_flush()

    def log(
        self, body: str, severity: SeverityNumber = SeverityNumber.INFO, at_unix_ns: int = 0, **extra: object
    ) -> None:
        self.logger.emit(
            LogRecord(
                timestamp=at_unix_ns or time.time_ns(),
                severity_number=severity,
                body=body,
                attributes={"http.route": "/checkout", **extra},  # type: ignore[dict-item]
            )
        )

    def measure(self) -> None:
        """Send a histogram, a counter and a gauge."""
        duration = self.meter.create_histogram("http.server.request.duration", unit="s", description="Duration")
        orders = self.meter.create_counter("shop.orders", unit="{order}", description="Orders placed")
        memory = self.meter.create_gauge("process.memory.usage", unit="By", description="Memory in use")
        for number in range(50):
            duration.record(0.02 + number / 500, {"http.route": "/checkout" if number % 2 else "/cart"})
            orders.add(1, {"payment": "card"})
        memory.set(300 * 2**20)
        self._metrics.force_flush()

    def trace(self, started_unix_ns: int, *, fails: bool = True) -> str:
        """Send a trace of a checkout, failed with a log line within it or gone well; gives its id."""
        root = self.tracer.start_span("POST /checkout", start_time=started_unix_ns)
        inside = set_span_in_context(root)
        ms = 10**6
        prices = self.tracer.start_span("GET /prices", context=inside, start_time=started_unix_ns + 5 * ms)
        prices.end(started_unix_ns + 25 * ms)
        charge = self.tracer.start_span(
            "POST /charge", context=inside, start_time=started_unix_ns + 30 * ms, attributes={"card.brand": "visa"}
        )
        if fails:
            self._fail(charge, started_unix_ns + 200 * ms)
            root.set_status(Status(StatusCode.ERROR))
        charge.end(started_unix_ns + 210 * ms)
        root.end(started_unix_ns + 220 * ms)
        return f"{root.get_span_context().trace_id:032x}"

    def _fail(self, span: Span, at_unix_ns: int) -> None:
        span.add_event("exception", {"exception.type": "ConnectTimeout"}, timestamp=at_unix_ns)
        span.set_status(Status(StatusCode.ERROR, "bank gateway timed out"))
        self.logger.emit(
            LogRecord(
                timestamp=at_unix_ns,
                severity_number=SeverityNumber.ERROR,
                body="charging the card timed out",
                context=set_span_in_context(span),
            )
        )


def tell_history(senders: Sequence[Sender], *, calm_s: int, fault_s: int, seed: int = 7) -> None:
    """Log a calm time of all services and then a fault of the first, which lasts until now.

    The fault is many more errors, and a line never logged before. Services are told in turn, as time goes on.
    """
    chance = random.Random(seed)
    begin = time.time_ns() - (calm_s + fault_s) * SECOND_NS
    for second in range(calm_s + fault_s):
        at = begin + second * SECOND_NS
        for sender in senders:
            _usual_second(sender, at, chance)
            if second % 8 == 0:
                sender.log(f"payment of order {second} refused: card expired", SeverityNumber.ERROR, at)
        if second >= calm_s:
            _bad_second(senders[0], at)
        if second % 10 == 9:
            for sender in senders:
                sender.flush()


def _usual_second(sender: Sender, at_unix_ns: int, chance: random.Random) -> None:
    for number in range(6):
        when = at_unix_ns + number * 150_000_000
        sender.log(f"order {chance.randint(1, 9999)} placed by customer {chance.randint(1, 99)}", at_unix_ns=when)
        sender.log(f"GET /cart took {chance.randint(2, 90)} ms", at_unix_ns=when + 1000)


def _bad_second(sender: Sender, at_unix_ns: int) -> None:
    for number in range(4):
        when = at_unix_ns + number * 200_000_000
        sender.log(f"payment of order {number} refused: card expired", SeverityNumber.ERROR, when)
        line = f"could not reach bank gateway 10.2.0.{number}:8443 after 3 attempts"
        sender.log(line, SeverityNumber.FATAL, when + 5)
