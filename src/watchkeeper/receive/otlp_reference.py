"""The plain decoder: OTLP messages, parsed by the protobuf library, to tables. What it gives is what is right.

Enters: an Export{Logs,Metrics,Trace}ServiceRequest, as bytes or as a message. Leaves: Tables, and how many records were
rejected and why. The columnar decoder gives the same from the bytes alone, and leaves to this one whatever is unusual.
Rows hold null where a kind of metric has no such field or an optional field was not sent; repeated messages (exemplars,
events, links) are JSON arrays with OTLP's field names and ids in hexadecimal. Does not read JSON (see otlp_json.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.otlp_records import (
    Row,
    TimeOutOfRange,
    head_row,
    log_row,
    point_row,
    span_row,
    write_attributes,
)
from watchkeeper.receive.otlp_series import combine, text_hash
from watchkeeper.receive.otlp_tables import HEADS, ORIGINS, ROWS, Tables
from watchkeeper.signals.schema import Signal

REQUESTS: dict[Signal, type[Message]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.SPANS: ExportTraceServiceRequest,
}


class Read(NamedTuple):
    """What was in a request: its tables, how many records were left out, and why ("" when none was)."""

    tables: Tables
    rejected: int = 0
    reason: str = ""


def parse(signal: Signal, payload: bytes) -> Message:
    """Parse protobuf bytes; raises MalformedTelemetry when they are no such request."""
    kind = REQUESTS[signal]
    try:
        return kind.FromString(payload)
    except DecodeError as error:
        raise MalformedTelemetry(
            f"the {len(payload)} bytes are no {kind.DESCRIPTOR.name} in protobuf encoding: {error}"
        ) from error


def read(signal: Signal, request: Any, *, received_unix_ns: int) -> Read:
    """Turn a request message into tables; records whose time does not fit are left out and counted.

    Cost: some 10 microseconds a record.
    """
    builder = _Builder()
    if signal is Signal.LOGS:
        to_row = partial(log_row, received_unix_ns=received_unix_ns)
        for group in request.resource_logs:
            for scope in group.scope_logs:
                builder.add_records(scope.log_records, to_row, partial(_origin, group, scope))
    elif signal is Signal.SPANS:
        to_row = partial(span_row, received_unix_ns=received_unix_ns)
        for group in request.resource_spans:
            for scope in group.scope_spans:
                builder.add_records(scope.spans, to_row, partial(_origin, group, scope))
    else:
        for group in request.resource_metrics:
            for scope in group.scope_metrics:
                builder.add_metrics(scope.metrics, received_unix_ns, partial(_origin, group, scope))
    return builder.finish(signal)


def _origin(group: Any, scoped: Any) -> Row:
    """Give a row of ORIGINS: the resource of `group` (ResourceLogs and the like) and the scope of `scoped`."""
    resource, scope = group.resource, scoped.scope
    attributes = write_attributes(resource.attributes)
    return (
        attributes.text,
        resource.dropped_attributes_count,
        group.schema_url,
        scope.name,
        scope.version,
        write_attributes(scope.attributes).text,
        scope.dropped_attributes_count,
        scoped.schema_url,
        combine(combine(attributes.hash, text_hash(scope.name)), text_hash(scope.version)),
    )


class _Builder:
    """Collects rows; an origin or a head is added once a row of it was kept."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._origins: list[Row] = []
        self._heads: list[Row] = []
        self._rejected = 0
        self._reason = ""

    def add_records(self, records: Iterable[Any], to_row: Callable[[Any], Row], origin: Callable[[], Row]) -> None:
        """Add the log records or spans of one scope."""
        if self._keep(records, to_row, len(self._origins)):
            self._origins.append(origin())

    def add_metrics(self, metrics: Iterable[Any], received_unix_ns: int, origin: Callable[[], Row]) -> None:
        """Add the points of the metrics of one scope."""
        heads_before = len(self._heads)
        for metric in metrics:
            kind = metric.WhichOneof("data")
            if kind is None:
                continue
            to_row = partial(point_row, kind=kind, received_unix_ns=received_unix_ns)
            if self._keep(getattr(metric, kind).data_points, to_row, len(self._heads)):
                self._heads.append((*head_row(metric), len(self._origins)))
        if len(self._heads) > heads_before:
            self._origins.append(origin())

    def _keep(self, records: Iterable[Any], to_row: Callable[[Any], Row], parent: int) -> bool:
        """Add the rows of the records that can be kept; tell whether there was one."""
        before = len(self._rows)
        for record in records:
            try:
                self._rows.append((*to_row(record), parent))
            except TimeOutOfRange as error:
                self._rejected += 1
                self._reason = self._reason or str(error)
        return len(self._rows) > before

    def finish(self, signal: Signal) -> Read:
        """Give what was collected."""
        tables = Tables(
            rows=_table(self._rows, ROWS[signal]),
            origins=_table(self._origins, ORIGINS),
            heads=_table(self._heads, HEADS) if signal is Signal.METRICS else None,
        )
        reason = f"{self._rejected} left out, the first for: {self._reason}" if self._rejected else ""
        return Read(tables, self._rejected, reason)


def _table(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )
