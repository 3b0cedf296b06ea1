"""The OTLP decoders on one core: records a second of the reference and of the columnar one, and their ratio.

Batches of 1,000 records in the shape that SDKs send them: logs with four attributes and a trace id on every other,
spans with nine attributes and an event on every tenth, metric points of gauges, sums and histograms with three
attributes. From payload bytes to the finished record batch. CPU time of the thread, so that neighbours matter less;
rounds of both alternate, and the median counts.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import statistics
import time
from collections.abc import Callable

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.receive import otlp_columnar
from watchkeeper.receive.decode import decode, reference
from watchkeeper.receive.otlp_tables import assemble
from watchkeeper.signals.schema import Signal

RECORDS = 1_000
NOW = 1_763_700_000_000_000_000
RESOURCE = {
    "service.name": "checkout",
    "service.namespace": "shop",
    "service.version": "1.8.3",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.version": "1.45.2",
    "k8s.pod.name": "checkout-7f9c6d5b8-x2x9p",
    "host.name": "node-17",
}


def fill(attributes: object, values: dict[str, str | int | float | bool]) -> None:
    for key, value in values.items():
        into = attributes.add(key=key).value  # type: ignore[attr-defined]
        if isinstance(value, bool):
            into.bool_value = value
        elif isinstance(value, int):
            into.int_value = value
        elif isinstance(value, float):
            into.double_value = value
        else:
            into.string_value = value


def logs(source: random.Random) -> Message:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    fill(group.resource.attributes, RESOURCE)
    scope = group.scope_logs.add()
    scope.scope.name = "checkout.orders"
    for at in range(RECORDS):
        record = scope.log_records.add(
            time_unix_nano=NOW + at * 1000, observed_time_unix_nano=NOW + at * 1000 + 50, severity_number=9
        )
        record.severity_text = "INFO"
        order = source.randrange(10**9)
        record.body.string_value = (
            f"order {order} charged {order % 997}.{order % 89} EUR in {at % 251} ms by card *{at}"
        )
        values = {"code.filepath": "/app/checkout/orders.py", "code.lineno": at % 400, "order.id": f"o-{order}"}
        fill(record.attributes, {**values, "charge.seconds": round(source.random(), 4)})
        if at % 2:
            record.trace_id, record.span_id = source.randbytes(16), source.randbytes(8)
            record.flags = 1
    return request


def metrics(source: random.Random) -> Message:
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    fill(group.resource.attributes, RESOURCE)
    scope = group.scope_metrics.add()
    scope.scope.name = "checkout.meter"
    for at in range(RECORDS // 20):
        metric = scope.metrics.add(name=f"shop.metric.{at}", unit="ms", description="What the shop measures")
        for number in range(20):
            times = {"start_time_unix_nano": NOW - 10**9, "time_unix_nano": NOW + number}
            if at % 3 == 0:
                point = metric.gauge.data_points.add(as_double=source.random(), **times)
            elif at % 3 == 1:
                metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
                point = metric.sum.data_points.add(as_int=source.randrange(10**6), **times)
            else:
                metric.histogram.aggregation_temporality = 2
                point = metric.histogram.data_points.add(
                    count=40, sum=source.random() * 100, min=0.5, max=90.0, **times
                )
                point.explicit_bounds.extend([0, 5, 10, 25, 50, 75, 100, 250, 500, 1000])
                point.bucket_counts.extend(source.randrange(9) for _ in range(11))
            fill(point.attributes, {"http.route": f"/order/{number}", "http.status": 200, "http.method": "POST"})
    return request


def spans(source: random.Random) -> Message:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    fill(group.resource.attributes, RESOURCE)
    scope = group.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.fastapi"
    for at in range(RECORDS):
        span = scope.spans.add(name="POST /order/{id}", kind=2, start_time_unix_nano=NOW + at, flags=257)
        span.end_time_unix_nano = span.start_time_unix_nano + source.randrange(10**8)
        span.trace_id, span.span_id, span.parent_span_id = (source.randbytes(size) for size in (16, 8, 8))
        values = {"http.method": "POST", "http.route": "/order/{id}", "http.status_code": 200, "net.peer.port": at}
        more = {"http.url": f"http://checkout/order/{at}", "user_agent": "python-httpx/0.28.1", "retry": False}
        fill(
            span.attributes, {**values, **more, "order.total": source.random() * 100, "thread.id": 140_000_000_000 + at}
        )
        if at % 10 == 0:
            event = span.events.add(name="exception", time_unix_nano=NOW + at)
            fill(event.attributes, {"exception.type": "TimeoutError", "exception.message": "payment did not answer"})
    return request


def otlp_json(request: Message) -> bytes:
    """Give the request in OTLP's JSON, which has ids in hexadecimal where protobuf's has base64."""

    def mended(value: object) -> object:
        if isinstance(value, list):
            return [mended(item) for item in value]
        if isinstance(value, dict):
            return {
                key: base64.b64decode(item).hex() if key in {"traceId", "spanId", "parentSpanId"} else mended(item)
                for key, item in value.items()
            }
        return value

    return json.dumps(mended(json_format.MessageToDict(request))).encode()


def per_second(run: Callable[[], object], rounds: int) -> float:
    """Give records a second of CPU time, the median of the rounds; a round takes at least 20 ms."""
    repeats, spent = 1, 0.0
    while spent < 0.02:
        repeats *= 2
        begun = time.thread_time()
        for _ in range(repeats):
            run()
        spent = time.thread_time() - begun
    rates = []
    for _ in range(rounds):
        begun = time.thread_time()
        for _ in range(repeats):
            run()
        rates.append(RECORDS * repeats / (time.thread_time() - begun))
    return statistics.median(rates)


def measure(signal: Signal, request: Message, rounds: int) -> dict[str, float]:
    payload = request.SerializeToString()
    text = otlp_json(request)

    def by_reference() -> object:
        tables = reference(signal, payload, received_unix_ns=NOW).tables
        return assemble(signal, tables, sender="bench", received_unix_ns=NOW)

    def columnar() -> object:
        found = otlp_columnar.read(signal, payload, received_unix_ns=NOW)
        assert found is not None, "the columnar decoder left the batch to the reference"
        return assemble(signal, found.tables, sender="bench", received_unix_ns=NOW)

    rates: dict[str, list[float]] = {"reference": [], "columnar": []}
    for _ in range(rounds):
        rates["reference"].append(per_second(by_reference, 1))
        rates["columnar"].append(per_second(columnar, 1))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "reference_per_s": round(medians["reference"]),
        "columnar_per_s": round(medians["columnar"]),
        "ratio": round(medians["columnar"] / medians["reference"], 1),
        "columnar_mib_per_s": round(medians["columnar"] * len(payload) / RECORDS / 2**20),
        "json_per_s": round(per_second(lambda: decode(signal, "json", text, sender="b", received_unix_ns=NOW), 1)),
        "bytes_per_record": round(len(payload) / RECORDS),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each decoder (default: 9)")
    chosen = parser.parse_args()
    if not otlp_columnar.available():
        parser.error("the native library is not built; run: python hatch_build.py --native-only")
    made = {Signal.LOGS: logs, Signal.METRICS: metrics, Signal.SPANS: spans}
    figures = {str(signal): measure(signal, make(random.Random(7)), chosen.rounds) for signal, make in made.items()}
    if chosen.json:
        print(json.dumps(figures))
        return 0
    for name, found in figures.items():
        print(
            f"{name:8} reference {found['reference_per_s']:>10,}/s   columnar {found['columnar_per_s']:>10,}/s"
            f"   {found['ratio']:.1f} times   {found['columnar_mib_per_s']} MiB/s"
            f"   {found['bytes_per_record']} bytes a record   (JSON {found['json_per_s']:,}/s)"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
