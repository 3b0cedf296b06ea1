"""How an OTLP AnyValue is written as JSON text, losing nothing.

string, bool, int64 and arrays are JSON's own (ints keep all their digits); a double always shows as a float (`1.0`,
`1e+300`), so ints and doubles stay apart; a missing value is null. What JSON lacks is a one-key object whose key
begins with `$`: bytes `{"$bytes": "<base64>"}`, the doubles that are no numbers `{"$double": "NaN" | "Infinity" |
"-Infinity"}`. A map is an object with its keys in the order sent, repeated ones included; a key of a map that begins
with `$` is written with one more `$`. Text is written with non-ASCII characters as they are.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from typing import Any

_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_escape = json.JSONEncoder(ensure_ascii=False).encode


def attributes_json(pairs: Iterable[Any]) -> str:
    """Write OTLP KeyValue messages as a JSON object; cost: linear in their size."""
    return "{" + ",".join(f"{_key(pair.key)}:{any_value_json(pair.value)}" for pair in pairs) + "}"


def any_value_json(value: Any) -> str:
    """Write one OTLP AnyValue message as JSON text."""
    which = value.WhichOneof("value")
    if which is None:
        return "null"
    if which == "string_value":
        return _escape(value.string_value)
    if which == "bool_value":
        return "true" if value.bool_value else "false"
    if which == "int_value":
        return str(value.int_value)
    if which == "double_value":
        return double_json(value.double_value)
    if which == "bytes_value":
        return bytes_json(value.bytes_value)
    if which == "array_value":
        return "[" + ",".join(map(any_value_json, value.array_value.values)) + "]"
    if which == "kvlist_value":
        return attributes_json(value.kvlist_value.values)
    return "null"


def double_json(number: float) -> str:
    """Write a double: the shortest text that reads back as the same double, never as an int.

    >>> double_json(1.0), double_json(1e300), double_json(float("nan"))
    ('1.0', '1e+300', '{"$double":"NaN"}')
    """
    if math.isfinite(number):
        return repr(number)
    return f'{{"$double":"{_WORDS[repr(number)]}"}}'


def bytes_json(data: bytes) -> str:
    """Write bytes as `{"$bytes":"<standard base64>"}`."""
    return f'{{"$bytes":"{base64.b64encode(data).decode("ascii")}"}}'


def _key(text: str) -> str:
    return _escape("$" + text if text.startswith("$") else text)


def plain(value: Any) -> Any:
    """Turn a value parsed from this JSON back into plain Python: bytes and non-finite doubles restored, `$` unescaped.

    >>> plain({"$bytes": "AQI="}), plain({"$$a": 1})
    (b'\\x01\\x02', {'$a': 1})
    """
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1:
            if isinstance(value.get("$bytes"), str):
                return base64.b64decode(value["$bytes"])
            if isinstance(value.get("$double"), str):
                return float(value["$double"])
        return {(key[1:] if key.startswith("$") else key): plain(item) for key, item in value.items()}
    return value
