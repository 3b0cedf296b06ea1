"""Telemetry of the shape that examples/shop sends, in steps of ten seconds: six services, logs, metric points, spans.

About 30 logs, 45 points and 65 spans a second together. A step of a service is built once in a number of variants and
sent again with times, trace ids and order numbers of its own, so that days of it can be sent as fast as they are taken.
Deterministic. No faults, and no daily rhythm.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.decoders import fill

SECOND_NS = 10**9
STEP_S = 10
"""How much one request holds: what SDKs export at once, and short enough that services stay beside each other."""
STEP_NS = STEP_S * SECOND_NS
POINTS_A_SERVICE = 75
TIME_MARK = 0x5AC3A5 << 40  # in the upper 24 bits of a time; the lower 40 hold nanoseconds since the step began
TIME_MARK_BYTES = np.frombuffer(b"\xa5\xc3\x5a", np.uint8)
TRACE_MARK = b"\x8f\x07\xe1\x9d"
ORDER_MARK = b"O7R7D7E7"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
INFO, WARNING = (9, "INFO"), (13, "WARN")

Line = tuple[float, tuple[int, str], Callable[[random.Random], str]]


class Shape(NamedTuple):
    """How one service talks: logs and spans a second, its routes, and its lines by weight."""

    logs_per_s: float
    spans_per_s: float
    routes: tuple[str, ...]
    lines: tuple[Line, ...]


def _customer(chance: random.Random) -> int:
    return chance.randrange(1, 2000)


def _product(chance: random.Random) -> int:
    return chance.randrange(1, 500)


def _order() -> str:
    return f"o-{ORDER_MARK.decode()}"


def _words(chance: random.Random) -> str:
    return repr(" ".join(chance.sample(("red", "lamp", "chair", "oak", "desk", "blue", "rug", "small"), 2)))


SHAPES: dict[str, Shape] = {
    "frontend": Shape(
        9,
        25,
        ("/", "/product/{sku}", "/search", "/checkout"),
        (
            (4, INFO, lambda c: f"Home page for customer {_customer(c)}: 12 products, {c.randrange(4, 9)} recommended"),
            (6, INFO, lambda c: f"Product page {_product(c)} (furniture) for customer {_customer(c)}"),
            (3, INFO, lambda c: f"Search page for {_words(c)}: {c.randrange(30)} products"),
            (1, INFO, lambda c: f"Customer {_customer(c)} bought order {_order()} for {c.uniform(5, 400):.2f} EUR"),
            (0.02, WARNING, lambda c: f"Slow request: GET /search took {c.randrange(500, 900)} ms"),
        ),
    ),
    "catalogue": Shape(
        8,
        16,
        ("/products", "/products/{sku}", "/search", "/reservations"),
        (
            (4, INFO, lambda c: f"Listed {c.randrange(8, 30)} products"),
            (6, INFO, lambda c: f"Product {_product(c)} has {c.randrange(200)} pieces in stock"),
            (3, INFO, lambda c: f"Search for {_words(c)} found {c.randrange(1, 30)} products"),
            (0.1, WARNING, lambda c: f"Search for {_words(c)} found nothing"),
            (1, INFO, lambda c: f"Reserved {c.randrange(1, 6)} products worth {c.uniform(5, 400):.2f} EUR"),
        ),
    ),
    "cart": Shape(
        4,
        8,
        ("/carts/{customer}", "/carts/{customer}/items"),
        (
            (3, INFO, lambda c: f"Cart of customer {_customer(c)} holds {c.randrange(9)} products"),
            (3, INFO, lambda c: f"Added {c.randrange(1, 4)} of product {_product(c)} to the cart of {_customer(c)}"),
            (1, INFO, lambda c: f"Emptied the cart of customer {_customer(c)}"),
        ),
    ),
    "checkout": Shape(
        3,
        6,
        ("/orders",),
        (
            (
                4,
                INFO,
                lambda c: (
                    f"Order {_order()} of customer {_customer(c)}: {c.randrange(1, 6)} products,"
                    f" {c.uniform(5, 400):.2f} EUR, charge ch-{c.getrandbits(48):012x}"
                ),
            ),
            (4, INFO, lambda c: f"Order {_order()} given to the {c.choice(('post', 'courier', 'bicycle'))}"),
            (0.1, WARNING, lambda c: f"Order {_order()} refused: the cart of customer {_customer(c)} is empty"),
        ),
    ),
    "payment": Shape(
        2,
        4,
        ("/charges",),
        (
            (
                9,
                INFO,
                lambda c: (
                    f"Charged {c.uniform(5, 400):.2f} EUR to card ending {c.randrange(10**4):04d} for order {_order()}"
                    f" as ch-{c.getrandbits(48):012x}"
                ),
            ),
            (
                0.3,
                WARNING,
                lambda c: f"Card ending {c.randrange(10**4):04d} declined for order {_order()}: insufficient funds",
            ),
        ),
    ),
    "recommendation": Shape(
        4,
        6,
        ("/recommendations",),
        (
            (
                9,
                INFO,
                lambda c: (
                    f"Recommended {c.randrange(4, 9)} products to customer {_customer(c)},"
                    f" best score {c.uniform(0.2, 0.99):.3f}"
                ),
            ),
            (0.5, INFO, lambda c: f"Customer {_customer(c)} is new: best sellers recommended"),
        ),
    ),
}


class Step:
    """One signal of one service for one step; `at` gives its bytes for the step that begins then."""

    def __init__(self, request: Message, records: int, times: int) -> None:
        self._content = np.frombuffer(request.SerializeToString(), np.uint8)
        places = time_places(self._content)
        if len(places) != times:
            raise ValueError(f"{len(places)} times are found where {times} were written; take another mark")
        self._places = places[:, None] + np.arange(8)  # (times, 8)
        self._since_ns = self._content[self._places].copy().view("<i8").ravel() - TIME_MARK
        self.records = records

    def at(self, begins_unix_ns: int, number: int) -> bytes:
        """Give the request with times from `begins_unix_ns` on and with trace ids and orders of this number."""
        content = self._content.copy()
        content[self._places] = (self._since_ns + begins_unix_ns).view(np.uint8).reshape(-1, 8)
        stamped = content.tobytes().replace(TRACE_MARK, number.to_bytes(4, "big"))
        return stamped.replace(ORDER_MARK, b"%08x" % number)


def time_places(content: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Give the offsets of the little-endian times that carry the mark."""
    found = np.flatnonzero(
        (content[5:-2] == TIME_MARK_BYTES[0])
        & (content[6:-1] == TIME_MARK_BYTES[1])
        & (content[7:] == TIME_MARK_BYTES[2])
    )
    return np.asarray(found, np.int64)


