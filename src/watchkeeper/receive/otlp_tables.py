"""The tables between an OTLP decoder and the store: what repeats is held once, then spread over the rows.

Enters: the small Arrow tables that the reference and the columnar decoder both make: one row a record (ROWS), a
resource (RESOURCES), a scope (SCOPES), a metric (HEADS). Leaves: the record batch of signals/schema.py, with resource
and scope dictionary-encoded, service and entity read from the resource, and the series of each metric point. Does not
read OTLP.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from watchkeeper.receive.otlp_series import combine_arrays
from watchkeeper.signals.any_value import plain
from watchkeeper.signals.entity import entity_from_resource
from watchkeeper.signals.schema import LOGS, METRICS, SCHEMAS, SPANS, Signal

_CACHED_RESOURCE_CHARACTERS_MAX = 16_384


def _part(schema: pa.Schema, first: str, last: str, *more: tuple[str, pa.DataType]) -> pa.Schema:
    """Give the fields from `first` to `last`, not dictionary-encoded, and more behind them."""
    begin, end = schema.get_field_index(first), schema.get_field_index(last) + 1
    return pa.schema([*((field.name, _plain_type(field.type)) for field in list(schema)[begin:end]), *more])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


RESOURCES = _part(LOGS, "resource_attributes", "resource_schema_url")
SCOPES = _part(LOGS, "scope_name", "scope_schema_url", ("series", pa.uint64()), ("resource", pa.int32()))
HEADS = _part(METRICS, "name", "metadata", ("series", pa.uint64()), ("scope", pa.int32()))
_POINTS = _part(METRICS, "attributes", "exemplars", ("series", pa.uint64()), ("head", pa.int32()))

ROWS: dict[Signal, pa.Schema] = {
    Signal.LOGS: _part(LOGS, "time_unix_ns", "event_name", ("scope", pa.int32())),
    Signal.METRICS: pa.schema([*_part(METRICS, "time_unix_ns", "start_time_unix_ns"), *_POINTS]),
    Signal.SPANS: _part(SPANS, "time_unix_ns", "status_message", ("scope", pa.int32())),
}

_LINKS = frozenset({"series", "resource", "scope"})
"""Columns of the parents that are not the schema's: they lead to another table, or are a part of a hash."""


class Tables(NamedTuple):
    """What a decoder found in one request.

    rows: schema ROWS[signal]; `scope` (logs, spans) is a row number of `scopes`, `head` (metrics) one of `heads`.
    scopes, resources: schemas SCOPES and RESOURCES. heads: schema HEADS, None but for metrics. Each is there for a row
    of `rows`, and in their order.
    """

    rows: pa.RecordBatch
    scopes: pa.RecordBatch
    resources: pa.RecordBatch
    heads: pa.RecordBatch | None = None


def assemble(signal: Signal, tables: Tables, *, sender: str, received_unix_ns: int) -> pa.RecordBatch:
    """Give the record batch of SCHEMAS[signal]; `batch` is 0, `row` counts, `template_id` is null.

    Cost: a few array operations.
    """
    rows = tables.rows
    count = rows.num_rows
    columns: dict[str, pa.Array] = {name: rows.column(at) for at, name in enumerate(rows.schema.names)}
    if tables.heads is None:
        scope_of_row = columns.pop("scope")
    else:
        head_of_row = columns.pop("head")
        scope_of_row = _spread(tables.heads.column("scope"), head_of_row)
        columns.update(_spread_all(tables.heads, head_of_row))
        columns["series"] = _series(columns["series"], tables, head_of_row, scope_of_row)
    resource_of_row = _spread(tables.scopes.column("resource"), scope_of_row)
    columns.update(_spread_all(tables.scopes, scope_of_row))
    columns.update(_spread_all(tables.resources, resource_of_row))
    columns.update(_entity_columns(tables.resources.column("resource_attributes"), resource_of_row))
    columns["sender"] = _constant(sender, count)
    columns["received_unix_ns"] = pa.array(np.full(count, received_unix_ns, dtype=np.int64))
    columns["batch"] = pa.array(np.zeros(count, dtype=np.int64))
    columns["row"] = pa.array(np.arange(count, dtype=np.int32))
    if signal is Signal.LOGS:
        columns["template_id"] = pa.nulls(count, pa.int64())
    schema = SCHEMAS[signal]
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _spread_all(parents: pa.RecordBatch, of_row: pa.Array) -> dict[str, pa.Array]:
    """Give the columns of the schema among the parents', a value for each row; text dictionary-encoded."""
    return {
        field.name: (_repeated if pa.types.is_string(field.type) else _spread)(parents.column(at), of_row)
        for at, field in enumerate(parents.schema)
        if field.name not in _LINKS
    }


def _entity_columns(resource_attributes: pa.Array, of_row: pa.Array) -> dict[str, pa.Array]:
    known = [service_and_entity(text) for text in resource_attributes.to_pylist()]
    return {
        "service": _repeated(pa.array([service for service, _ in known], pa.string()), of_row),
        "entity": _repeated(pa.array([entity for _, entity in known], pa.string()), of_row),
    }


def _series(points: pa.Array, tables: Tables, head_of_row: pa.Array, scope_of_row: pa.Array) -> pa.Array:
    assert tables.heads is not None
    scopes = tables.scopes.column("series").to_numpy()[scope_of_row.to_numpy()]
    heads = tables.heads.column("series").to_numpy()[head_of_row.to_numpy()]
    return pa.array(combine_arrays(combine_arrays(scopes, heads), points.to_numpy()).view(np.int64))


def _spread(values: pa.Array, of_row: pa.Array) -> pa.Array:
    """Give values[of_row]."""
    return values.take(of_row)


def _repeated(values: pa.Array, of_row: pa.Array) -> pa.DictionaryArray:
    """Give values[of_row], dictionary-encoded with each value once, in the order of their first row."""
    if len(values) == 1:
        return pa.DictionaryArray.from_arrays(of_row, values, safe=False)
    encoded = values.dictionary_encode()
    if len(encoded.dictionary) == len(values):
        return pa.DictionaryArray.from_arrays(of_row, encoded.dictionary, safe=False)
    return pa.DictionaryArray.from_arrays(encoded.indices.take(of_row), encoded.dictionary, safe=False)


def _constant(text: str, count: int) -> pa.DictionaryArray:
    indices = pa.array(np.zeros(count, dtype=np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array([text] if count else [], pa.string()))


def service_and_entity(resource_attributes: str) -> tuple[str, str]:
    """Read the service and the entity's key from resource attributes in JSON; of a repeated key the last counts."""
    if len(resource_attributes) > _CACHED_RESOURCE_CHARACTERS_MAX:
        return _read_service_and_entity(resource_attributes)
    return _cached_service_and_entity(resource_attributes)


def _read_service_and_entity(resource_attributes: str) -> tuple[str, str]:
    known = json.loads(resource_attributes)
    entity = entity_from_resource({key: _as_text(value) for key, value in known.items()})
    return entity.service, entity.key


_cached_service_and_entity = lru_cache(maxsize=1024)(_read_service_and_entity)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    value = plain(value)
    return value.hex() if isinstance(value, bytes) else json.dumps(value, default=bytes.hex, ensure_ascii=False)
