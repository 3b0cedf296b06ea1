"""One OTLP record to one row: a log record, a metric, a point of it, a span, as values in the order of the tables.

Enters: messages of opentelemetry-proto. Leaves: tuples of plain Python values, None for null. Part of the reference
decoder; knows neither resources nor Arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from watchkeeper.receive.otlp_series import attributes_hash, combine, text_hash
from watchkeeper.signals.any_value import any_value_json, attributes_json, double_json
from watchkeeper.signals.schema import (
    BODY_ARRAY,
    BODY_BOOL,
    BODY_BYTES,
    BODY_DOUBLE,
    BODY_EMPTY,
    BODY_INT,
    BODY_MAP,
    BODY_STRING,
    TIME_FROM_EVENT,
    TIME_FROM_OBSERVED,
    TIME_FROM_RECEIPT,
    TIME_MAX_UNIX_NS,
)

Row = tuple[Any, ...]

_BODY_TYPES = {
    "string_value": BODY_STRING,
    "bool_value": BODY_BOOL,
    "int_value": BODY_INT,
    "double_value": BODY_DOUBLE,
    "array_value": BODY_ARRAY,
    "kvlist_value": BODY_MAP,
    "bytes_value": BODY_BYTES,
}


class TimeOutOfRange(ValueError):
    """A record's time does not fit the signed 64 bits that times are kept in."""


class Written(NamedTuple):
    """Attributes as JSON text, and their hash, for which order does not count."""

    text: str
    hash: int


def write_attributes(pairs: Iterable[Any]) -> Written:
    """Write KeyValue messages as signals/any_value.py does, and hash them."""
    members = [attributes_json((pair,))[1:-1] for pair in pairs]
    return Written("{" + ",".join(members) + "}", attributes_hash(members))


def _check(**times: int) -> None:
    for name, time in times.items():
        if time > TIME_MAX_UNIX_NS:
            raise TimeOutOfRange(f"{name} {time} is past 2^63-1 nanoseconds")


def _effective(time: int, received_unix_ns: int, observed: int = 0) -> tuple[int, int]:
    if time:
        return time, TIME_FROM_EVENT
    if observed:
        return observed, TIME_FROM_OBSERVED
    return received_unix_ns, TIME_FROM_RECEIPT


def log_row(record: Any, received_unix_ns: int) -> Row:
    """Give the columns time_unix_ns to event_name of a LogRecord; raises TimeOutOfRange."""
    time, observed = record.time_unix_nano, record.observed_time_unix_nano
    _check(time_unix_nano=time, observed_time_unix_nano=observed)
    body, body_type = _body(record.body)
    return (
        *_effective(time, received_unix_ns, observed),
        observed,
        record.severity_number,
        record.severity_text,
        body,
        body_type,
        attributes_json(record.attributes),
        record.dropped_attributes_count,
        record.flags,
        record.trace_id.hex(),
        record.span_id.hex(),
        record.event_name,
    )


def _body(body: Any) -> tuple[str, int]:
    kind = _BODY_TYPES.get(body.WhichOneof("value"), BODY_EMPTY)
    if kind == BODY_EMPTY:
        return "", kind
    return (body.string_value if kind == BODY_STRING else any_value_json(body)), kind


def span_row(span: Any, received_unix_ns: int) -> Row:
    """Give the columns time_unix_ns to status_message of a Span; raises TimeOutOfRange.

    `duration_ns` is 0 when the start or the end was not sent, or the end comes before the start.
    """
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    _check(start_time_unix_nano=start, end_time_unix_nano=end)
    return (
        *_effective(start, received_unix_ns),
        end,
        end - start if 0 < start < end else 0,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.flags,
        span.name,
        span.kind,
        attributes_json(span.attributes),
        span.dropped_attributes_count,
        _array(_event(event) for event in span.events),
        span.dropped_events_count,
        _array(_link(link) for link in span.links),
        span.dropped_links_count,
        span.status.code,
        span.status.message,
    )


def _array(items: Iterable[str]) -> str:
    return "[" + ",".join(items) + "]"


def _text(text: str) -> str:
    return any_value_json(_AnyText(text))


class _AnyText(NamedTuple):
    """A string in the shape of an AnyValue, so that text is escaped in one place only."""

    string_value: str

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - protobuf's name
        return "string_value"


def _event(event: Any) -> str:
    return (
        f'{{"time_unix_nano":{event.time_unix_nano},"name":{_text(event.name)},'
        f'"attributes":{attributes_json(event.attributes)},'
        f'"dropped_attributes_count":{event.dropped_attributes_count}}}'
    )


def _link(link: Any) -> str:
    return (
        f'{{"trace_id":"{link.trace_id.hex()}","span_id":"{link.span_id.hex()}","trace_state":{_text(link.trace_state)},'
        f'"attributes":{attributes_json(link.attributes)},'
        f'"dropped_attributes_count":{link.dropped_attributes_count},"flags":{link.flags}}}'
    )


def _exemplar(exemplar: Any) -> str:
    which = exemplar.WhichOneof("value")
    value = ""
    if which == "as_int":
        value = f'"as_int":{exemplar.as_int},'
    elif which == "as_double":
        value = f'"as_double":{double_json(exemplar.as_double)},'
    return (
        f'{{"time_unix_nano":{exemplar.time_unix_nano},{value}"trace_id":"{exemplar.trace_id.hex()}",'
        f'"span_id":"{exemplar.span_id.hex()}","filtered_attributes":{attributes_json(exemplar.filtered_attributes)}}}'
    )


def head_row(metric: Any) -> Row:
    """Give the columns name to metadata of a Metric, and the hash of what tells it from others of its scope.

    `temporality` and `is_monotonic` are None for the kinds that have none.
    """
    kind = metric.WhichOneof("data") or ""
    data = getattr(metric, kind) if kind else None
    summed = kind in {"sum", "histogram", "exponential_histogram"}
    return (
        metric.name,
        metric.description,
        metric.unit,
        kind,
        data.aggregation_temporality if summed and data is not None else None,
        data.is_monotonic if kind == "sum" and data is not None else None,
        attributes_json(metric.metadata),
        combine(combine(text_hash(metric.name), text_hash(metric.unit)), text_hash(kind)),
    )


def _optional(point: Any, name: str) -> Any:
    return getattr(point, name) if point.HasField(name) else None


def _number(point: Any) -> dict[str, Any]:
    return {"value_double": _optional(point, "as_double"), "value_int": _optional(point, "as_int")}


def _histogram(point: Any) -> dict[str, Any]:
    return {
        "count": point.count,
        "sum": _optional(point, "sum"),
        "min": _optional(point, "min"),
        "max": _optional(point, "max"),
        "bucket_counts": list(point.bucket_counts),
        "explicit_bounds": list(point.explicit_bounds),
    }


def _exponential_histogram(point: Any) -> dict[str, Any]:
    columns = {
        "count": point.count,
        "sum": _optional(point, "sum"),
        "min": _optional(point, "min"),
        "max": _optional(point, "max"),
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": point.zero_threshold,
    }
    for side in ("positive", "negative"):
        if point.HasField(side):
            buckets = getattr(point, side)
            columns[f"{side}_offset"] = buckets.offset
            columns[f"{side}_bucket_counts"] = list(buckets.bucket_counts)
    return columns


def _summary(point: Any) -> dict[str, Any]:
    return {
        "count": point.count,
        "sum": point.sum,
        "quantiles": [item.quantile for item in point.quantile_values],
        "quantile_values": [item.value for item in point.quantile_values],
    }


_POINT_COLUMNS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}

_OF_KIND = (
    *("value_double", "value_int", "count", "sum", "min", "max", "bucket_counts", "explicit_bounds", "scale"),
    *("zero_count", "zero_threshold", "positive_offset", "positive_bucket_counts", "negative_offset"),
    *("negative_bucket_counts", "quantiles", "quantile_values"),
)


def point_row(point: Any, kind: str, received_unix_ns: int) -> Row:
    """Give the columns time_unix_ns to start_time_unix_ns and attributes to exemplars, and the hash of the attributes.

    `kind` is the metric's; columns of other kinds are None. Raises TimeOutOfRange.
    """
    time, start = point.time_unix_nano, point.start_time_unix_nano
    _check(time_unix_nano=time, start_time_unix_nano=start)
    attributes = write_attributes(point.attributes)
    of_kind = _POINT_COLUMNS[kind](point)
    exemplars = _array(map(_exemplar, point.exemplars)) if kind != "summary" else "[]"
    return (
        *_effective(time, received_unix_ns),
        start,
        attributes.text,
        point.flags,
        *(of_kind.get(name) for name in _OF_KIND),
        exemplars,
        attributes.hash,
    )
