"""Reads the log lines of the Nezha data sets: what a line says without its head, and whether it speaks of an error.

Enters: lines as the container runtime wrote them, JSON around the program's own line. Leaves: a text for each line by
which equal statements are equal: the place in the code where the line names one, and the mined template. The ids of
trace and span are taken off, for they are columns of their own. Knows no service and no statement.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watchkeeper.patterns.miner import TemplateMiner

_CLOCK = re.compile(r"^\d\d:\d\d:\d\d[.,]\d+\s+")
_LEVEL = re.compile(r"^(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|SEVERE)\s+")
_IDS = re.compile(r"\s*TraceID:\s*\S*\s+SpanID:\s*\S*\s*")
_PLACE = re.compile(r"^\S+#\d+$")
_FAILED = frozenset({"ERROR", "FATAL", "SEVERE", "CRITICAL", "PANIC"})


class Line(NamedTuple):
    """A line taken apart; `place` is where in the code it was written, "" when the line does not tell."""

    level: str
    place: str
    message: str


class LineTexts(NamedTuple):
    """(n,) texts, and whether each line is of level error or worse."""

    templates: list[str]
    failed: npt.NDArray[np.bool_]


class LineText:
    """Gives the text of a line; a place in the code keeps the template that it was first seen with."""

    def __init__(self, miner: TemplateMiner) -> None:
        self.miner = miner
        self._by_place: dict[str, str] = {}
        self._by_id: dict[int, str] = {}

    def texts(self, lines: list[Line], times_unix_ns: npt.NDArray[np.int64]) -> list[str]:
        """Give the text of each line, mining what has no place yet."""
        ids = self.miner.match(pa.array([line.message for line in lines], pa.string()), pa.array(times_unix_ns))
        if any(each not in self._by_id for each in set(ids.to_pylist())):
            self._by_id = {template.id: template.text for template in self.miner.templates()}
        return [self._text(line, self._by_id[each]) for line, each in zip(lines, ids.to_pylist(), strict=True)]

    def _text(self, line: Line, template: str) -> str:
        if not line.place:
            return template
        return self._by_place.setdefault(line.place, f"{line.place} {template}")


def take_apart(raw: str) -> Line:
    """Take one recorded line apart.

    >>> take_apart('{"log": "10:00:00.1 ERROR  c.Cart#7 TraceID: t1 SpanID: s1 [no cart]\\\\n"}')
    Line(level='ERROR', place='c.Cart#7', message='[no cart]')
    """
    text = _field(raw, "log") or raw
    text = text.rstrip("\n")
    level = ""
    if text.startswith("{"):
        level, text = _field(text, "severity").upper(), _field(text, "message") or text
    text = _CLOCK.sub("", text)
    named = _LEVEL.match(text)
    if named:
        level, text = named[1], text[named.end() :]
    head, ids, message = text, "", ""
    found = _IDS.search(text)
    if found:
        head, ids, message = text[: found.start()].strip(), found[0], text[found.end() :]
    if ids and _PLACE.match(head):
        return Line(level, head, message)
    return Line(level, "", f"{head} {message}".strip())


def line_texts(raw: list[str], times_unix_ns: npt.NDArray[np.int64], texts: LineText) -> LineTexts:
    """Give the texts of recorded lines and which of them are errors."""
    lines = [take_apart(each) for each in raw]
    return LineTexts(texts.texts(lines, times_unix_ns), np.array([line.level in _FAILED for line in lines], bool))


def _field(text: str, name: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    value = found.get(name, "") if isinstance(found, dict) else ""
    return value if isinstance(value, str) else ""
