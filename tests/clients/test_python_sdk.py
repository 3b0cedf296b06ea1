"""The OpenTelemetry SDK for Python sends to a real receiver, and SQL shows that all of it arrived as it was meant."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, StatusCode

from tests.clients.keeping import Keeper, attributes
from watchkeeper.errors import DiskNearlyFull, QueueFull
from watchkeeper.signals.schema import Signal

RESOURCE = Resource({"service.name": "checkout", "service.version": "1.4.2", "host.cpus": 8})


class Exporters(NamedTuple):
    """The three exporters of one way to send."""

    protocol: str
    logs: Callable[[Keeper], Any]
    metrics: Callable[[Keeper], Any]
    spans: Callable[[Keeper], Any]


def http(kind: Any, path: str, compression: Compression) -> Callable[[Keeper], Any]:
    return lambda keeper: kind(endpoint=f"http://127.0.0.1:{keeper.http_port}{path}", compression=compression)


def by_grpc(kind: Any, compression: grpc.Compression) -> Callable[[Keeper], Any]:
    return lambda keeper: kind(endpoint=f"127.0.0.1:{keeper.grpc_port}", insecure=True, compression=compression)


def over_http(compression: Compression) -> Exporters:
    return Exporters(
        "http/protobuf",
        http(HttpLogs, "/v1/logs", compression),
        http(HttpMetrics, "/v1/metrics", compression),
        http(HttpSpans, "/v1/traces", compression),
    )


def over_grpc(compression: grpc.Compression) -> Exporters:
    return Exporters(
        "grpc", by_grpc(GrpcLogs, compression), by_grpc(GrpcMetrics, compression), by_grpc(GrpcSpans, compression)
    )


WAYS = {
    "http": over_http(Compression.NoCompression),
    "http gzip": over_http(Compression.Gzip),
    "http deflate": over_http(Compression.Deflate),
    "grpc": over_grpc(grpc.Compression.NoCompression),
    "grpc gzip": over_grpc(grpc.Compression.Gzip),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Exporters:
    return WAYS[request.param]


@contextmanager
def logging_to(exporter: Any) -> Iterator[logging.Logger]:
    provider = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    handler = LoggingHandler(logger_provider=provider)
    logger = logging.getLogger(f"shop.{uuid.uuid4().hex}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield logger
        assert provider.force_flush(20_000)
    finally:
        logger.removeHandler(handler)
        provider.shutdown()


@contextmanager
def tracing_to(exporter: Any) -> Iterator[Any]:
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("shop.orders", "2.0")
        assert provider.force_flush(20_000)
    finally:
        provider.shutdown()


def ledger_is(keeper: Keeper, way: Exporters, signal: Signal) -> None:
    (row,) = keeper.ledger.rows()
    assert (row.sender, row.signal, row.protocol) == ("127.0.0.1", signal, way.protocol)
    assert (row.accepted, row.rejected, row.refused, row.dropped) == (keeper.count(signal), 0, 0, 0)


def test_logs_of_the_logging_handler(keeper: Keeper, way: Exporters) -> None:
    with logging_to(way.logs(keeper)) as logger:
        logger.info("order %s placed", 17, extra={"order_id": 17, "items": ["book", "pen"], "vip": True})
        logger.warning("stock is low")
        try:
            raise KeyError("card")
        except KeyError:
            logger.exception("payment failed")
        for number in range(500):
            logger.debug("tick %d", number)
    assert keeper.count(Signal.LOGS) == 503
    placed = keeper.one("SELECT * FROM logs WHERE body = 'order 17 placed'")
    assert (placed["severity_number"], placed["severity_text"], placed["service"]) == (9, "INFO", "checkout")
    assert attributes(placed)["order_id"] == 17
    assert attributes(placed)["items"] == ["book", "pen"]
    assert attributes(placed)["vip"] is True
    assert attributes(placed, "resource_attributes")["host.cpus"] == 8
    assert attributes(placed, "resource_attributes")["service.version"] == "1.4.2"
    assert placed["scope_name"].startswith("shop.")
    assert placed["time_source"] == 0
    failed = keeper.one("SELECT * FROM logs WHERE severity_number = 17")
    assert attributes(failed)["exception.type"] == "KeyError"
    assert "Traceback" in attributes(failed)["exception.stacktrace"]
    assert keeper.one("SELECT count(DISTINCT body) AS n FROM logs WHERE severity_number = 5")["n"] == 500
    ledger_is(keeper, way, Signal.LOGS)


def test_logs_know_their_span(keeper: Keeper, way: Exporters) -> None:
    with (
        logging_to(way.logs(keeper)) as logger,
        tracing_to(way.spans(keeper)) as tracer,
        tracer.start_as_current_span("pay"),
    ):
        logger.info("paying")
    joined = keeper.one("SELECT spans.name FROM logs JOIN spans USING (trace_id, span_id)")
    assert joined["name"] == "pay"


def test_spans_with_events_links_and_status(keeper: Keeper, way: Exporters) -> None:
    with tracing_to(way.spans(keeper)) as tracer:
        with tracer.start_as_current_span("earlier") as earlier:
            pass
        with tracer.start_as_current_span(
            "checkout", kind=SpanKind.SERVER, links=[Link(earlier.get_span_context(), {"why": "retry"})]
        ) as parent:
            parent.set_attribute("cart.total", 12.5)
            parent.set_attribute("cart.ids", [1, 2, 3])
            parent.add_event("validated", {"rules": 4})
            with (
                pytest.raises(ValueError, match="refused"),
                tracer.start_as_current_span("charge", kind=SpanKind.CLIENT),
            ):
                raise ValueError("refused by bank")
            parent.set_status(StatusCode.OK)
    rows = {row["name"]: row for row in keeper.sql("SELECT * FROM spans")}
    assert set(rows) == {"earlier", "checkout", "charge"}
    checkout, charge = rows["checkout"], rows["charge"]
    assert (checkout["kind"], charge["kind"]) == (2, 3)
    assert (checkout["parent_span_id"], charge["parent_span_id"]) == ("", checkout["span_id"])
    assert charge["trace_id"] == checkout["trace_id"] != rows["earlier"]["trace_id"]
    assert (checkout["status_code"], charge["status_code"]) == (1, 2)
    assert "refused by bank" in charge["status_message"]
    assert checkout["duration_ns"] == checkout["end_time_unix_ns"] - checkout["time_unix_ns"] > 0
    assert attributes(checkout) == {"cart.total": 12.5, "cart.ids": [1, 2, 3]}
    (validated,) = json.loads(checkout["events"])
    assert (validated["name"], validated["attributes"]) == ("validated", {"rules": 4})
    (exception,) = json.loads(charge["events"])
    assert exception["attributes"]["exception.message"] == "refused by bank"
    (link,) = json.loads(checkout["links"])
    assert (link["trace_id"], link["span_id"]) == (rows["earlier"]["trace_id"], rows["earlier"]["span_id"])
    assert link["attributes"] == {"why": "retry"}
    assert (checkout["scope_name"], checkout["scope_version"]) == ("shop.orders", "2.0")
    ledger_is(keeper, way, Signal.SPANS)


def record_all_instruments(exporter: Any, tracer: Any) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    views = [View(instrument_name="latency.exponential", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([reader], RESOURCE, shutdown_on_exit=False, views=views)
    meter = provider.get_meter("shop.meters", "3.1")

    def observe(value: float) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def callback(_: CallbackOptions) -> Iterator[Observation]:
            yield Observation(value, {"pool": "a"})

        return callback

    counter = meter.create_counter("orders", unit="{order}", description="Orders placed.")
    counter.add(2, {"region": "eu"})
    counter.add(3, {"region": "eu"})
    counter.add(2**60, {"region": "us"})
    meter.create_up_down_counter("open.carts").add(-4)
    meter.create_gauge("temperature", unit="Cel").set(36.6)
    histogram = meter.create_histogram("latency", unit="ms", explicit_bucket_boundaries_advisory=[10, 100])
    exponential = meter.create_histogram("latency.exponential", unit="ms")
    with tracer.start_as_current_span("measured"):
        for value in (5, 50, 500, 0):
            histogram.record(value)
            exponential.record(value)
    meter.create_observable_counter("bytes.sent", [observe(1234)])
    meter.create_observable_up_down_counter("threads", [observe(-7)])
    meter.create_observable_gauge("load", [observe(0.25)])
    provider.shutdown()  # Collects and sends, once.


def test_metrics_of_every_instrument(keeper: Keeper, way: Exporters) -> None:
    with tracing_to(way.spans(keeper)) as tracer:
        record_all_instruments(way.metrics(keeper), tracer)
    rows = keeper.sql("SELECT * FROM metrics ORDER BY name, value_int")
    by_name = {row["name"]: row for row in rows}
    orders = [row for row in rows if row["name"] == "orders"]
    assert [(attributes(row), row["value_int"]) for row in orders] == [({"region": "eu"}, 5), ({"region": "us"}, 2**60)]
    assert {(row["kind"], row["is_monotonic"], row["temporality"], row["unit"]) for row in orders} == {
        ("sum", True, 2, "{order}")
    }
    assert orders[0]["description"] == "Orders placed."
    assert orders[0]["series"] != orders[1]["series"]
    carts, threads, sent = by_name["open.carts"], by_name["threads"], by_name["bytes.sent"]
    assert (carts["kind"], carts["is_monotonic"], carts["value_int"]) == ("sum", False, -4)
    assert (threads["is_monotonic"], threads["value_int"], attributes(threads)) == (False, -7, {"pool": "a"})
    assert (sent["is_monotonic"], sent["value_int"]) == (True, 1234)
    assert (by_name["temperature"]["kind"], by_name["temperature"]["value_double"]) == ("gauge", 36.6)
    assert (by_name["load"]["kind"], by_name["load"]["value_double"]) == ("gauge", 0.25)
    latency = by_name["latency"]
    assert (latency["kind"], latency["count"], latency["sum"]) == ("histogram", 4, 555.0)
    assert (latency["min"], latency["max"]) == (0.0, 500.0)
    assert (latency["explicit_bounds"], latency["bucket_counts"]) == ([10.0, 100.0], [2, 1, 1])
    exponential = by_name["latency.exponential"]
    assert (exponential["kind"], exponential["count"], exponential["zero_count"]) == ("exponential_histogram", 4, 1)
    assert sum(exponential["positive_bucket_counts"]) == 3
    assert_buckets_hold(exponential, [5, 50, 500])
    measured = keeper.one("SELECT trace_id, span_id FROM spans")
    exemplars = json.loads(latency["exemplars"])
    assert exemplars
    assert {(each["trace_id"], each["span_id"]) for each in exemplars} == {(measured["trace_id"], measured["span_id"])}
    assert latency["start_time_unix_ns"] > 0
    accepted = {row.signal: row.accepted for row in keeper.ledger.rows()}
    assert accepted == {Signal.METRICS: keeper.count(Signal.METRICS), Signal.SPANS: 1}


def assert_buckets_hold(row: dict[str, Any], values: list[float]) -> None:
    """Find each value in the bucket (base**i, base**(i+1)] that scale and offset say it is in."""
    base = 2 ** (2 ** -row["scale"])
    for value in values:
        inside = [
            count
            for index, count in enumerate(row["positive_bucket_counts"], row["positive_offset"])
            if base**index < value <= base ** (index + 1)
        ]
        assert inside == [1], value


REFUSALS = {
    "queue full": QueueFull("full", retry_after_s=0.05),
    "disk nearly full": DiskNearlyFull("full", retry_after_s=0.05),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("name", ["http gzip", "grpc gzip"])
def test_what_was_refused_is_sent_again_and_stored_once(keeper: Keeper, name: str, refusal: Exception) -> None:
    keeper.door.refusals = [refusal]
    with logging_to(WAYS[name].logs(keeper)) as logger:
        logger.info("hello")
    assert keeper.door.calls == 2
    assert keeper.count(Signal.LOGS) == 1
    (row,) = keeper.ledger.rows()
    assert (row.requests, row.refused, row.accepted, row.deduplicated) == (2, 1, 1, 0)


@pytest.mark.parametrize("name", ["http gzip", "grpc gzip"])
def test_a_retry_of_what_was_stored_is_not_stored_twice(keeper: Keeper, name: str) -> None:
    keeper.door.lost_acknowledgements = [DiskNearlyFull("stored, and the answer lost", retry_after_s=0.05)]
    with logging_to(WAYS[name].logs(keeper)) as logger:
        logger.info("hello")
        logger.info("world")
    assert keeper.door.calls == 2
    assert sorted(row["body"] for row in keeper.sql("SELECT body FROM logs")) == ["hello", "world"]
    (row,) = keeper.ledger.rows()
    assert (row.requests, row.deduplicated) == (2, 2)


def test_a_token_is_sent_as_a_header(keeper: Keeper) -> None:
    secret = keeper.receiver.tokens.create("collector-1", "ingest")
    authorization = {"authorization": f"Bearer {secret}"}
    exporters = [
        HttpLogs(endpoint=f"http://127.0.0.1:{keeper.http_port}/v1/logs", headers=authorization),
        GrpcLogs(endpoint=f"127.0.0.1:{keeper.grpc_port}", insecure=True, headers=authorization),
    ]
    for exporter in exporters:
        with logging_to(exporter) as logger:
            logger.info("hello")
    assert keeper.count(Signal.LOGS) == 2
    assert {row.sender for row in keeper.ledger.rows()} == {"collector-1"}
