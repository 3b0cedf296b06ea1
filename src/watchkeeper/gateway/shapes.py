"""From the program's own plain data to the JSON of docs/api.md: times as text, findings, ledger rows, SQL results.

Enters: dictionaries, Findings, Arrow tables. Leaves: data that orjson writes. Reads nothing.
"""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from starlette.responses import Response

from watchkeeper.diagnose.incident import Incident
from watchkeeper.signals.finding import Finding

SAFE_INTEGER_MAX = 2**53 - 1


class JsonResponse(Response):
    """JSON written by orjson; numbers that are no numbers become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write the content."""
        return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)


def times_as_text(value: Any) -> Any:
    """Write every whole number under a key that ends in `unix_ns` as decimal text, at any depth.

    >>> times_as_text({"a": [{"last_unix_ns": 5, "count": 5}], "oldest_unix_ns": None})
    {'a': [{'last_unix_ns': '5', 'count': 5}], 'oldest_unix_ns': None}
    """
    if isinstance(value, dict):
        return {
            name: str(item)
            if isinstance(item, int) and not isinstance(item, bool) and str(name).endswith("unix_ns")
            else times_as_text(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [times_as_text(item) for item in value]
    return value


def finding_shape(finding: Finding) -> dict[str, Any]:
    """Give a Finding as the API shows it."""
    shape: dict[str, Any] = times_as_text(finding.as_dict())
    for evidence in shape["evidence"]:
        evidence["points"] = [[str(at), value] for at, value in evidence["points"]]
    return shape


def incident_shape(incident: Incident) -> dict[str, Any]:
    """Give an Incident as the API shows it, without its findings."""
    shape: dict[str, Any] = times_as_text({**incident.as_dict(), **incident.summary()})
    return shape


def sql_shape(table: pa.Table, rows_max: int) -> dict[str, Any]:
    """Give the first `rows_max` rows of a table; a column with a whole number beyond 2^53 is text throughout."""
    shown = table.slice(0, rows_max)
    metadata = table.schema.metadata or {}
    columns = [[_value(value) for value in column.to_pylist()] for column in shown.columns]
    columns = [[_text(value) for value in column] if _is_large(column) else column for column in columns]
    return {
        "columns": [{"name": field.name, "type": str(field.type)} for field in shown.schema],
        "rows": [list(row) for row in zip(*columns, strict=True)] if columns else [],
        "truncated": table.num_rows > rows_max or metadata.get(b"watchkeeper.truncated") == b"true",
    }


def _is_large(column: list[Any]) -> bool:
    return any(isinstance(value, int) and abs(value) > SAFE_INTEGER_MAX for value in column)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _nested(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nested(item) for item in value]
    return str(value)


def _nested(value: Any) -> Any:
    plain = _value(value)
    if isinstance(plain, int) and not isinstance(plain, bool) and abs(plain) > SAFE_INTEGER_MAX:
        return str(plain)
    return plain
