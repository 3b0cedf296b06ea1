"""What decoding means where the bytes leave a choice: times, rejection, series, what repeats, who speaks."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.receive import otlp_columnar
from watchkeeper.receive.decode import Decoded, decode, decoder_name
from watchkeeper.receive.otlp_series import text_hash
from watchkeeper.receive.otlp_tables import service_and_entity
from watchkeeper.signals.schema import SCHEMAS, Signal

LATE = 2**63


@pytest.fixture(params=["columnar", "reference"], autouse=True)
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run every test with both decoders."""
    if request.param == "reference":
        monkeypatch.setattr(otlp_columnar, "_native_read", lambda: None)
    elif not otlp_columnar.available():
        pytest.skip("the native library is not built")
    name: str = request.param
    return name


def decoded(signal: Signal, request: Any) -> Decoded:
    return decode(signal, "protobuf", request.SerializeToString(), sender="10.0.0.1", received_unix_ns=77)


def one_metric(*points: dict[str, str], name: str = "m", unit: str = "", service: str = "s") -> list[int]:
    """Give the series of the points of a gauge, by their attributes."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    metric = group.scope_metrics.add().metrics.add(name=name, unit=unit)
    for attributes in points:
        point = metric.gauge.data_points.add(as_int=1)
        for key, value in attributes.items():
            point.attributes.add(key=key).value.string_value = value
    series: list[int] = decoded(Signal.METRICS, request).batch.column("series").to_pylist()
    return series


def test_the_decoder_in_use_is_told(decoder: str) -> None:
    assert decoder_name() == decoder


@pytest.mark.parametrize("signal", list(Signal))
def test_an_empty_request_is_an_empty_batch(signal: Signal) -> None:
    batch, rejected, reason, mark = decode(signal, "protobuf", b"", sender="s", received_unix_ns=1)
    assert batch.schema == SCHEMAS[signal]
    assert (batch.num_rows, rejected, reason, mark) == (0, 0, "", None)


def test_the_time_is_the_events_else_the_observers_else_that_of_receipt() -> None:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=5, observed_time_unix_nano=6)
    records.add(observed_time_unix_nano=6)
    records.add()
    batch = decoded(Signal.LOGS, request).batch
    assert batch.column("time_unix_ns").to_pylist() == [5, 6, 77]
    assert batch.column("time_source").to_pylist() == [0, 1, 2]
    assert batch.column("received_unix_ns").to_pylist() == [77, 77, 77]


def test_records_with_a_time_past_the_signed_range_are_left_out_and_counted() -> None:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    records.add(time_unix_nano=LATE)
    records.add(time_unix_nano=LATE - 1)
    records.add(observed_time_unix_nano=LATE + 3)
    found = decoded(Signal.LOGS, request)
    assert found.batch.column("time_unix_ns").to_pylist() == [LATE - 1]
    assert found.rejected == 2
    assert "time_unix_nano 9223372036854775808 is past 2^63-1" in found.reason


def test_a_span_or_point_is_left_out_for_either_of_its_times() -> None:
    traces = ExportTraceServiceRequest()
    spans = traces.resource_spans.add().scope_spans.add().spans
    spans.add(start_time_unix_nano=LATE)
    spans.add(end_time_unix_nano=LATE)
    assert decoded(Signal.SPANS, traces).rejected == 2
    metrics = ExportMetricsServiceRequest()
    points = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points
    points.add(time_unix_nano=LATE)
    points.add(start_time_unix_nano=LATE)
    points.add(time_unix_nano=1)
    found = decoded(Signal.METRICS, metrics)
    assert (found.rejected, found.batch.num_rows) == (2, 1)


def test_a_resource_whose_records_were_all_left_out_leaves_no_trace() -> None:
    request = ExportLogsServiceRequest()
    for service, time in (("gone", LATE), ("stays", 1)):
        group = request.resource_logs.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        group.scope_logs.add().log_records.add(time_unix_nano=time)
    batch = decoded(Signal.LOGS, request).batch
    assert batch.column("service").dictionary.to_pylist() == ["stays"]


def test_what_repeats_is_held_once() -> None:
    request = ExportLogsServiceRequest()
    for service in ("a", "b", "a"):
        group = request.resource_logs.add()
        group.resource.attributes.add(key="service.name").value.string_value = service
        group.scope_logs.add().log_records.add()
        group.scope_logs.add().log_records.add()
    batch = decoded(Signal.LOGS, request).batch
    batch.validate(full=True)
    assert batch.column("service").dictionary.to_pylist() == ["a", "b"]
    assert batch.column("service").to_pylist() == ["a", "a", "b", "b", "a", "a"]
    assert batch.column("scope_name").dictionary.to_pylist() == [""]
    assert batch.column("sender").dictionary.to_pylist() == ["10.0.0.1"]


def test_a_large_resource_of_many_small_scopes_is_held_once() -> None:
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.add(key="k").value.string_value = "x" * 1_000_000
    for _ in range(5_000):
        group.scope_logs.add().log_records.add()
    batch = decoded(Signal.LOGS, request).batch
    assert batch.num_rows == 5_000
    assert batch.get_total_buffer_size() < 4_000_000


def test_a_series_is_the_same_in_whatever_order_its_attributes_come() -> None:
    first, second, other = one_metric({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "2", "b": "1"})
    assert first == second
    assert other != first


def test_series_differ_by_service_name_unit_and_attributes() -> None:
    series = [
        *one_metric({}, {"a": ""}, {"a": "1"}, {"a": "1", "b": "1"}),
        *one_metric({}, name="n"),
        *one_metric({}, unit="s"),
        *one_metric({}, service="t"),
        *one_metric({}, name="", unit="m"),
    ]
    assert len(set(series)) == len(series)


def test_series_of_many_points_hardly_ever_collide() -> None:
    points = [{"pod": f"checkout-{number}", "route": f"/order/{number % 7}"} for number in range(3000)]
    assert len(set(one_metric(*points))) == len(points)


def test_the_hash_of_text_is_the_published_one() -> None:
    assert text_hash("") == 0xCBF29CE484222325
    assert text_hash("foobar") == 0x85944171F73967E8
    assert text_hash("x" * 600) == text_hash("x" * 600)


def test_a_metric_without_data_is_no_error_and_no_row() -> None:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="nothing")
    found = decoded(Signal.METRICS, request)
    assert (found.batch.num_rows, found.rejected) == (0, 0)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('{"service.name":"cart","service.namespace":"shop"}', ("shop/cart", "service=shop/cart")),
        ('{"service.name":"a","service.name":"b"}', ("b", "service=b")),
        ('{"service.name":7}', ("7", "service=7")),
        ('{"service.name":true}', ("true", "service=true")),
        ('{"service.name":{"$bytes":"AQI="}}', ("0102", "service=0102")),
        ('{"service.name":["a",{"$bytes":"AQI="}]}', ('["a", "0102"]', 'service=["a", "0102"]')),
        ('{"service.name":null,"host.name":"n1"}', ("n1", "service=n1|node=n1")),
        ("{}", ("", "")),
        ('{"service.name":"' + "x" * 20_000 + '"}', ("x" * 20_000, "service=" + "x" * 20_000)),
    ],
)
def test_who_speaks_is_read_from_the_resource(attributes: str, expected: tuple[str, str]) -> None:
    assert service_and_entity(attributes) == expected
