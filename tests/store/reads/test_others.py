"""Patterns, services and traces over rows whose answers can be counted by hand."""

from __future__ import annotations

from watchkeeper.patterns.base import Template
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.logs import LogFilter
from watchkeeper.store.reads.patterns import list_patterns, one_pattern, parameter_values
from watchkeeper.store.reads.services import list_services
from watchkeeper.store.reads.traces import TraceFilter, list_traces, one_trace

TEMPLATES = {7: Template(7, "user <*> came from <*>", 99, 1, 2, ("user old came from n0",))}


def recent(tables, seconds=600):
    return TimeRange(tables.now - seconds * tables.second, tables.now)


def mined(tables):
    at = tables.now - 300 * tables.second
    names = ["ann", "bob", "ann", "cleo"]
    tables.logs(
        *[
            {"time_unix_ns": at + i, "body": f"user {name} came from n1", "template_id": 7, "service": f"s{i % 2}"}
            for i, name in enumerate(names)
        ],
        {"time_unix_ns": at + 9 * tables.second, "body": "boom", "template_id": -8, "severity_number": 21},
        {"time_unix_ns": at, "body": "not yet mined"},
    )


def test_patterns_are_counted_and_sorted(tables):
    mined(tables)
    by_count = list_patterns(tables, LogFilter(), recent(tables), TEMPLATES.get, sort="count", limit=10)
    assert [(p["template_id"], p["template"], p["count"], p["services"], p["severity"]) for p in by_count] == [
        ("7", "user <*> came from <*>", 4, ["s0", "s1"], "info"),
        ("-8", "boom", 1, [], "fatal"),
    ]
    assert [sum(p["sparkline"]) for p in by_count] == [4, 1]
    assert [
        p["template_id"]
        for p in list_patterns(tables, LogFilter(), recent(tables), TEMPLATES.get, sort="rare", limit=1)
    ] == ["-8"]
    only = list_patterns(tables, LogFilter(query="ann"), recent(tables), TEMPLATES.get, sort="recent", limit=10)
    assert [(p["template_id"], p["count"], sum(p["sparkline"])) for p in only] == [("7", 2, 2)]


def test_one_pattern_has_lines_and_the_values_of_its_parameters(tables):
    mined(tables)
    pattern = one_pattern(tables, 7, recent(tables), TEMPLATES.get)
    assert pattern["examples"] == [
        "user cleo came from n1",
        "user ann came from n1",
        "user bob came from n1",
        "user old came from n0",
    ]
    assert pattern["parameters"][0] == {
        "position": 0,
        "distinct": 3,
        "values": [{"value": "ann", "count": 2}, {"value": "cleo", "count": 1}, {"value": "bob", "count": 1}],
    }
    assert pattern["parameters"][1]["values"] == [{"value": "n1", "count": 4}]


def test_a_pattern_out_of_range_is_told_from_memory_and_an_unknown_one_is_none(tables):
    pattern = one_pattern(tables, 7, recent(tables), TEMPLATES.get)
    assert (pattern["count"], pattern["first_unix_ns"], pattern["examples"]) == (0, "1", ["user old came from n0"])
    assert one_pattern(tables, 8, recent(tables), TEMPLATES.get) is None


def test_parameters_of_lines_that_do_not_fit_are_left_out():
    assert parameter_values("a <*>", ["a 1", "b 2"])[0]["values"] == [{"value": "1", "count": 1}]
    assert parameter_values("no parameter", ["no parameter"]) == []
    assert parameter_values("<*><*>", ["xy"])[1]["values"] == [{"value": "xy", "count": 1}]
    assert parameter_values("<*> and <*> end", ["a and b and c end"])[1]["values"] == [{"value": "b and c", "count": 1}]
    assert parameter_values("a<*>a", ["a"]) == []


