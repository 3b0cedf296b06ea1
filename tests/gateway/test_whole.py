"""The API over the real program: what is sent comes back in every view, and a search over a million lines is quick."""

from __future__ import annotations

import time

import httpx
import numpy as np
import pyarrow as pa
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.gateway.assembly import LiveServer, wait_until
from tests.store.reads.tables import Tables

from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.gateway import models, models_status
from watchkeeper.receive.peer import Peer
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import LOGS, Signal
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.logs import LogFilter, log_histogram, search_logs
from watchkeeper.store.reads.services import list_services

SECOND = 1_000_000_000
LINES = 1_000_000


@pytest.fixture
def whole(tmp_path):
    keeper = Watchkeeper(Settings(chosen={"home": str(tmp_path)}, environment={}))
    keeper.start()
    server = LiveServer(keeper, now_unix_ns=time.time_ns)
    yield server, keeper
    server.stop()
    keeper.stop()


def entries(count, second):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return [
        {
            "timestamp": f"{stamp}.{number:03d}Z",
            "level": "error",
            "component": "cart",
            "message": f"no stock for item {number}",
        }
        for number in range(count)
    ]


def shown(server: LiveServer, path, model):
    answer = server.client.get(path)
    assert answer.status_code == 200, answer.text
    model.model_validate(answer.json())
    return answer.json()


