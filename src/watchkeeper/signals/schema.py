"""The Arrow schemas of logs, metric points and spans: the one form telemetry has from the receiver to the page.

One row is one log record, one metric data point, one span. Every field of OTLP has its place, so nothing sent is lost:
- `time_unix_ns` is the effective time: the event's own, else (logs only) the observed time, else the time of receipt;
  `time_source` says which (0, 1, 2), so what was sent can be told back exactly.
- Attribute columns hold JSON objects in the order sent; signals/any_value.py says how each AnyValue is written.
- trace and span ids are lower-case hexadecimal, "" when not sent.
- Columns of the resource and scope repeat for each row and are dictionary-encoded.
- The last columns are Watchkeeper's own. `batch` and `row`, unique together, say where a row came in, so that rows of
  equal time keep their order. `template_id` is null until the pattern miner has seen the row.
Does not convert anything.
"""

from __future__ import annotations

import pyarrow as pa

from watchkeeper.signals.signal import Signal as Signal  # noqa: PLC0414

TIME_FROM_EVENT = 0
TIME_FROM_OBSERVED = 1
TIME_FROM_RECEIPT = 2

TIME_MAX_UNIX_NS = 2**63 - 1

_REPEATED = pa.dictionary(pa.int32(), pa.string())

_ORIGIN: list[tuple[str, pa.DataType]] = [
    ("resource_attributes", _REPEATED),
    ("resource_dropped_attributes_count", pa.uint32()),
    ("resource_schema_url", _REPEATED),
    ("scope_name", _REPEATED),
    ("scope_version", _REPEATED),
    ("scope_attributes", _REPEATED),
    ("scope_dropped_attributes_count", pa.uint32()),
    ("scope_schema_url", _REPEATED),
    ("service", _REPEATED),
    ("entity", _REPEATED),
    ("sender", _REPEATED),
    ("received_unix_ns", pa.int64()),
    ("batch", pa.int64()),
    ("row", pa.int32()),
]

LOGS = pa.schema(
    [
        ("time_unix_ns", pa.int64()),
        ("time_source", pa.uint8()),
        ("observed_time_unix_ns", pa.int64()),
        ("severity_number", pa.int32()),
        ("severity_text", pa.string()),
        ("body", pa.string()),
        ("body_type", pa.uint8()),
        ("attributes", pa.string()),
        ("dropped_attributes_count", pa.uint32()),
        ("flags", pa.uint32()),
        ("trace_id", pa.string()),
        ("span_id", pa.string()),
        ("event_name", pa.string()),
        *_ORIGIN,
        ("template_id", pa.int64()),
    ]
)

METRICS = pa.schema(
    [
        ("time_unix_ns", pa.int64()),
        ("time_source", pa.uint8()),
        ("start_time_unix_ns", pa.int64()),
        ("name", _REPEATED),
        ("description", _REPEATED),
        ("unit", _REPEATED),
        ("kind", _REPEATED),
        ("temporality", pa.int32()),
        ("is_monotonic", pa.bool_()),
        ("metadata", _REPEATED),
        ("attributes", pa.string()),
        ("flags", pa.uint32()),
        ("value_double", pa.float64()),
        ("value_int", pa.int64()),
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("bucket_counts", pa.list_(pa.uint64())),
        ("explicit_bounds", pa.list_(pa.float64())),
        ("scale", pa.int32()),
        ("zero_count", pa.uint64()),
        ("zero_threshold", pa.float64()),
        ("positive_offset", pa.int32()),
        ("positive_bucket_counts", pa.list_(pa.uint64())),
        ("negative_offset", pa.int32()),
        ("negative_bucket_counts", pa.list_(pa.uint64())),
        ("quantiles", pa.list_(pa.float64())),
        ("quantile_values", pa.list_(pa.float64())),
        ("exemplars", pa.string()),
        *_ORIGIN,
        ("series", pa.int64()),
    ]
)

SPANS = pa.schema(
    [
        ("time_unix_ns", pa.int64()),
        ("time_source", pa.uint8()),
        ("end_time_unix_ns", pa.int64()),
        ("duration_ns", pa.int64()),
        ("trace_id", pa.string()),
        ("span_id", pa.string()),
        ("parent_span_id", pa.string()),
        ("trace_state", pa.string()),
        ("flags", pa.uint32()),
        ("name", pa.string()),
        ("kind", pa.int32()),
        ("attributes", pa.string()),
        ("dropped_attributes_count", pa.uint32()),
        ("events", pa.string()),
        ("dropped_events_count", pa.uint32()),
        ("links", pa.string()),
        ("dropped_links_count", pa.uint32()),
        ("status_code", pa.int32()),
        ("status_message", pa.string()),
        *_ORIGIN,
    ]
)

SCHEMAS: dict[Signal, pa.Schema] = {Signal.LOGS: LOGS, Signal.METRICS: METRICS, Signal.SPANS: SPANS}

BODY_EMPTY = 0
BODY_STRING = 1
BODY_BOOL = 2
BODY_INT = 3
BODY_DOUBLE = 4
BODY_ARRAY = 5
BODY_MAP = 6
BODY_BYTES = 7

SEVERITY_NAMES = ("unspecified", "trace", "debug", "info", "warn", "error", "fatal")
SEVERITY_ERROR_MIN = 17


def severity_name(severity_number: int) -> str:
    """Give the OTLP name of a severity number (0..24), without the 1..4 behind it.

    >>> severity_name(17), severity_name(0), severity_name(99)
    ('error', 'unspecified', 'unspecified')
    """
    return SEVERITY_NAMES[(severity_number + 3) // 4] if 1 <= severity_number <= 24 else SEVERITY_NAMES[0]
