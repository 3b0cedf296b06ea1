"""Batches for the topology: spans and logs with resources, in few words."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from watchkeeper.signals.schema import LOGS, SPANS

HOUR_NS = 3_600 * 10**9
START_NS = 489_917 * HOUR_NS
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


class Span(NamedTuple):
    """One span; `second` after START_NS."""

    service: str
    kind: int
    span: int
    parent: int = 0
    second: float = 1.0
    attributes: dict[str, Any] = {}  # noqa: RUF012 - nothing changes it
    failed: bool = False


def spans(*rows: Span, resource: dict[str, Any] | None = None) -> pa.RecordBatch:
    """Give a batch of spans, of one trace."""
    resources = [orjson.dumps({"service.name": one.service, **(resource or {})}).decode() for one in rows]
    told: dict[str, Any] = {
        "time_unix_ns": pa.array([START_NS + int(one.second * 1e9) for one in rows], pa.int64()),
        "service": pa.array([one.service for one in rows], pa.string()),
        "kind": pa.array([one.kind for one in rows], pa.int32()),
        "trace_id": pa.array([f"{7:032x}" for _ in rows], pa.string()),
        "span_id": pa.array([f"{one.span:016x}" for one in rows], pa.string()),
        "parent_span_id": pa.array([f"{one.parent:016x}" if one.parent else "" for one in rows], pa.string()),
        "status_code": pa.array([2 if one.failed else 0 for one in rows], pa.int32()),
        "attributes": pa.array([orjson.dumps(one.attributes).decode() for one in rows], pa.string()),
        "resource_attributes": pa.array(resources, pa.string()),
    }
    return _batch(SPANS, told, len(rows))


def logs(resource: dict[str, Any], second: float = 1.0) -> pa.RecordBatch:
    """Give one log record of a resource."""
    told: dict[str, Any] = {
        "time_unix_ns": pa.array([START_NS + int(second * 1e9)], pa.int64()),
        "resource_attributes": pa.array([orjson.dumps(resource).decode()], pa.string()),
    }
    return _batch(LOGS, told, 1)


def _batch(schema: pa.Schema, told: dict[str, Any], rows: int) -> pa.RecordBatch:
    columns = [told[one.name].cast(one.type) if one.name in told else pa.nulls(rows, one.type) for one in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
