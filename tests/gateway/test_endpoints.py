"""Every endpoint over known rows: the answer is right, and has its documented shape and no more."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from tests.gateway.assembly import finding
from tests.store.reads.tables import NOW, SECOND

from watchkeeper.errors import DiskNearlyFull, InternalFault
from watchkeeper.gateway import models, models_status

TRACE = "ab" * 16


def get(server, path, model=None, status=200, **options):
    response = server.client.get(path, **options)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        model = models.Problem
        assert response.json()["status"] == status
    data = response.json()
    if model:
        model.model_validate(data, extra="forbid" if status < 400 else "allow", strict=False)
    return data


def test_health_and_readiness(server, keeper):
    assert get(server, "/health", models_status.Health) == {"status": "ok"}
    assert get(server, "/ready", models_status.Readiness) == {"ready": True}
    keeper.ready = (False, "starting")
    assert get(server, "/ready", status=503)["detail"] == "starting"


def test_status_has_times_as_text_and_is_made_once_a_second_for_all(server, keeper):
    status = get(server, "/api/v1/status", models_status.Status)
    assert (status["started_unix_ns"], status["store"]["signals"]["logs"]["newest_unix_ns"]) == (str(NOW - 5), None)
    for _ in range(20):
        get(server, "/api/v1/status")
    assert keeper.status_calls < 5


def test_ledger(server):
    server.client.post("/logs", json=[entry(), {"level": "info"}])
    (row,) = get(server, "/api/v1/ledger", models_status.LedgerAnswer)["items"]
    assert (row["sender"], row["protocol"], row["accepted"], row["rejected"]) == ("127.0.0.1", "json", 1, 1)
    assert row["last_error"].startswith("entry 1, timestamp: is missing")


def test_services_carry_their_open_findings(server):
    (cart,) = get(server, "/api/v1/services", models.ServicesAnswer)["items"]
    assert [cart[key] for key in ("logs", "errors", "spans", "span_errors", "metric_points", "findings_open")] == [
        2,
        1,
        1,
        1,
        4,
        1,
    ]


def test_searching_logs(server):
    page = get(server, "/api/v1/logs?limit=1", models.LogsAnswer)
    assert [item["body"] for item in page["items"]] == ["ready"]
    assert page["items"][0]["attributes"] == {"n": 2**53 + 1}
    page = get(server, "/api/v1/logs", models.LogsAnswer, params={"limit": 1, "cursor": page["next_cursor"]})
    assert [item["body"] for item in page["items"]] == ["boom 1"]
    assert page["next_cursor"] is None
    assert [item["body"] for item in get(server, "/api/v1/logs?order=asc")["items"]] == ["boom 1", "ready"]
    for asked in ("query=boom", "severity_min=error", "severity_min=17", "template_id=7", f"trace_id={TRACE}"):
        assert [item["body"] for item in get(server, f"/api/v1/logs?{asked}")["items"]] == ["boom 1"], asked
    assert get(server, "/api/v1/logs?from=10s")["items"] == []
    assert get(server, "/api/v1/logs?service=pay")["items"] == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("query=%22open", "not closed"),
        ("from=never", "not a time"),
        ("from=1m&to=2m", "exchange"),
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("order=up", "order"),
        ("cursor=xyz", "cursor"),
        ("severity_min=loud", "severity_min"),
        ("template_id=x", "template_id"),
        ("template_id=9999999999999999999", "64 bits"),
        ("query=" + "x" * 5000, "query"),
    ],
)
def test_what_cannot_be_asked_is_told(server, asked, says):
    assert says in get(server, f"/api/v1/logs?{asked}", status=400)["detail"]


def test_a_query_that_cannot_be_read_tells_its_position(server):
    assert get(server, "/api/v1/logs?query=a%20-", status=400)["position"] == 2


def test_counting_logs(server):
    answer = get(server, "/api/v1/logs/histogram?from=10m&buckets=10", models.HistogramAnswer)
    assert [item["count"] for item in answer["items"]] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert sum(item["errors"] for item in answer["items"]) == 1


def test_patterns(server):
    items = get(server, "/api/v1/patterns?sort=recent", models.PatternsAnswer)["items"]
    assert [(item["template"], item["count"]) for item in items] == [("ready", 1), ("boom <*>", 1)]
    assert [item["template_id"] for item in get(server, "/api/v1/patterns?query=boom")["items"]] == ["7"]
    one = get(server, "/api/v1/patterns/7", models.PatternDetail)
    assert one["parameters"][0]["values"] == [{"value": "1", "count": 1}]
    get(server, "/api/v1/patterns/99", status=404)
    get(server, "/api/v1/patterns/x", status=400)


def test_findings(server, keeper):
    keeper.findings.put([finding("f0", first_unix_ns=NOW - 3 * SECOND)])
    page = get(server, "/api/v1/findings?limit=2", models.FindingsAnswer)
    assert [item["id"] for item in page["items"]] == ["f1", "f2"]
    rest = get(server, "/api/v1/findings", params={"limit": 2, "cursor": page["next_cursor"]})
    assert [item["id"] for item in rest["items"]] == ["f0"]
    assert [item["id"] for item in get(server, "/api/v1/findings?service=pay&state=open")["items"]] == ["f2"]
    assert get(server, "/api/v1/findings?state=closed")["items"] == []
    assert get(server, "/api/v1/findings?to=1h&from=2h")["items"] == []
    one = get(server, "/api/v1/findings/f1", models.FindingShape)
    assert (one["template_id"], one["last_unix_ns"]) == (str(-(2**62)), str(NOW))
    assert one["evidence"][0]["points"] == [[str(NOW - 5), 1.0], [str(NOW), 2.0]]
    get(server, "/api/v1/findings/none", status=404)
    get(server, "/api/v1/findings?cursor=x", status=400)


def test_metrics(server):
    (metric,) = get(server, "/api/v1/metrics", models.MetricsAnswer)["items"]
    assert (metric["name"], metric["attributes"], metric["aggregations"][0]) == ("requests", ["route"], "rate")
    answer = get(server, "/api/v1/metrics/series?name=requests&group_by=service,route&step=30s", models.SeriesAnswer)
    assert answer["items"][0]["labels"] == {"service": "cart", "route": "/x"}
    assert answer["items"][0]["values"] == pytest.approx([1.0])
    assert get(server, "/api/v1/metrics/series?name=none", models.SeriesAnswer)["items"] == []
    get(server, "/api/v1/metrics/series", status=400)
    get(server, "/api/v1/metrics/series?name=requests&agg=median", status=400)
    assert get(server, "/api/v1/metrics?query=nothing")["items"] == []


def test_traces(server):
    (trace,) = get(server, "/api/v1/traces?min_duration_ms=5&status=error", models.TracesAnswer)["items"]
    assert (trace["root_name"], trace["duration_ms"]) == ("GET /", 5.0)
    one = get(server, f"/api/v1/traces/{TRACE}", models.Trace)
    assert one["spans"][0]["events"] == [{"name": "e", "time_unix_ns": "1763700000000000001"}]
    get(server, "/api/v1/traces/00", status=404)


def test_settings(server):
    items = get(server, "/api/v1/settings", models.SettingsAnswer)["items"]
    assert "http_port" in [item["name"] for item in items]


def test_sql(server):
    answer = server.client.post(
        "/api/v1/sql", json={"query": "SELECT body, time_unix_ns FROM logs ORDER BY 2", "rows_max": 1}
    )
    assert answer.status_code == 200
    models.SqlAnswer.model_validate(answer.json(), extra="forbid")
    assert answer.json()["rows"] == [["boom 1", str(NOW - 60 * SECOND)]]
    assert answer.json()["truncated"] is True
    for bad in ({}, {"query": ""}, {"query": "SELECT 1", "rows_max": 0}, {"query": "SELECT 1", "more": 1}, [], "x"):
        assert server.client.post("/api/v1/sql", json=bad).status_code == 400


def test_tokens(server):
    made = server.client.post("/api/v1/tokens", json={"name": "boss", "role": "admin"})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert server.client.get("/api/v1/tokens").status_code == 401
    server.client.headers["Authorization"] = f"Bearer {secret}"
    (token,) = get(server, "/api/v1/tokens", models.TokensAnswer)["items"]
    assert (token["name"], token["role"], token["expires_unix_ns"]) == ("boss", "admin", None)
    assert secret not in json.dumps(token)
    again = server.client.post("/api/v1/tokens", json={"name": "boss", "role": "viewer"})
    assert again.status_code == 409
    assert server.client.post("/api/v1/tokens", json={"name": "/", "role": "viewer"}).status_code == 400
    assert server.client.delete("/api/v1/tokens/none").status_code == 404
    assert server.client.delete("/api/v1/tokens/boss").status_code == 204
    assert server.client.get("/api/v1/status").status_code == 200


def test_what_is_not_there_is_told(server):
    get(server, "/api/v1/nothing", status=404)
    assert server.client.put("/api/v1/status", headers={"content-type": "application/json"}).status_code == 405


def test_answers_are_compressed_when_large(server):
    assert server.client.get("/openapi.json").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in server.client.get("/health").headers


def test_a_fault_of_ours_is_told_without_its_insides(server, keeper):
    keeper.status = lambda: 1 / 0
    problem = get(server, "/api/v1/status", status=500)
    assert "ZeroDivisionError" in problem["detail"]
    assert "Traceback" not in problem["detail"]


def test_slow_queries_do_not_hold_up_the_rest_and_too_many_are_refused(server, keeper):
    release = threading.Event()
    plain = keeper.store.sql

    def slow(query, *given, **options):
        if "histogram_marker" in str(given):
            assert release.wait(10)
        return plain(query, *given, **options)

    keeper.store.sql = slow
    answers: list[int] = []

    def ask(number):
        answers.append(server.client.get(f"/api/v1/logs/histogram?service=histogram_marker{number}").status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(45)]
    for thread in threads:
        thread.start()
    try:
        while not any(status == 429 for status in answers):
            assert any(thread.is_alive() for thread in threads)
            release.wait(0.01)
        assert server.client.get("/health").status_code == 200
        assert server.client.get("/api/v1/status").status_code == 200
        refused = server.client.get("/api/v1/logs/histogram")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert server.client.post("/logs", json=entry()).status_code == 200
    finally:
        release.set()
        for thread in threads:
            thread.join()
    assert answers.count(200) == 36
    assert server.client.get("/api/v1/logs/histogram").status_code == 200


def entry(**changes):
    return {
        "timestamp": "2025-11-21T04:40:00Z",
        "level": "error",
        "component": "cart",
        "message": "no stock",
        **changes,
    }


def test_log_entries_are_taken_in_every_form(server, keeper):
    one = server.client.post("/logs", json=entry(order=5))
    assert one.json() == {"accepted": 1, "rejected": 0, "deduplicated": 0, "errors": []}
    assert server.client.post("/logs", json=[entry(message="a"), entry(message="b")]).json()["accepted"] == 2
    lines = "\n".join(json.dumps(entry(message=str(number))) for number in range(3)).encode()

    def pieces():
        for start in range(0, len(lines), 11):
            yield lines[start : start + 11]

    headers = {"content-type": "application/x-ndjson"}
    assert server.client.post("/logs", content=pieces(), headers=headers).json()["accepted"] == 3
    packed = server.client.post("/logs", content=gzip.compress(lines), headers={**headers, "content-encoding": "gzip"})
    assert packed.json()["accepted"] == 3
    assert [batch.num_rows for batch in keeper.kept.batches] == [1, 2, 3, 3]
    row = keeper.kept.batches[0].to_pylist()[0]
    assert (row["service"], row["body"], row["severity_number"], row["sender"]) == ("cart", "no stock", 17, "127.0.0.1")


def test_bad_log_entries_are_told_and_good_ones_kept(server):
    some = server.client.post("/logs", json=[{}, entry(), entry(timestamp="soon")])
    assert some.status_code == 200
    models.LogEntriesAnswer.model_validate(some.json())
    assert [(error["position"], error["field"]) for error in some.json()["errors"]] == [
        (0, "timestamp"),
        (2, "timestamp"),
    ]
    assert (some.json()["accepted"], some.json()["rejected"]) == (1, 2)
    none = server.client.post("/logs", json=[{}])
    assert none.status_code == 400
    assert none.headers["content-type"] == "application/problem+json"
    assert none.json()["errors"][0]["position"] == 0
    assert server.client.post("/logs", content=b"").status_code == 400


def test_log_entries_that_cannot_be_taken_now(server, keeper):
    keeper.kept.refusal = DiskNearlyFull("the disk is nearly full", retry_after_s=2.5)
    refused = server.client.post("/logs", json=entry())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
    keeper.kept.refusal = InternalFault("fault")
    assert server.client.post("/logs", json=entry()).status_code == 503
    strange = server.client.post("/logs", content=b"x", headers={"content-encoding": "br"})
    assert (strange.status_code, "gzip" in strange.headers["accept-encoding"]) == (415, True)


def test_log_entries_beyond_the_size_limit(server, keeper):
    keeper.settings._values["request_bytes_max"] = 1024

    def endless():
        for _ in range(100):
            yield b'{"timestamp":' * 10

    assert server.client.post("/logs", content=endless()).status_code == 413
    assert keeper.ledger.rows()[0].rejected == 1
