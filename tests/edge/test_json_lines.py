from __future__ import annotations

import json
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.json_lines import parse_json_line, parse_logfmt_line
from watchkeeper.edge.timestamps import Clock

CLOCK = Clock(UTC, 1_710_000_000 * 10**9)
AT = 1_704_164_645 * 10**9
MS = 10**6


@pytest.mark.parametrize(
    ("line", "time", "number", "body", "rest"),
    [
        ({"timestamp": "2024-01-02T03:04:05Z", "level": "error", "message": "m"}, AT, 17, "m", {}),
        ({"time": "2024-01-02T03:04:05.25Z", "level": "WARN", "msg": "m", "k": 1}, AT + 250 * MS, 13, "m", {"k": 1}),
        (
            {"ts": 1704164645.25, "level": "info", "caller": "a.go:1", "msg": "m"},
            AT + 250 * MS,
            9,
            "m",
            {"caller": "a.go:1"},
        ),
        (
            {"level": 50, "time": 1704164645250, "pid": 7, "hostname": "h", "msg": "m"},
            AT + 250 * MS,
            17,
            "m",
            {"pid": 7},
        ),
        ({"@timestamp": "2024-01-02T03:04:05Z", "log.level": "INFO", "message": "m"}, AT, 9, "m", {}),
        (
            {"@timestamp": "2024-01-02T03:04:05Z", "log": {"level": "warn", "x": 1}, "message": "m"},
            AT,
            13,
            "m",
            {"log": {"x": 1}},
        ),
        ({"@t": "2024-01-02T03:04:05Z", "@l": "Error", "@m": "m"}, AT, 17, "m", {}),
        ({"asctime": "2024-01-02 03:04:05,000", "levelname": "CRITICAL", "message": "m"}, AT, 21, "m", {}),
        ({"__REALTIME_TIMESTAMP": "1704164645000000", "PRIORITY": "3", "MESSAGE": "m"}, AT, 17, "m", {}),
        (
            {"t": {"$date": "2024-01-02T03:04:05Z"}, "s": "W", "c": "NETWORK", "id": 1, "msg": "m"},
            AT,
            13,
            "m",
            {"id": 1},
        ),
        (
            {"instant": {"epochSecond": 1704164645, "nanoOfSecond": 5}, "level": "INFO", "message": "m"},
            AT + 5,
            9,
            "m",
            {},
        ),
        (
            {"version": "1.1", "short_message": "m", "level": 4, "timestamp": 1704164645},
            AT,
            13,
            "m",
            {"version": "1.1"},
        ),
        ({"severity": "NOTICE", "textPayload": "m", "timestamp": "nonsense"}, 0, 10, "m", {"timestamp": "nonsense"}),
        ({"severity_number": 18, "severity_text": "crit", "body": {"a": [1, None]}}, 0, 18, {"a": [1, None]}, {}),
    ],
)
def test_the_fields_of_the_common_loggers(line, time, number, body, rest):
    record = parse_json_line(json.dumps(line), CLOCK)
    assert record is not None
    assert (record.time_unix_ns, record.severity_number, record.body, dict(record.attributes)) == (
        time,
        number,
        body,
        rest,
    )


def test_trace_span_service_host_and_logger_go_to_their_places():
    line = {"msg": "m", "trace_id": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331",
            "service": {"name": "cart"}, "host": "n1", "logger": "a.b"}  # fmt: skip
    record = parse_json_line(json.dumps(line), CLOCK)
    assert record is not None
    assert (record.trace_id, record.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert record.resource == (("service.name", "cart"), ("host.name", "n1"))
    assert record.logger == "a.b"
    assert record.attributes == {}


def test_an_id_that_is_none_stays_an_attribute():
    record = parse_json_line('{"msg": "m", "trace_id": "7", "span_id": "0000000000000000"}', CLOCK)
    assert record is not None
    assert (record.trace_id, record.span_id) == ("", "")
    assert record.attributes == {"trace_id": "7", "span_id": "0000000000000000"}


def test_without_a_message_the_line_is_the_body():
    line = '{"level":"info","rows":3}'
    record = parse_json_line(line, CLOCK)
    assert record is not None
    assert (record.body, record.attributes) == (line, {"rows": 3})


@pytest.mark.parametrize("line", ["", "{}", "[1]", "{broken", '{"a": 1} tail', "plain text", '"text"'])
def test_what_is_no_object_is_not_of_the_format(line):
    assert parse_json_line(line, CLOCK) is None


def test_logfmt():
    record = parse_logfmt_line(r'ts=2024-01-02T03:04:05Z level=warn msg="slow \"q\"\n2" dur=2.5s ok= user=7', CLOCK)
    assert record is not None
    assert (record.time_unix_ns, record.severity_number, record.body) == (AT, 13, 'slow "q"\n2')
    assert record.attributes == {"dur": "2.5s", "ok": "", "user": "7"}


@pytest.mark.parametrize("line", ["level=info", "a=1 b=2", "msg=a level=info and more", "msg"])
def test_what_is_not_all_pairs_is_no_logfmt(line):
    assert parse_logfmt_line(line, CLOCK) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        "time",
        "ts",
        "level",
        "severity",
        "msg",
        "message",
        "trace_id",
        "service",
        "log",
        "s",
        "t",
        "PRIORITY",
        "instant",
        "x",
    ]
)


@given(st.dictionaries(_FIELDS, _JSON, max_size=8))
def test_any_object_makes_a_record(fields):
    record = parse_json_line(json.dumps(fields), CLOCK)
    assert record is None or 0 <= record.severity_number <= 24
