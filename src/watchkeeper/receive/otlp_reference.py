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
from watchkeeper.receive.otlp_requests import REQUESTS as REQUESTS  # noqa: PLC0414
from watchkeeper.receive.otlp_series import combine, text_hash
from watchkeeper.receive.otlp_tables import HEADS, RESOURCES, ROWS, SCOPES, Tables
from watchkeeper.signals.schema import Signal


class _Parts(NamedTuple):
    """The names of the three levels of a request."""

    groups: str
    scopes: str
    records: str


_PARTS = {
    Signal.LOGS: _Parts("resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: _Parts("resource_metrics", "scope_metrics", "metrics"),
    Signal.SPANS: _Parts("resource_spans", "scope_spans", "spans"),
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
    groups, scopes, _ = _PARTS[signal]
    builder = _Builder(signal, received_unix_ns)
    for group in getattr(request, groups):
        builder.add_resource(group, getattr(group, scopes))
    return builder.finish()


class _Builder:
    """Collects rows; a resource, scope or head is added once a row of it was kept."""

    def __init__(self, signal: Signal, received_unix_ns: int) -> None:
        self._signal = signal
        self._received_unix_ns = received_unix_ns
        self._rows: list[Row] = []
        self._resources: list[Row] = []
        self._scopes: list[Row] = []
        self._heads: list[Row] = []
        self._rejected = 0
        self._reason = ""

    def add_resource(self, group: Any, scopes: Iterable[Any]) -> None:
        """Add what a ResourceLogs, ResourceMetrics or ResourceSpans holds."""
        before = len(self._rows)
        attributes = write_attributes(group.resource.attributes)
        for scoped in scopes:
            self._add_scope(scoped, attributes.hash)
        if len(self._rows) > before:
            self._resources.append((attributes.text, group.resource.dropped_attributes_count, group.schema_url))

    def _add_scope(self, scoped: Any, resource_hash: int) -> None:
        before = len(self._rows)
        if self._signal is Signal.METRICS:
            for metric in scoped.metrics:
                self._add_metric(metric)
        else:
            to_row = log_row if self._signal is Signal.LOGS else span_row
            records = getattr(scoped, _PARTS[self._signal].records)
            self._add_rows(records, partial(to_row, received_unix_ns=self._received_unix_ns), len(self._scopes))
        if len(self._rows) > before:
            scope = scoped.scope
            self._scopes.append(
                (
                    scope.name,
                    scope.version,
                    write_attributes(scope.attributes).text,
                    scope.dropped_attributes_count,
                    scoped.schema_url,
                    combine(combine(resource_hash, text_hash(scope.name)), text_hash(scope.version)),
                    len(self._resources),
                )
            )

    def _add_metric(self, metric: Any) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            return
        before = len(self._rows)
        to_row = partial(point_row, kind=kind, received_unix_ns=self._received_unix_ns)
        self._add_rows(getattr(metric, kind).data_points, to_row, len(self._heads))
        if len(self._rows) > before:
            self._heads.append((*head_row(metric), len(self._scopes)))

    def _add_rows(self, records: Iterable[Any], to_row: Callable[[Any], Row], parent: int) -> None:
        for record in records:
            try:
                self._rows.append((*to_row(record), parent))
            except TimeOutOfRange as error:
                self._rejected += 1
                self._reason = self._reason or str(error)

    def finish(self) -> Read:
        """Give what was collected."""
        tables = Tables(
            rows=_table(self._rows, ROWS[self._signal]),
            scopes=_table(self._scopes, SCOPES),
            resources=_table(self._resources, RESOURCES),
            heads=_table(self._heads, HEADS) if self._signal is Signal.METRICS else None,
        )
        reason = f"{self._rejected} left out, the first for: {self._reason}" if self._rejected else ""
        return Read(tables, self._rejected, reason)


def _table(rows: list[Row], schema: pa.Schema) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )
