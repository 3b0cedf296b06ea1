"""OTLP's JSON encoding, read into the messages that the protobuf encoding gives.

Enters: the text of an Export{Logs,Metrics,Trace}ServiceRequest in JSON. Leaves: the message, or MalformedTelemetry
that says where. OTLP's own rules over those of protobuf's JSON: trace and span ids are hexadecimal; fields that are not
known are ignored; enums may be numbers. Half a surrogate pair, which JavaScript writes for cut text, becomes U+FFFD.
"""

from __future__ import annotations

import base64
import json
import re
import reprlib
from collections.abc import Iterator
from typing import Any, NoReturn

from google.protobuf import json_format
from google.protobuf.message import Message

from watchkeeper.errors import MalformedTelemetry
from watchkeeper.receive.otlp_reference import REQUESTS
from watchkeeper.signals.schema import Signal

_HEX_FIELDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})
_FIELD = re.compile(r"Failed to parse (\w+) field: ")
_PATH_MAX = 8
_MESSAGE_CHARACTERS_MAX = 300
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(signal: Signal, payload: bytes) -> Message:
    """Read OTLP/JSON; raises MalformedTelemetry with the place. Cost: some 30 microseconds a record."""
    kind = REQUESTS[signal]
    try:
        document = json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
        if not isinstance(document, dict):
            raise MalformedTelemetry(
                f"the JSON is a {type(document).__name__}, not an object of {kind.DESCRIPTOR.name}"
            )
        return json_format.ParseDict(_mended(document), kind(), ignore_unknown_fields=True)
    except _BadId as error:
        raise MalformedTelemetry(next(_bad_ids(document, ""))) from error
    except UnicodeDecodeError as error:
        raise MalformedTelemetry(f"the JSON is not UTF-8 at byte {error.start}: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise MalformedTelemetry(f"no JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise MalformedTelemetry("the JSON is nested too deeply") from error
    except (json_format.ParseError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise MalformedTelemetry(f"the JSON is no {kind.DESCRIPTOR.name}: {_explained(error)}") from error


def _explained(error: Exception) -> str:
    """Give protobuf's message with its chain of fields as one path."""
    text = str(error)
    fields = _FIELD.findall(text)
    path = ".".join(fields if len(fields) <= _PATH_MAX else [*fields[:_PATH_MAX], "..."])
    return f"{path + ': ' if path else ''}{_FIELD.sub('', text).rstrip('.')[:_MESSAGE_CHARACTERS_MAX]}"


def _refuse_constant(word: str) -> NoReturn:
    raise MalformedTelemetry(f'the JSON has the word {word}, which is none of JSON\'s; write it as the text "{word}"')


def _mended(value: Any) -> Any:
    """Give the value with ids as the base64 that protobuf's JSON wants, and no half surrogate pairs."""
    if isinstance(value, dict):
        return {key: _id(item) if key in _HEX_FIELDS else _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return _SURROGATE.sub("\ufffd", value)
    return value


class _BadId(ValueError):
    """An id that is not hexadecimal."""


def _id(value: Any) -> Any:
    if value is None:
        return None
    try:
        return base64.b64encode(bytes.fromhex(value)).decode("ascii")
    except (ValueError, TypeError) as error:
        raise _BadId from error


def _bad_ids(value: Any, where: str) -> Iterator[str]:
    """Find the ids that are not hexadecimal; paths are made here only, for they cost more than the ids."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _bad_ids(item, f"{where}[{at}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            path = f"{where}.{key}" if where else key
            if key not in _HEX_FIELDS:
                yield from _bad_ids(item, path)
                continue
            try:
                _id(item)
            except _BadId:
                yield f"{path} is {reprlib.repr(item)}, not an id in hexadecimal"