def steps(service: str, variants: int) -> list[dict[str, Step]]:
    """Give variants of a step of a service, by the path that takes it."""
    made = {"/v1/logs": logs, "/v1/metrics": metrics, "/v1/traces": spans}
    chance = random.Random(service)
    return [{path: make(service, SHAPES[service], chance) for path, make in made.items()} for _ in range(variants)]


def logs(service: str, shape: Shape, chance: random.Random) -> Step:
    """Make a step of logs."""
    request = ExportLogsServiceRequest()
    scope = _resource(request.resource_logs.add(), service).scope_logs.add()
    scope.scope.name = service
    weights = [line[0] for line in shape.lines]
    since = _moments(shape.logs_per_s, chance)
    for at in since:
        [(_, (severity, text), body)] = chance.choices(shape.lines, weights)
        record = scope.log_records.add(time_unix_nano=at, observed_time_unix_nano=at + 1000, severity_number=severity)
        record.severity_text = text
        record.body.string_value = body(chance)
        record.trace_id, record.span_id = TRACE_MARK + chance.randbytes(12), chance.randbytes(8)
        fill(record.attributes, {"code.file.path": f"shop/services/{service}.py", "code.line.number": severity * 7})
    return Step(request, len(since), 2 * len(since))


def spans(service: str, shape: Shape, chance: random.Random) -> Step:
    """Make a step of spans."""
    request = ExportTraceServiceRequest()
    scope = _resource(request.resource_spans.add(), service).scope_spans.add()
    scope.scope.name = "shop"
    since = _moments(shape.spans_per_s, chance)
    for at in since:
        route = chance.choice(shape.routes)
        span = scope.spans.add(name=f"GET {route}", kind=chance.choice((2, 3)), start_time_unix_nano=at)
        span.end_time_unix_nano = at + int(chance.lognormvariate(-4.5, 0.5) * SECOND_NS)
        span.trace_id, span.span_id = TRACE_MARK + chance.randbytes(12), chance.randbytes(8)
        span.parent_span_id = chance.randbytes(8)
        fill(span.attributes, {"http.request.method": "GET", "http.route": route, "http.response.status_code": 200})
    return Step(request, len(since), 2 * len(since))


def metrics(service: str, shape: Shape, chance: random.Random) -> Step:
    """Make a step of metric points: one export, a third each of histograms, counters and gauges."""
    request = ExportMetricsServiceRequest()
    scope = _resource(request.resource_metrics.add(), service).scope_metrics.add()
    scope.scope.name = "shop"
    times = 0
    kinds = ("http.server.request.duration", "http.server.requests", "shop.pool.usage")
    held = [scope.metrics.add(name=name, unit=unit) for name, unit in zip(kinds, ("s", "{request}", "1"), strict=True)]
    held[0].histogram.aggregation_temporality = held[1].sum.aggregation_temporality = 1
    ends = TIME_MARK + STEP_NS - 1
    span = {"start_time_unix_nano": TIME_MARK, "time_unix_nano": ends}
    for series in range(POINTS_A_SERVICE // 3):
        seen = [chance.randrange(20) for _ in range(len(BOUNDS) + 1)]
        total = sum(seen)
        points = (
            held[0].histogram.data_points.add(
                count=total, sum=total * 0.02, bucket_counts=seen, explicit_bounds=BOUNDS, **span
            ),
            held[1].sum.data_points.add(as_int=total, **span),
            held[2].gauge.data_points.add(as_double=chance.random(), **span),
        )
        for point in points:
            route = shape.routes[series % len(shape.routes)]
            fill(point.attributes, {"http.route": route, "worker": series, "http.response.status_code": 200})
        times += 2 * len(points)
    return Step(request, times // 2, times)


def _moments(per_s: float, chance: random.Random) -> list[int]:
    """Give marked moments of a step, in order, about as many as the rate says."""
    count = max(1, round(chance.gauss(per_s * STEP_S, (per_s * STEP_S) ** 0.5)))
    return sorted(TIME_MARK + chance.randrange(STEP_NS) for _ in range(count))


def _resource(group: Any, service: str) -> Any:
    resource = group.resource
    fill(resource.attributes, {"service.name": service, "service.namespace": "shop", "service.version": "1.0.0"})
    return group