def test_services_are_summed_over_the_signals(tables):
    at = tables.now - 10 * tables.second
    tables.logs(*[{"time_unix_ns": at + i, "service": "cart", "severity_number": n} for i, n in enumerate([9, 17, 21])])
    tables.spans({"time_unix_ns": at + 50, "service": "cart", "status_code": 2}, {"time_unix_ns": at, "service": "pay"})
    tables.metrics({"time_unix_ns": at, "service": "cart"})
    tables.logs({"time_unix_ns": at - 3600 * tables.second, "service": "long ago"})
    cart, pay = list_services(tables, recent(tables))
    assert [cart[key] for key in ("logs", "errors", "spans", "span_errors", "metric_points")] == [3, 2, 1, 1, 1]
    assert (cart["last_unix_ns"], cart["logs_per_second"]) == (str(at + 50), 0.005)
    assert sum(cart["sparkline"]) == 3
    assert cart["errors_sparkline"][-1] == 2
    assert (pay["service"], pay["spans"], pay["sparkline"]) == ("pay", 1, [0] * 30)


def spans_of_two_traces(tables):
    at = tables.now - 100 * tables.second
    ms = 1_000_000
    tables.spans(
        {
            "time_unix_ns": at + 5,
            "duration_ns": 50 * ms,
            "trace_id": "aa",
            "span_id": "2",
            "parent_span_id": "1",
            "service": "pay",
            "name": "charge",
            "status_code": 2,
            "kind": 3,
            "attributes": {"k": 1},
            "events": '[{"name":"exception"}]',
        },
        {
            "time_unix_ns": at,
            "duration_ns": 80 * ms,
            "trace_id": "aa",
            "span_id": "1",
            "service": "front",
            "name": "GET /",
            "kind": 2,
        },
        {
            "time_unix_ns": at + 9 * ms,
            "duration_ns": ms,
            "trace_id": "bb",
            "span_id": "3",
            "parent_span_id": "lost",
            "service": "cart",
            "name": "add",
        },
    )
    return at


def test_traces_are_summed_up_newest_first(tables):
    at = spans_of_two_traces(tables)
    newest, older = list_traces(tables, TraceFilter(), recent(tables), limit=10)
    assert (newest["trace_id"], newest["root_name"], newest["root_service"], newest["errors"]) == (
        "bb",
        "add",
        "cart",
        0,
    )
    assert older == {
        "trace_id": "aa",
        "root_service": "front",
        "root_name": "GET /",
        "start_unix_ns": str(at),
        "duration_ms": 80.0,
        "spans": 2,
        "errors": 1,
        "services": ["front", "pay"],
    }


def test_traces_are_filtered(tables):
    spans_of_two_traces(tables)

    def ids(limit=10, **chosen):
        return [trace["trace_id"] for trace in list_traces(tables, TraceFilter(**chosen), recent(tables), limit=limit)]

    assert ids(limit=1) == ["bb"]
    assert ids(service="pay") == ["aa"]
    assert ids(service="pay", operation="GET /") == []
    assert ids(operation="GET /") == ["aa"]
    assert ids(min_duration_ms=80) == ["aa"]
    assert ids(status="error") == ["aa"]
    assert ids(status="ok") == ["bb"]
    assert ids(service="x' OR 1=1") == []


def test_one_trace_is_found_however_old(tables):
    at = spans_of_two_traces(tables)
    day = 86_400 * tables.second
    for now in (tables.now, tables.now + day - 3600 * tables.second, tables.now + 5 * day):
        trace = one_trace(tables, "AA", now)
        assert [span["span_id"] for span in trace["spans"]] == ["1", "2"]
    span = trace["spans"][1]
    assert span["events"] == [{"name": "exception"}]
    assert (span["kind"], span["status_code"], span["duration_ns"], span["attributes"]) == (
        "client",
        "error",
        "50000000",
        {"k": 1},
    )
    assert trace["spans"][0]["start_unix_ns"] == str(at)
    assert one_trace(tables, "cc", tables.now) is None
