"""JSON text to values that still know where they stood, so that a fault can be told with line and column.

Enters: the bytes of a JSON document. Leaves: an Object: its values by name, and the position of each name. Strict:
UTF-8, no NaN or Infinity, no name twice. Judges no meaning; what is nested below the fields asked for is plain data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


class Position(NamedTuple):
    """A place in a text; line and column count from 1."""

    line: int
    column: int


class Fault(NamedTuple):
    """One thing that is wrong: where in the text, in which field (`parameters.temperature`; "" = the whole), what."""

    position: Position
    field: str
    problem: str

    def __str__(self) -> str:
        where = f"line {self.position.line}, column {self.position.column}"
        return f"{where}{f', {self.field}' if self.field else ''}: {self.problem}"


class JsonFaults(ValueError):
    """The text is no JSON object; `faults` tell where and why."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True)
class Object:
    """A JSON object: `values` by name, `positions` of the values, and where the object itself begins."""

    values: Mapping[str, Any]
    positions: Mapping[str, Position]
    position: Position


def read_object(data: bytes) -> tuple[Object, str]:
    """Read a document that is one object; gives it and its text. Raises JsonFaults. Cost: two passes over the text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise JsonFaults((Fault(position_of(before, len(before)), "", f"not UTF-8: {error.reason}"),)) from error
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        problem = "is empty" if not text.strip() else f"is not JSON: {error.msg}"
        raise JsonFaults((Fault(Position(error.lineno, error.colno), "", problem),)) from error
    except (ValueError, RecursionError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise JsonFaults((Fault(Position(1, 1), "", f"is not JSON: {problem}"),)) from error
    start = len(text) - len(text.lstrip(_SPACE))
    if not isinstance(value, dict):
        raise JsonFaults((Fault(position_of(text, start), "", f"is {kind_of(value)}, not an object"),))
    return object_at(text, start), text


def object_at(text: str, start: int, field: str = "") -> Object:
    """Walk the object that begins at a character of a text known to be JSON; raises JsonFaults for a name twice."""
    values: dict[str, Any] = {}
    positions: dict[str, Position] = {}
    twice: list[Fault] = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        name_at = at
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if name in values:
            whole = f"{field}.{name}" if field else name
            twice.append(Fault(position_of(text, name_at), whole, "is given twice"))
        positions[name] = position_of(text, at)
        values[name], at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        at = _skip(text, at + 1) if text[at] == "," else at
    if twice:
        raise JsonFaults(tuple(twice))
    return Object(values, positions, position_of(text, start))


def offset_of(text: str, position: Position) -> int:
    """Give the character that a position stands for; the inverse of `position_of`."""
    at = 0
    for _ in range(position.line - 1):
        at = text.index("\n", at) + 1
    return at + position.column - 1


def position_of(text: str, offset: int) -> Position:
    r"""Give line and column of a character.

    >>> position_of('{\n "a": 1}', 7)
    Position(line=2, column=6)
    """
    line_start = text.rfind("\n", 0, offset) + 1
    return Position(text.count("\n", 0, offset) + 1, offset - line_start + 1)


def kind_of(value: Any) -> str:
    """Name the JSON type of a value.

    >>> kind_of(True), kind_of(1.5), kind_of([])
    ('a boolean', 'a number', 'an array')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
