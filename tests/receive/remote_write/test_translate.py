"""Remote write becomes the very batches that OTLP makes: names, resources, kinds, times, values; all is counted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from tests.receive.remote_write.written import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    INFO,
    STALE,
    SUMMARY,
    T0_MS,
    V2,
    histogram,
    metadata_v1,
    part,
    request_v1,
    sample,
    series_v1,
)
from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.decode import decode
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.request import Translated
from watchkeeper.receive.remote_write.translate import Translator, Version
from watchkeeper.signals.schema import METRICS, Signal
from watchkeeper.store.metadata import Metadata

JOB = {"job": "shop/cart", "instance": "10.1.2.3:9100"}
RECEIVED_NS = 1_763_700_001_000_000_000


def rows(translated: Translated) -> list[dict[str, Any]]:
    decoded = decode(Signal.METRICS, "protobuf", translated.payload, sender="prom", received_unix_ns=RECEIVED_NS)
    assert decoded.rejected == 0
    assert decoded.batch.schema == METRICS
    found: list[dict[str, Any]] = decoded.batch.to_pylist()
    assert len(found) == translated.samples + translated.histograms
    return found


def v1(*series: bytes, metadata: list[bytes] | None = None, translator: Translator | None = None) -> Translated:
    body = request_v1(*series, metadata=metadata or [])
    return (translator or Translator(Known())).translate(Version.V1, body, "prom")


def v2(request: V2, translator: Translator | None = None) -> Translated:
    return (translator or Translator(Known())).translate(Version.V2, request.whole(), "prom")


def labels(name: str, **more: str) -> dict[str, str]:
    return {"__name__": name, **JOB, **more}


def test_a_counter_is_what_otlp_would_have_sent() -> None:
    sent = series_v1(labels("http_requests_total", code="200"), sample(17.0), sample(19.5, T0_MS + 15_000))
    told = metadata_v1("http_requests_total", COUNTER, "All requests.", "")
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    for key, value in (
        ("service.name", "cart"),
        ("service.namespace", "shop"),
        ("service.instance.id", JOB["instance"]),
    ):
        group.resource.attributes.add(key=key).value.string_value = value
    group.resource.attributes.add(key="server.address").value.string_value = "10.1.2.3"
    group.resource.attributes.add(key="server.port").value.int_value = 9100
    scoped = group.scope_metrics.add()
    scoped.scope.name = "watchkeeper.remote_write"
    metric = scoped.metrics.add(name="http_requests_total", description="All requests.")
    metric.metadata.add(key="prometheus.type").value.string_value = "counter"
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    for value, time_ms in ((17.0, T0_MS), (19.5, T0_MS + 15_000)):
        point = metric.sum.data_points.add(time_unix_nano=time_ms * 10**6, as_double=value)
        point.attributes.add(key="code").value.string_value = "200"
    expected = decode(
        Signal.METRICS, "protobuf", request.SerializeToString(), sender="prom", received_unix_ns=RECEIVED_NS
    ).batch.to_pylist()
    assert rows(v1(sent, metadata=[told])) == expected
    as_v2 = V2().series(
        labels("http_requests_total", code="200"),
        sample(17.0),
        sample(19.5, T0_MS + 15_000),
        kind=COUNTER,
        help_="All requests.",
    )
    assert rows(v2(as_v2)) == expected
    assert (expected[0]["service"], expected[0]["entity"]) == ("shop/cart", "service=shop/cart|pod=10.1.2.3:9100")


@pytest.mark.parametrize(
    ("name", "kind", "form", "rises"),
    [
        ("jobs_total", None, "sum", True),
        ("size_bucket", None, "sum", True),
        ("size_sum", None, "sum", True),
        ("temperature", None, "gauge", None),
        ("job:errors:rate5m_total", None, "gauge", None),
        ("faults", COUNTER, "sum", True),
        ("faults_created", COUNTER, "gauge", None),
        ("odd_total", GAUGE, "gauge", None),
        ("took_seconds_count", HISTOGRAM, "sum", True),
        ("took_seconds_sum", SUMMARY, "sum", True),
        ("took_seconds", SUMMARY, "gauge", None),
        ("build_info", INFO, "sum", False),
        ("vm_pgfault", 0, "gauge", None),
    ],
)
def test_the_type_decides_about_the_kind_and_else_the_name(name, kind, form, rises) -> None:
    family = name
    for suffix in ("_created", "_count", "_sum") if kind in {COUNTER, HISTOGRAM, SUMMARY} else ():
        family = family.removesuffix(suffix)
    told = [] if kind is None else [metadata_v1(family, kind)]
    (row,) = rows(v1(series_v1(labels(name), sample(1.0)), metadata=told))
    assert (row["name"], row["kind"], row["is_monotonic"]) == (name, form, rises)


def test_metadata_of_another_request_holds_and_outlives_the_process(tmp_path: Path) -> None:
    store = Metadata(tmp_path / "metadata.sqlite")
    translator = Translator(Known(store))
    plain = series_v1(labels("used_seconds"), sample(3.0))
    assert rows(v1(plain, translator=translator))[0]["unit"] == ""
    v1(metadata=[metadata_v1("used_seconds", GAUGE, "Time used.", "seconds")], translator=translator)
    target = series_v1({"__name__": "target_info", **JOB, "k8s.pod.name": "cart-7f"}, sample(1.0))
    assert rows_of_info(v1(target, translator=translator)) == []
    after = v1(plain, translator=translator)
    again = v1(plain, translator=Translator(Known(store)))
    assert again.payload == after.payload
    (row,) = rows(after)
    assert (row["unit"], row["description"], row["kind"]) == ("s", "Time used.", "gauge")
    assert json.loads(row["resource_attributes"])["k8s.pod.name"] == "cart-7f"
    assert row["entity"] == "service=shop/cart|pod=cart-7f"
    other = translator.translate(Version.V1, request_v1(plain), "another sender")
    assert "cart-7f" not in rows(other)[0]["resource_attributes"]
    store.close()


def rows_of_info(translated: Translated) -> list[dict[str, Any]]:
    """A target_info is written, though it has no row of its own."""
    found: list[dict[str, Any]] = decode(
        Signal.METRICS, "protobuf", translated.payload, sender="prom", received_unix_ns=RECEIVED_NS
    ).batch.to_pylist()
    assert translated.samples == len(found) + 1
    return found


def test_target_info_is_the_resource_of_all_in_its_request_and_replaces_no_identity() -> None:
    info = series_v1({"__name__": "target_info", **JOB, "service.name": "wrong", "version": "7"}, sample(1.0))
    (row,) = rows_of_info(v1(series_v1(labels("up"), sample(1.0)), info))
    told = json.loads(row["resource_attributes"])
    assert (told["service.name"], told["version"]) == ("cart", "7")
    assert "target_info" not in row["name"]


@pytest.mark.parametrize(
    ("job", "instance", "resource"),
    [
        (
            "node",
            "h:1",
            {"service.name": "node", "service.instance.id": "h:1", "server.address": "h", "server.port": 1},
        ),
        ("a/b/c", "", {"service.name": "b/c", "service.namespace": "a"}),
        ("/b", "x", {"service.name": "/b", "service.instance.id": "x"}),
        ("", "https://shop.example:443", {"service.instance.id": "https://shop.example:443"}),
        (
            "n",
            "[::1]:9100",
            {"service.name": "n", "service.instance.id": "[::1]:9100", "server.address": "::1", "server.port": 9100},
        ),
        ("", "", {}),
    ],
)
def test_job_and_instance_are_the_resource(job, instance, resource) -> None:
    (row,) = rows(v1(series_v1({"__name__": "up", "job": job, "instance": instance, "zone": ""}, sample(1.0))))
    assert json.loads(row["resource_attributes"]) == resource
    assert row["attributes"] == "{}", "neither is an attribute of the point, nor is a label without a value"


def test_scope_labels_are_the_scope() -> None:
    told = {
        "otel_scope_name": "io.http",
        "otel_scope_version": "2",
        "otel_scope_schema_url": "u",
        "otel_scope_lang": "go",
    }
    (row,) = rows(v1(series_v1(labels("up", a="b", **told), sample(1.0))))
    assert (row["scope_name"], row["scope_version"], row["scope_schema_url"]) == ("io.http", "2", "u")
    assert (json.loads(row["scope_attributes"]), row["attributes"]) == ({"lang": "go"}, '{"a":"b"}')


def test_values_and_times_are_kept_whatever_their_order() -> None:
    values = [0.0, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
    times = [T0_MS + step for step in (5, 3, 1, 1, -(10**9), 10**9, 1 - T0_MS)]
    sent = [sample(value, time_ms) for value, time_ms in zip(values, times, strict=True)]
    found = rows(v1(series_v1(labels("x"), *sent)))
    assert [str(row["value_double"]) for row in found] == [str(value) for value in values]
    assert [row["time_unix_ns"] for row in found] == [time_ms * 10**6 for time_ms in times]
    assert {row["flags"] for row in found} == {0}


@pytest.mark.parametrize("time_ms", [0, -1, -(2**63), 2**63 - 1, (2**63 - 1) // 10**6 + 1])
def test_times_that_cannot_be_are_left_out_and_counted(time_ms) -> None:
    done = v1(series_v1(labels("x"), sample(1.0, time_ms), sample(2.0), histograms=[histogram(time_ms=time_ms)]))
    assert [row["value_double"] for row in rows(done)] == [2.0]
    assert (done.rejected, done.reason) == (2, "2 left out: a time is not between 1970 and 2262 (2)")


def test_the_mark_of_an_end_is_a_point_without_a_value() -> None:
    (row,) = rows(v1(series_v1(labels("x"), sample(STALE))))
    assert (row["value_double"], row["value_int"], row["flags"]) == (None, None, 1)
    (row,) = rows(v1(series_v1(labels("h"), histograms=[histogram(total=STALE, count=7)])))
    assert (row["kind"], row["flags"], row["count"]) == ("exponential_histogram", 1, 0)
    (row,) = rows(v1(series_v1(labels("h"), histograms=[histogram(total=STALE, schema=-53, bounds=[1.0])])))
    assert (row["kind"], row["flags"]) == ("histogram", 1)


def test_when_a_counter_began_is_kept() -> None:
    request = V2().series(labels("n_total"), sample(4.0, start_ms=T0_MS - 500), kind=COUNTER)
    request.series(labels("m_total"), sample(4.0), histograms=[histogram()], kind=COUNTER, created_ms=T0_MS - 900)
    request.series(labels("bad_total"), sample(4.0, start_ms=-5), kind=COUNTER)
    began = {(row["name"], row["kind"]): row["start_time_unix_ns"] for row in rows(v2(request))}
    assert began == {
        ("n_total", "sum"): (T0_MS - 500) * 10**6,
        ("m_total", "sum"): (T0_MS - 900) * 10**6,
        ("m_total", "exponential_histogram"): (T0_MS - 900) * 10**6,
        ("bad_total", "sum"): 0,
    }


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([("job", "a")], "a series has no __name__"),
        ([("__name__", "")], "a series has no __name__"),
        ([("__name__", "x"), ("a", "1"), ("a", "2")], "a label is there twice"),
        ([("__name__", "x"), ("", "2")], "a label has no name"),
    ],
)
def test_labels_that_cannot_be_cost_their_own_samples_only(bad, reason) -> None:
    done = v1(series_v1(bad, sample(1.0), sample(2.0)), series_v1(labels("good"), sample(3.0)))
    assert [row["name"] for row in rows(done)] == ["good"]
    assert (done.rejected, done.reason) == (2, f"2 left out: {reason} (2)")


def test_labels_that_are_no_text_are_left_out_in_both_versions() -> None:
    broken = part(1, part(1, "__name__") + part(2, b"\xff\xfe")) + part(2, sample(1.0))
    done = v1(broken)
    assert (done.payload, done.rejected) == (b"", 1)
    request = V2().series({"__name__": "x"}, sample(1.0))
    body = request.whole().replace(b"\x22\x01x", b"\x22\x01\xff")
    done = Translator(Known()).translate(Version.V2, body, "prom")
    assert (done.payload, done.rejected, done.reason) == (b"", 1, "1 left out: a label is no text in UTF-8 (1)")


def test_labels_cut_otherwise_do_not_pass_for_a_series_that_is_known() -> None:
    translator = Translator(Known())
    first, second = part(1, "__name__") + part(2, "x"), part(1, "a") + part(2, "b")
    merged = part(1, first + second) + part(2, sample(1.0))
    done = translator.translate(Version.V1, request_v1(merged), "prom")
    assert done.rejected == 1, "one label in two pieces: the last name counts, and that is not __name__"
    (row,) = rows(v1(series_v1({"__name__": "x", "a": "b"}, sample(1.0)), translator=translator))
    assert (row["name"], row["attributes"]) == ("x", '{"a":"b"}')


def test_an_exponential_histogram_has_the_buckets_of_otlp() -> None:
    sent = histogram(
        count=12,
        total=18.4,
        schema=3,
        zero_count=2,
        zero_threshold=0.5,
        positive=([(-2, 2), (3, 1)], [1, 1, 2]),
        negative=([(5, 1)], [3]),
    )
    for done in (
        v1(series_v1(labels("took_seconds"), histograms=[sent])),
        v2(V2().series(labels("took_seconds"), histograms=[sent], kind=HISTOGRAM)),
    ):
        (row,) = rows(done)
        assert (done.samples, done.histograms) == (0, 1)
        assert (row["kind"], row["temporality"], row["count"], row["sum"]) == ("exponential_histogram", 2, 12, 18.4)
        assert (row["scale"], row["zero_count"], row["zero_threshold"]) == (3, 2, 0.5)
        assert (row["positive_offset"], row["positive_bucket_counts"]) == (-3, [1, 2, 0, 0, 0, 4])
        assert (row["negative_offset"], row["negative_bucket_counts"]) == (4, [3])


def test_a_histogram_of_custom_bounds_is_an_explicit_one() -> None:
    sent = histogram(count=9, total=4.5, schema=-53, bounds=[0.1, 1.0, 10.0], positive=([(1, 1), (1, 1)], [5, -1]))
    (row,) = rows(v1(series_v1(labels("took_seconds"), histograms=[sent])))
    assert (row["kind"], row["count"], row["sum"]) == ("histogram", 9, 4.5)
    assert (row["explicit_bounds"], row["bucket_counts"]) == ([0.1, 1.0, 10.0], [0, 5, 0, 4])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (histogram(count_float=1.5), "float histograms have no form in OTLP"),
        (histogram(reset_hint=3), "gauge histograms have no form in OTLP"),
        (histogram(schema=9), "histograms of schema 9 are not known"),
        (histogram(positive=([(0, 3)], [1])), "the spans of a histogram do not fit its buckets"),
        (histogram(positive=([], [1])), "the spans of a histogram do not fit its buckets"),
        (histogram(positive=([(2**31 - 1, 1)], [1])), "the spans of a histogram do not fit its buckets"),
        (histogram(positive=([(0, 2)], [1, -2])), "a bucket of a histogram has a count below 0 or past 2^63-1"),
        (
            histogram(positive=([(0, 1), (2**31 - 1, 1)], [1, 1])),
            "a histogram has more than 16384 buckets, or spans out of order",
        ),
        (
            histogram(positive=([(0, 2**32 - 1)], [1])),
            "a histogram has more than 16384 buckets, or spans out of order",
        ),
        (
            histogram(schema=-53, bounds=[1.0], positive=([(2, 1)], [1])),
            "a histogram has buckets that its custom bounds have not",
        ),
        (
            histogram(schema=-53, bounds=[2.0, 1.0]),
            "the custom bounds of a histogram do not rise, or are too many",
        ),
    ],
)
def test_histograms_without_a_form_are_left_out_and_counted(sent, reason) -> None:
    done = v1(series_v1(labels("h"), histograms=[sent, histogram(count=1)]), series_v1(labels("x"), sample(1.0)))
    assert len(rows(done)) == 2
    assert (done.histograms, done.rejected, done.reason) == (1, 1, f"1 left out: {reason} (1)")


def test_exemplars_are_counted_and_not_kept() -> None:
    exemplar = part(1, part(1, "trace_id") + part(2, "abc"))
    done = v1(series_v1(labels("n_total"), sample(1.0), exemplars=[exemplar] * 3))
    assert (done.exemplars, done.rejected, done.samples) == (3, 0, 1)
    assert v2(V2().series(labels("n_total"), exemplars=[b""])).exemplars == 1


def test_symbols_that_are_not_there_are_a_malformed_request() -> None:
    good = V2().series(labels("x"), sample(1.0), help_="said")
    refs = part(5, part(1, b"\x01\x63"))
    for body, message in (
        (good.whole() + refs, "refers to a symbol past the"),
        (good.whole() + part(5, part(1, b"\x01")), "odd number"),
        (part(4, "x") + good.whole(), "first symbol"),
        (
            good.whole() + part(5, part(1, b"\x01\x04") + part(2, sample(1.0)) + part(5, b"\x18\x63")),
            "symbol 99 of metadata",
        ),
    ):
        with pytest.raises(MalformedTelemetry, match=message):
            Translator(Known()).translate(Version.V2, body, "prom")


def test_what_is_known_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr("watchkeeper.receive.remote_write.known.FAMILIES_MAX", 3)
    monkeypatch.setattr("watchkeeper.receive.remote_write.series.SERIES_MAX", 3)
    translator = Translator(Known())
    for number in range(10):
        told = [metadata_v1(f"m{number}", COUNTER)]
        assert len(rows(v1(series_v1(labels(f"m{number}"), sample(1.0)), metadata=told, translator=translator))) == 1
    kinds = [translator.known.family("prom", f"m{number}") is not None for number in range(10)]
    assert kinds == [False] * 7 + [True] * 3
