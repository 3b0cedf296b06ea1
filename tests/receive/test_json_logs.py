"""POST /logs: what each form of body becomes, and how bad entries are told."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.json_logs import (
    ERRORS_MAX,
    BadField,
    ItemError,
    JsonLogsResult,
    parse_json_logs,
    parse_rfc3339,
)
from watchkeeper.signals.any_value import attributes_json

ENTRY: dict[str, Any] = {
    "timestamp": "2026-01-31T09:30:00.123456789Z",
    "level": "ERROR",
    "component": "inference",
    "message": "out of memory",
}
ENTRY_NS = 1_769_851_800_123_456_789


def entry(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**ENTRY, **changes}.items() if value is not ...}


def parse(value: Any) -> JsonLogsResult:
    return parse_json_logs(json.dumps(value).encode())


def records(result: JsonLogsResult) -> list[tuple[str, LogRecord]]:
    request = ExportLogsServiceRequest.FromString(result.payload)
    return [
        (resource.resource.attributes[0].value.string_value, record)
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def only(result: JsonLogsResult) -> LogRecord:
    ((_, record),) = records(result)
    return record


def test_an_entry_becomes_a_record() -> None:
    result = parse(entry(model="tiny", duration_ms=12.5))
    ((component, record),) = records(result)
    assert (result.accepted, result.rejected, result.errors) == (1, 0, [])
    assert component == "inference"
    assert (record.time_unix_nano, record.severity_number, record.severity_text) == (ENTRY_NS, 17, "ERROR")
    assert record.body.string_value == "out of memory"
    assert attributes_json(record.attributes) == '{"model":"tiny","duration_ms":12.5}'


def test_nested_values_survive() -> None:
    extra = {
        "nested": {"a": [1, 2.5, None, True, {"b": "é"}], "empty": {}, "none": []},
        "large": 2**53 + 1,
        "least": -(2**63),
        "nothing": None,
        "unsigned": 2**64 - 1,
        "huge": 10**40,
    }
    assert attributes_json(only(parse(entry(**extra))).attributes) == (
        '{"nested":{"a":[1,2.5,null,true,{"b":"é"}],"empty":{},"none":[]},"large":9007199254740993,'
        '"least":-9223372036854775808,"nothing":null,"unsigned":"18446744073709551615",'
        '"huge":"10000000000000000000000000000000000000000"}'
    )


def test_ids_in_hexadecimal_are_set_on_the_record_too() -> None:
    record = only(parse(entry(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="B7AD6B7169203331")))
    assert (record.trace_id.hex(), record.span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert [pair.key for pair in record.attributes] == ["trace_id", "span_id"]
    record = only(parse(entry(trace_id="0" * 32, span_id=7)))
    assert (record.trace_id, record.span_id) == (b"", b"")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (lambda lines: b"[" + b",".join(lines) + b"]", "application/json"),
        (lambda lines: b" \r\n[" + b",\n".join(lines) + b"]\n", ""),
        (b"\n".join, "application/json"),
        (lambda lines: b"\r\n\r\n".join(lines) + b"\r\n", "application/x-ndjson; charset=utf-8"),
        (lambda lines: b"\xef\xbb\xbf" + b"\n".join(lines), "text/plain"),
    ],
    ids=["array", "array over lines", "lines as json", "lines", "lines with a byte order mark"],
)
def test_arrays_and_streams_hold_many(body, content_type) -> None:
    lines = [json.dumps(entry(message=f"m{number}", component=f"c{number % 2}")).encode() for number in range(5)]
    result = parse_json_logs(body(lines), content_type)
    assert result.accepted == 5
    assert [(component, record.body.string_value) for component, record in records(result)] == [
        ("c0", "m0"),
        ("c0", "m2"),
        ("c0", "m4"),
        ("c1", "m1"),
        ("c1", "m3"),
    ]


def test_bad_entries_are_told_with_position_and_field_and_the_good_ones_kept() -> None:
    result = parse(
        [
            entry(),
            entry(level=...),
            entry(timestamp="yesterday"),
            entry(component=7),
            entry(message=None),
            entry(component=""),
            "text",
            entry(message=""),
        ]
    )
    assert (result.accepted, result.rejected) == (2, 6)
    assert [(error.position, error.field) for error in result.errors] == [
        (1, "level"),
        (2, "timestamp"),
        (3, "component"),
        (4, "message"),
        (5, "component"),
        (6, ""),
    ]
    assert "missing" in result.errors[0].message
    assert "'yesterday'" in result.errors[1].message
    assert result.errors[2].message.startswith("is a number")
    assert len(records(result)) == 2


def test_a_bad_line_of_a_stream_does_not_spoil_the_others() -> None:
    lines = [json.dumps(entry()), "{broken", json.dumps(entry(level=...)), json.dumps(entry())]
    result = parse_json_logs("\n".join(lines).encode(), "application/x-ndjson")
    assert (result.accepted, result.rejected) == (2, 2)
    assert [(error.position, error.field) for error in result.errors] == [(1, ""), (2, "level")]
    assert isinstance(result.errors[0], ItemError)
    assert parse_json_logs("\n".join(lines).encode(), "application/json")[1:] == result[1:]


@pytest.mark.parametrize("body", [b"", b"  \n", b"{", b"[{]", b"[]", b"\xff\xfe", b"{'a': 1}", b"[" * 5000])
def test_a_body_without_a_single_entry_is_malformed(body) -> None:
    with pytest.raises(MalformedTelemetry):
        parse_json_logs(body, "application/json")


@pytest.mark.parametrize("body", [b"null", b"5", b'"text"', b"{}"])
def test_other_json_is_one_bad_entry(body) -> None:
    result = parse_json_logs(body)
    assert (result.accepted, result.rejected, result.payload) == (0, 1, b"")


def test_errors_are_bounded_and_counted() -> None:
    result = parse_json_logs(b"{}\n" * (ERRORS_MAX + 50), "application/x-ndjson")
    assert (len(result.errors), result.rejected) == (ERRORS_MAX, ERRORS_MAX + 50)


def test_deep_nesting_is_a_bad_entry_and_no_crash() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    result = parse([entry(deep=deep), entry(), entry(deep={"n": 12345678901234567890123, "d": deep})])
    assert result.accepted == 1
    assert [error.field for error in result.errors] == ["deep", "deep"]


@pytest.mark.parametrize(
    ("level", "number"),
    [("debug", 5), ("Info", 9), ("NOTICE", 10), (" warning ", 13), ("err", 17), ("CRITICAL", 21), ("lavender", 0)],
)
def test_levels_become_severities_and_are_kept(level, number) -> None:
    record = only(parse(entry(level=level)))
    assert (record.severity_number, record.severity_text) == (number, level)


@pytest.mark.parametrize(
    ("text", "unix_ns"),
    [
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("2026-01-31t09:30:00z", 1_769_851_800 * 10**9),
        ("2026-01-31 10:30:00+01:00", 1_769_851_800 * 10**9),
        ("2026-01-31T01:00:00-08:30", 1_769_851_800 * 10**9),
        ("2026-01-31T09:30:00.5Z", 1_769_851_800_500_000_000),
        ("2026-01-31T09:30:00.123456789123Z", ENTRY_NS),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * 10**9),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * 10**9),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
    ],
)
def test_timestamps(text, unix_ns) -> None:
    assert parse_rfc3339(text) == unix_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T09:30:00",
        "2026-01-31T09:30Z",
        "2025-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T09:30:61Z",
        "2026-01-31T09:30:00.Z",
        "2026-01-31T09:30:00+24:00",
        "2026-01-31T09:30:00+0100",
        "1969-12-31T23:59:59Z",
        "2262-04-11T23:47:16.854775808Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-01-31T09:30:00Z",
        "1769851800",
    ],
)
def test_timestamps_that_are_none(text) -> None:
    with pytest.raises(BadField) as bad:
        parse_rfc3339(text)
    assert bad.value.field == "timestamp"


@given(st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1), timezones=st.timezones()))
def test_every_time_that_python_writes_is_read_back(moment: datetime) -> None:
    moment = moment.replace(fold=0)
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    assert parse_rfc3339(moment.isoformat()) == expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def plain(value: Any) -> Any:
    """Read an AnyValue back into what JSON would hold."""
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [plain(each) for each in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, which)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.copysign(1, left) == math.copysign(1, right) and left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


@given(extra=st.dictionaries(st.text().filter(lambda key: key not in ENTRY), json_values, max_size=5))
def test_any_other_field_becomes_an_attribute_unchanged(extra) -> None:
    try:
        text = json.dumps({**ENTRY, **extra}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    record = only(parse_json_logs(text))
    assert same({pair.key: plain(pair.value) for pair in record.attributes}, extra)


@given(st.binary(max_size=300))
def test_any_bytes_are_entries_or_malformed(body) -> None:
    try:
        result = parse_json_logs(body)
    except MalformedTelemetry:
        return
    assert result.accepted + result.rejected > 0
