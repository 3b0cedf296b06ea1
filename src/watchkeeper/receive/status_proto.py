"""Builds the answers of OTLP: `google.rpc.Status` for errors, `Export*ServiceResponse` for success.

Enters: an error of Watchkeeper's tree, or counts. Leaves: bytes in protobuf or JSON, with the HTTP status and the gRPC
code that go with them. Does not send anything.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from watchkeeper.errors import (
    Forbidden,
    MalformedTelemetry,
    QueueFull,
    Refused,
    TooLarge,
    Unauthorized,
    UnsupportedEncoding,
    WatchkeeperError,
)
from watchkeeper.signals.signal import Signal

PROTOBUF_TYPE = "application/x-protobuf"
JSON_TYPE = "application/json"
MESSAGE_CHARACTERS_MAX = 1024
"""gRPC carries the message in a header as well, and peers refuse headers beyond 8 KiB."""

_RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.SPANS: (ExportTraceServiceResponse, "rejected_spans"),
}


class Code(NamedTuple):
    """What an error is called: the HTTP status and the number of google.rpc.Code."""

    http: int
    rpc: int


_CODES: tuple[tuple[type[WatchkeeperError], Code], ...] = (
    (QueueFull, Code(429, 8)),  # RESOURCE_EXHAUSTED
    (Refused, Code(503, 14)),  # UNAVAILABLE
    (UnsupportedEncoding, Code(415, 3)),  # INVALID_ARGUMENT
    (MalformedTelemetry, Code(400, 3)),  # INVALID_ARGUMENT
    (TooLarge, Code(413, 8)),  # RESOURCE_EXHAUSTED; without RetryInfo OTLP clients do not retry it
    (Unauthorized, Code(401, 16)),  # UNAUTHENTICATED
    (Forbidden, Code(403, 7)),  # PERMISSION_DENIED
)


def code_of(error: WatchkeeperError) -> Code:
    """Give the codes of an error; one that has none of its own is UNAVAILABLE, for it is ours and a retry may help."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code(503, 14))


def retry_after_s(error: WatchkeeperError) -> float | None:
    """Give what the sender is to wait in seconds, None when a retry cannot help."""
    if isinstance(error, Refused):
        return error.retry_after_s
    return 1.0 if code_of(error).http == 503 else None


def retry_after_header(seconds: float) -> bytes:
    """Write seconds as the header `Retry-After`, which holds whole seconds only; rounded up, so never "0"."""
    return str(max(1, math.ceil(seconds))).encode("ascii")


def status(code: int, message: str, retry_s: float | None = None) -> Status:
    """Make a google.rpc.Status; `retry_s` adds the RetryInfo by which OTLP tells a client that it may retry."""
    made = Status(code=code, message=message[:MESSAGE_CHARACTERS_MAX])
    if retry_s is not None:
        made.details.add().Pack(retry_info(retry_s))
    return made


def retry_info(seconds: float) -> RetryInfo:
    """Make the google.rpc.RetryInfo of a delay."""
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def status_of(error: WatchkeeperError) -> Status:
    """Make the google.rpc.Status of an error."""
    return status(code_of(error).rpc, str(error), retry_after_s(error))


def success(signal: Signal, rejected: int, reason: str) -> Message:
    """Make the answer to an accepted request; `partial_success` is set when records were rejected or a reason is told.

    An empty partial_success is left out, as the specification asks.
    """
    kind, field = _RESPONSES[signal]
    made: Message = kind()
    if rejected or reason:
        partial = made.partial_success  # type: ignore[attr-defined]
        setattr(partial, field, rejected)
        partial.error_message = reason[:MESSAGE_CHARACTERS_MAX]
    return made


def encode(message: Message, content_type: str) -> bytes:
    """Write a message in the encoding of that content type: protobuf, or else JSON."""
    if content_type == PROTOBUF_TYPE:
        return message.SerializeToString()
    return MessageToJson(message, indent=None).encode("utf-8")
