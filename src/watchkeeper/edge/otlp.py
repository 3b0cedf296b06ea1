"""Records to OTLP: the bytes of an ExportLogsServiceRequest, and what a collector answered.

Enters: Records. Leaves: protobuf bytes, in which neighbours with the same resource and logger share their headers and
the order of records is kept. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from watchkeeper.edge.record import Record
from watchkeeper.version import __version__

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
SCOPE = "watchkeeper.replay"


def encode_logs(records: Iterable[Record], *, observed_unix_ns: int) -> bytes:
    """Encode records in their order; about 6 microseconds each."""
    request = ExportLogsServiceRequest()
    resource_key: object = None
    logger_key: str | None = None
    resource_logs: Any = None
    scope_logs: Any = None
    for record in records:
        if record.resource != resource_key or resource_logs is None:
            resource_logs = request.resource_logs.add()
            for name, value in record.resource:
                _add(resource_logs.resource.attributes, name, value)
            resource_key, logger_key = record.resource, None
        if record.logger != logger_key or scope_logs is None:
            scope_logs = resource_logs.scope_logs.add()
            scope_logs.scope.name = record.logger or SCOPE
            if not record.logger:
                scope_logs.scope.version = __version__
            logger_key = record.logger
        _fill(scope_logs.log_records.add(), record, observed_unix_ns)
    data: bytes = request.SerializeToString()
    return data


def _fill(message: Any, record: Record, observed_unix_ns: int) -> None:
    message.time_unix_nano = record.time_unix_ns
    message.observed_time_unix_nano = observed_unix_ns
    if record.severity_number:
        message.severity_number = record.severity_number
    if record.severity_text:
        message.severity_text = record.severity_text
    if isinstance(record.body, str):
        message.body.string_value = record.body
    else:
        set_any_value(message.body, record.body)
    for name, value in record.attributes.items():
        _add(message.attributes, name, value)
    if record.trace_id:
        message.trace_id = bytes.fromhex(record.trace_id)
    if record.span_id:
        message.span_id = bytes.fromhex(record.span_id)
    if record.event_name:
        message.event_name = record.event_name


def _add(attributes: Any, name: str, value: Any) -> None:
    pair = attributes.add()
    pair.key = name
    if isinstance(value, str):
        pair.value.string_value = value
    else:
        set_any_value(pair.value, value)


def set_any_value(target: AnyValue, value: Any) -> None:
    """Write a plain Python value into an AnyValue; an integer beyond 64 bits becomes text, None an empty value."""
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        if _INT_MIN <= value <= _INT_MAX:
            target.int_value = value
        else:
            target.string_value = str(value)
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for name, inner in value.items():
            _add(target.kvlist_value.values, str(name), inner)
    elif isinstance(value, list | tuple):
        target.array_value.SetInParent()
        for inner in value:
            set_any_value(target.array_value.values.add(), inner)
    elif value is not None:
        target.string_value = str(value)


class PartialSuccess(NamedTuple):
    """How many records a collector told back, and why."""

    rejected: int
    message: str


def read_response(body: bytes, content_type: str) -> PartialSuccess:
    """Read the answer to a successful request; one that cannot be read counts as a full success, as OTLP has it."""
    response = ExportLogsServiceResponse()
    try:
        if "json" in content_type:
            Parse(body or b"{}", response, ignore_unknown_fields=True)
        else:
            response.ParseFromString(body)
    except (DecodeError, ParseError, UnicodeDecodeError):
        return PartialSuccess(0, "")
    return PartialSuccess(response.partial_success.rejected_log_records, response.partial_success.error_message)


def read_error(body: bytes, content_type: str) -> str:
    """Read why a request was refused: google.rpc.Status in protobuf or JSON, else the text as it came, one line."""
    status = Status()
    text = ""
    try:
        if "protobuf" in content_type:
            status.ParseFromString(body)
            text = status.message
        elif "json" in content_type:
            Parse(body, status, ignore_unknown_fields=True)
            text = status.message
    except (DecodeError, ParseError, UnicodeDecodeError):
        text = ""
    return " ".join((text or body.decode("utf-8", "replace")).split())[:400]
