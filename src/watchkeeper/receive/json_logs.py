"""`POST /logs`: log entries as plain JSON become one OTLP request, so that they go the way of all telemetry.

Enters: a JSON object, an array of them, or a stream of newline-delimited ones. Each needs `timestamp` (RFC 3339),
`level`, `component` and `message`, all text. Leaves: an ExportLogsServiceRequest in protobuf, and for each bad entry
its position, the field and what is wrong; the good ones are kept. The component becomes the resource's `service.name`,
the level the severity, the message the body, all other fields attributes, whatever they hold; a `trace_id` or `span_id`
in hexadecimal is set on the record as well. Does not send or store anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.signals.schema import TIME_MAX_UNIX_NS

REQUIRED = ("timestamp", "level", "component", "message")
ERRORS_MAX = 1000
"""Errors told one by one; beyond it they are only counted, or a bad stream would be answered with a larger one."""
STREAM_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"})
DEPTH_MAX = 64

_SEVERITIES = {
    "trace": 1, "verbose": 1, "debug": 5, "info": 9, "information": 9, "informational": 9, "notice": 10, "warn": 13,
    "warning": 13, "err": 17, "error": 17, "severe": 17, "crit": 18, "alert": 19, "critical": 21, "fatal": 21,
    "panic": 21, "emerg": 21, "emergency": 21,
}  # fmt: skip
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-fA-F]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-fA-F]{16}")
_LONG_NUMBER = re.compile(rb"\d{19}")
_INT64_MAX = 2**63 - 1
_MISSING = object()


class ItemError(NamedTuple):
    """What is wrong with one entry: its position (from 0), the field ("" for the entry as a whole), a message."""

    position: int
    field: str
    message: str


class JsonLogsResult(NamedTuple):
    """What was understood: the OTLP request and how many records it holds, how many entries were bad and why."""

    payload: bytes
    accepted: int
    errors: list[ItemError]
    rejected: int


class BadField(Exception):
    """One field of an entry is not what it has to be; never leaves this module."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_json_logs(body: bytes, content_type: str = "") -> JsonLogsResult:
    """Turn a body into an OTLP request; cost: some microseconds an entry.

    Raises MalformedTelemetry when there is no single entry to be told good or bad.
    """
    scopes: dict[str, ScopeLogs] = {}
    request = ExportLogsServiceRequest()
    errors: list[ItemError] = []
    accepted = rejected = 0
    for position, item in enumerate(_items(body, content_type)):
        try:
            component, record = _record(item)
        except BadField as error:
            rejected += 1
            if len(errors) < ERRORS_MAX:
                errors.append(ItemError(position, error.field, str(error)))
            continue
        if component not in scopes:
            resource = request.resource_logs.add()
            resource.resource.attributes.add(key="service.name").value.string_value = component
            scopes[component] = resource.scope_logs.add()
        scopes[component].log_records.append(record)
        accepted += 1
    if not accepted and not rejected:
        raise MalformedTelemetry("the body holds no log entry; send a JSON object, an array, or one object a line")
    return JsonLogsResult(request.SerializeToString(), accepted, errors, rejected)


def _items(body: bytes, content_type: str) -> Iterator[Any]:
    """Give each entry as parsed JSON, or the BadField that stands for one that cannot be parsed."""
    text = body.strip(b" \t\r\n\xef\xbb\xbf")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in STREAM_TYPES:
        try:
            whole = _parse(text)
        except BadField as error:
            if text.startswith(b"[") or b"\n" not in text:
                raise MalformedTelemetry(f"the body is {error}") from error
        else:
            yield from whole if isinstance(whole, list) else [whole]
            return
    for line in text.split(b"\n"):
        if line.strip():
            try:
                yield _parse(line)
            except BadField as error:
                yield error


