"""Prints what an agent takes in, a line a record, for someone who wants to see whether anything comes at all.

Enters: requests that are durable. Leaves: lines on standard output, control characters made visible. The form is for
people and may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from watchkeeper.signals.signal import Signal

_BODY_CHARACTERS_MAX = 300


def print_request(signal: Signal, message: Message) -> None:
    """Print the records of a request."""
    print("\n".join(request_lines(signal, message)), flush=True)


def request_lines(signal: Signal, message: Any) -> Iterator[str]:
    """Give a line for each log record, data point or span."""
    groups = {Signal.LOGS: "resource_logs", Signal.METRICS: "resource_metrics", Signal.SPANS: "resource_spans"}
    for group in getattr(message, groups[signal]):
        service = next(
            (each.value.string_value for each in group.resource.attributes if each.key == "service.name"), "-"
        )
        if signal is Signal.LOGS:
            for scope in group.scope_logs:
                for record in scope.log_records:
                    when = record.time_unix_nano or record.observed_time_unix_nano
                    yield _line("log", when, service, record.severity_text or "-", _value(record.body))
        elif signal is Signal.SPANS:
            for scope in group.scope_spans:
                for span in scope.spans:
                    took_ms = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
                    yield _line("span", span.start_time_unix_nano, service, f"{took_ms:.3f}ms", span.name)
        else:
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    yield from _points(service, metric)


def _points(service: str, metric: Any) -> Iterator[str]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points if kind else ():
        labels = ",".join(f"{each.key}={_value(each.value)}" for each in point.attributes)
        if hasattr(point, "as_double"):
            value = f"{point.as_double if point.HasField('as_double') else point.as_int:g}"
        else:
            value = f"count={point.count} sum={point.sum:g}"
        yield _line("metric", point.time_unix_nano, service, value, f"{metric.name}{{{labels}}} {metric.unit}")


def _line(kind: str, time_unix_ns: int, service: str, what: str, text: str) -> str:
    when = datetime.fromtimestamp(time_unix_ns / 1e9, UTC).isoformat(timespec="milliseconds") if time_unix_ns else "-"
    line = f"{kind} {when} {service} {what} {text[:_BODY_CHARACTERS_MAX]}"
    return line.encode("unicode_escape").decode("ascii") if not line.isprintable() else line


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    return "" if kind is None else str(getattr(value, kind))
