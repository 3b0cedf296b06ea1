"""How JSON values become the fields of OTLP messages, by the descriptors of opentelemetry-proto.

Enters: a parsed JSON value and the descriptor of the message that it is to be. Leaves: keyword arguments for that
message's constructor, or Unfit with the path. Each descriptor is turned into a table of converters once. Does not parse
JSON or make messages.
"""

from __future__ import annotations

import base64
import binascii
import re
import reprlib
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

MESSAGES_DEEP_MAX = 100
"""How many messages may lie around another: protobuf's own limit."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"([0-9a-fA-F]{2})*")
_NO_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_URL_SAFE = str.maketrans("-_", "+/")

Convert = Callable[[Any, int], Any]


class Unfit(ValueError):
    """A JSON value is not what its field takes; `path` leads to it and grows as the error rises."""

    def __init__(self, value: Any, wanted: str) -> None:
        super().__init__(value, wanted)
        self.path = ""
        self._said = f"is {reprlib.repr(value)}, not {wanted}"

    def within(self, step: str) -> Unfit:
        """Put a field's name or `[index]` before the path."""
        self.path = step + ("" if not self.path or self.path.startswith("[") else ".") + self.path
        return self

    def __str__(self) -> str:
        path = self.path if len(self.path) < 300 else self.path[:300] + "..."
        return f"{path or 'the document'} {self._said}"


class _Field(NamedTuple):
    """A field of a message: its name, and what makes its value of JSON (given the depth of the message)."""

    name: str
    convert: Convert


class _Plan(NamedTuple):
    """What a message takes: fields by their names in JSON, and the groups of which one field may be set."""

    fields: dict[str, _Field]
    choices: tuple[frozenset[str], ...]


def fields_of_message(descriptor: Descriptor, value: Any, depth: int = 0) -> dict[str, Any]:
    """Give the keyword arguments of the message that a JSON object stands for; raises Unfit."""
    if type(value) is not dict:
        raise Unfit(value, f"an object of {descriptor.name}")
    if depth > MESSAGES_DEEP_MAX:
        raise Unfit("...", f"within {MESSAGES_DEEP_MAX} levels")
    plan = _plan(descriptor)
    found: dict[str, Any] = {}
    for key, item in value.items():
        field = plan.fields.get(key)
        if field is None or item is None:
            continue
        try:
            found[field.name] = field.convert(item, depth)
        except Unfit as error:
            raise error.within(key) from None
    for choice in plan.choices:
        if len(choice & found.keys()) > 1:
            raise Unfit(sorted(choice & found.keys()), f"one of what {descriptor.name} can be")
    return found


@cache
def _plan(descriptor: Descriptor) -> _Plan:
    fields = {}
    for field in descriptor.fields:
        one = _converter(field)
        planned = _Field(field.name, partial(_repeated, one) if field.is_repeated else one)
        fields[field.name] = fields[field.json_name] = planned
    groups = (frozenset(field.name for field in group.fields) for group in descriptor.oneofs)
    return _Plan(fields, tuple(group for group in groups if len(group) > 1))


def _converter(field: FieldDescriptor) -> Convert:
    if field.message_type is not None:
        return _message(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _id if field.name in {"trace_id", "span_id", "parent_span_id"} else _bytes
    if field.cpp_type in _INTEGERS:
        low, high = _INTEGERS[field.cpp_type]
        return partial(_integer, low, high)
    return _PLAIN[field.cpp_type]


def _message(descriptor: Descriptor) -> Convert:
    return lambda value, depth: fields_of_message(descriptor, value, depth + 1)


def _repeated(one: Convert, value: Any, depth: int) -> list[Any]:
    if type(value) is not list:
        raise Unfit(value, "an array")
    found: list[Any] = []
    for at, item in enumerate(value):
        try:
            found.append(one(item, depth))
        except Unfit as error:
            raise error.within(f"[{at}]") from None
    return found


def _enum(descriptor: EnumDescriptor) -> Convert:
    numbers = {name: value.number for name, value in descriptor.values_by_name.items()}

    def convert(value: Any, depth: int) -> int | None:
        # A name that only a newer protocol knows is ignored, as an unknown field is.
        return numbers.get(value) if type(value) is str else _integer(-(2**31), 2**31 - 1, value, depth)

    return convert


def _string(value: Any, _depth: int) -> str:
    if type(value) is not str:
        raise Unfit(value, "text")
    if not value.isascii() and _SURROGATE.search(value):
        return _SURROGATE.sub("\ufffd", value)
    return value


def _id(value: Any, _depth: int) -> bytes:
    if type(value) is not str or not _HEXADECIMAL.fullmatch(value):
        raise Unfit(value, "an id in hexadecimal")
    return bytes.fromhex(value)


def _bytes(value: Any, _depth: int) -> bytes:
    if type(value) is not str:
        raise Unfit(value, "bytes in base64")
    try:
        text = value.translate(_URL_SAFE).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(value, "bytes in base64") from None


def _boolean(value: Any, _depth: int) -> bool:
    if type(value) is not bool:
        raise Unfit(value, "true or false")
    return value


def _integer(low: int, high: int, value: Any, _depth: int) -> int:
    number = value
    if (type(value) is str and _INTEGER.fullmatch(value)) or (type(value) is float and value.is_integer()):
        number = int(value)
    if type(number) is not int or not low <= number <= high:
        raise Unfit(value, f"a whole number from {low} to {high}")
    return number


def _double(value: Any, _depth: int) -> float:
    if type(value) is str:
        if value in _NO_NUMBERS:
            return _NO_NUMBERS[value]
        if _DECIMAL.fullmatch(value):
            return float(value)
    elif type(value) is float:
        return value
    elif type(value) is int and -(2**1023) < value < 2**1023:
        return float(value)
    raise Unfit(value, "a number")


_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

_PLAIN: dict[int, Convert] = {
    FieldDescriptor.CPPTYPE_STRING: _string,
    FieldDescriptor.CPPTYPE_BOOL: _boolean,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
}