def _parse(text: bytes) -> Any:
    """Parse JSON; ints keep all their digits, which orjson drops from those beyond 64 bits."""
    try:
        parsed = orjson.loads(text)
        return json.loads(text) if _LONG_NUMBER.search(text) else parsed
    except (ValueError, RecursionError) as error:
        raise BadField("", f"not valid JSON: {error}") from None


def _record(item: Any) -> tuple[str, LogRecord]:
    """Turn one entry into its component and an OTLP record; raises BadField."""
    if isinstance(item, BadField):
        raise item
    if not isinstance(item, dict):
        raise BadField("", f"an entry is a JSON object, not {_kind(item)}")
    timestamp, level, component, message = (_text(item, name) for name in REQUIRED)
    if not component:
        raise BadField("component", "is empty; name the part of the system that logs")
    record = LogRecord(
        time_unix_nano=parse_rfc3339(timestamp),
        severity_number=_SEVERITIES.get(level.strip().lower(), 0),  # type: ignore[arg-type]
        severity_text=level,
        body=AnyValue(string_value=message),
    )
    for key, value in item.items():
        if key not in REQUIRED:
            record.attributes.append(KeyValue(key=key, value=_any_value(key, value, DEPTH_MAX)))
    trace_id, span_id = item.get("trace_id"), item.get("span_id")
    if isinstance(trace_id, str) and _TRACE_ID.fullmatch(trace_id):
        record.trace_id = bytes.fromhex(trace_id)
    if isinstance(span_id, str) and _SPAN_ID.fullmatch(span_id):
        record.span_id = bytes.fromhex(span_id)
    return component, record


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name, _MISSING)
    if value is _MISSING:
        raise BadField(name, "is missing; timestamp, level, component and message are required")
    if not isinstance(value, str):
        raise BadField(name, f"is {_kind(value)}; it has to be text")
    return value


def parse_rfc3339(text: str) -> int:
    """Give the Unix nanoseconds of an RFC 3339 timestamp; digits past nanoseconds are cut off. Raises BadField.

    >>> parse_rfc3339("1970-01-01T01:00:00.000000001+01:00")
    1
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise BadField("timestamp", f"{text[:64]!r} is not RFC 3339, as in 2026-01-31T09:30:00.123Z")
    year, month, day, hour, minute, seconds, fraction, _zulu, sign, offset_hours, offset_minutes = found.groups()
    # A leap second is written :60; Unix time gives it the number of the second that follows.
    leap = int(seconds) == 60
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(seconds), tzinfo=UTC
        )
    except ValueError as error:
        raise BadField("timestamp", f"{text[:64]!r} is no real time: {error}") from None
    offset_s = 0
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise BadField("timestamp", f"{text[:64]!r} has an offset that cannot be")
        offset_s = (int(offset_hours) * 60 + int(offset_minutes)) * (60 if sign == "+" else -60)
    whole = int(moment.timestamp()) + leap - offset_s
    unix_ns = whole * 10**9 + int((fraction or "").ljust(9, "0")[:9])
    if not 0 < unix_ns <= TIME_MAX_UNIX_NS:
        raise BadField("timestamp", f"{text[:64]!r} is outside of 1970-01-01 to 2262-04-11")
    return unix_ns


def _any_value(field: str, value: Any, depth: int) -> AnyValue:
    """Turn parsed JSON into an AnyValue that loses nothing; ints beyond 64 bits become their decimal text."""
    if depth == 0:
        raise BadField(field, f"is nested more than {DEPTH_MAX} deep")
    if value is None:
        return AnyValue()
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return (
            AnyValue(int_value=value) if -_INT64_MAX - 1 <= value <= _INT64_MAX else AnyValue(string_value=str(value))
        )
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_any_value(field, each, depth - 1) for each in value]))
    pairs = [KeyValue(key=key, value=_any_value(field, each, depth - 1)) for key, each in value.items()]
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


def _kind(value: Any) -> str:
    """Name the JSON kind of a value."""
    names = {
        dict: "an object",
        list: "an array",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")