def test_what_is_sent_is_shown(whole):
    server, keeper = whole
    now = time.time_ns()
    assert server.client.post("/logs", json=entries(50, now // SECOND - 5)).json()["accepted"] == 50
    send(keeper, Signal.SPANS, spans(now))
    send(keeper, Signal.METRICS, metrics(now))
    assert keeper.wait_idle(10)
    page = shown(server, "/api/v1/logs?limit=30", models.LogsAnswer)
    rest = shown(server, f"/api/v1/logs?limit=30&cursor={page['next_cursor']}", models.LogsAnswer)
    bodies = [item["body"] for item in [*page["items"], *rest["items"]]]
    assert bodies == [f"no stock for item {number}" for number in reversed(range(50))]
    (pattern,) = shown(server, "/api/v1/patterns", models.PatternsAnswer)["items"]
    assert (pattern["template"], pattern["count"]) == ("no stock for item <*>", 50)
    detail = shown(server, f"/api/v1/patterns/{pattern['template_id']}", models.PatternDetail)
    assert detail["parameters"][0]["distinct"] == 50
    services = shown(server, "/api/v1/services", models.ServicesAnswer)["items"]
    assert [(each["service"], each["logs"], each["spans"], each["metric_points"]) for each in services] == [
        ("cart", 50, 2, 4)
    ]
    (trace,) = shown(server, "/api/v1/traces", models.TracesAnswer)["items"]
    assert (trace["root_name"], trace["spans"], trace["errors"]) == ("GET /cart", 2, 1)
    assert len(shown(server, f"/api/v1/traces/{trace['trace_id']}", models.Trace)["spans"]) == 2
    assert [each["name"] for each in shown(server, "/api/v1/metrics", models.MetricsAnswer)["items"]] == [
        "latency",
        "requests",
    ]
    rate = shown(server, "/api/v1/metrics/series?name=requests&agg=sum&from=10m", models.SeriesAnswer)
    assert sum(rate["items"][0]["values"]) == pytest.approx(30)
    latency = shown(server, "/api/v1/metrics/series?name=latency&agg=p50&from=10m", models.SeriesAnswer)
    assert all(value == pytest.approx(0.3) for value in latency["items"][0]["values"])
    status = shown(server, "/api/v1/status", models_status.Status)
    assert status["ingest"]["logs"]["accepted"] == 50
    shown(server, "/api/v1/findings", models.FindingsAnswer)
    shown(server, "/api/v1/ledger", models_status.LedgerAnswer)
    assert 'watchkeeper_ingest_records_total{sender="127.0.0.1",signal="logs"' in server.client.get("/metrics").text


def test_a_tail_shows_what_is_sent(whole):
    server, _ = whole
    with httpx.stream("GET", f"{server.url}/api/v1/logs/stream?query=stock", timeout=10) as tail:
        wait_until(lambda: server.gateway.keeper.tail._subscribers)
        server.client.post("/logs", json=entries(1, time.time_ns() // SECOND))
        assert "no stock for item 0" in next(line for line in tail.iter_lines() if line.startswith("data: "))


def test_sql_cannot_leave_the_store(whole, tmp_path):
    server, _ = whole
    for query in (
        "SELECT * FROM read_text('/etc/passwd')",
        f"COPY logs TO '{tmp_path}/out.csv'",
        "ATTACH 'x.db'",
        "DROP TABLE logs",
        "SELECT 1; SELECT 2",
        "SELEC 1",
    ):
        assert server.client.post("/api/v1/sql", json={"query": query}).status_code == 400, query
    answer = server.client.post("/api/v1/sql", json={"query": "SELECT range AS n FROM range(50)", "rows_max": 20})
    assert (len(answer.json()["rows"]), answer.json()["truncated"]) == (20, True)


def send(keeper, signal, message):
    keeper.receiver.export(signal, "protobuf", message.SerializeToString(), peer=Peer("grpc", "127.0.0.1")).result(10)


def spans(now):
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "cart"
    scope = group.scope_spans.add()
    for number, name in enumerate(("GET /cart", "SELECT")):
        span = scope.spans.add(trace_id=b"\xab" * 16, span_id=bytes([number + 1]) * 8, name=name, kind=2)
        span.parent_span_id = b"\x01" * 8 if number else b""
        span.start_time_unix_nano = now - SECOND + number
        span.end_time_unix_nano = now
        span.status.code = 2 * number
    return request


def metrics(now):
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = "cart"
    scope = group.scope_metrics.add()
    requests = scope.metrics.add(name="requests")
    requests.sum.is_monotonic, requests.sum.aggregation_temporality = True, 2
    latency = scope.metrics.add(name="latency", unit="s")
    latency.histogram.aggregation_temporality = 1
    for number in range(3):
        point = requests.sum.data_points.add(as_int=100 + 15 * number)
        point.start_time_unix_nano = now - 3600 * SECOND
        point.time_unix_nano = now - (30 - 10 * number) * SECOND
    point = latency.histogram.data_points.add(count=10, sum=3.0, explicit_bounds=[0.1, 0.5], bucket_counts=[0, 10, 0])
    point.start_time_unix_nano, point.time_unix_nano = now - 2 * SECOND, now - SECOND
    return request


@pytest.mark.slow
def test_a_search_over_a_million_lines_of_an_hour_takes_less_than_a_second():
    tables = Tables()
    lines = many_lines(tables.now)
    tables.connection.register("added", lines)
    tables.connection.execute("INSERT INTO logs FROM added")
    hour = TimeRange(tables.now - 3600 * SECOND, 2**63 - 1)

    def search(query):
        return search_logs(tables, LogFilter(query=query), hour, limit=100, now_unix_ns=tables.now)

    search("warm")
    for query, found in (("absent-word", 0), ("worker 13", 100), ("order.id>999990", 9), ("-took", 0)):
        begun = time.perf_counter()
        assert len(search(query).items) == found, query
        assert time.perf_counter() - begun < 1.0, query
    begun = time.perf_counter()
    log_histogram(tables, LogFilter(query="worker 13"), hour, buckets=60)
    list_services(tables, hour)
    assert time.perf_counter() - begun < 1.0
    tables.connection.close()


def many_lines(now):
    number = np.arange(LINES)
    text = pa.array(
        [
            f"worker {n % 17} took {n % 900} ms for /api/v1/items/{n * 7919 % 100003} of tenant alpha"
            for n in range(LINES)
        ]
    )
    columns = {
        "time_unix_ns": pa.array(now - 3600 * SECOND + number * 3_600_000),
        "body": text,
        "attributes": pa.array([f'{{"order.id":{n}}}' for n in range(LINES)]),
        "resource_attributes": pa.array(np.full(LINES, "{}")),
        "service": pa.array([f"s{n % 10}" for n in range(LINES)]),
        "batch": pa.array(number // 500),
        "row": pa.array(number % 500),
    }
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(LINES, field.type) for field in LOGS
    ]
    return pa.Table.from_arrays(arrays, schema=LOGS)
