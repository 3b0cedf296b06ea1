"""What a log line format is, and how a match of a pattern with named groups becomes a Record.

Enters: a line and a Clock. Leaves: a Record, or None when the line is not of the format. The names of groups mean
the same in every format: `level`, `logger`, `host`, `body`, `text` (body with a level perhaps in front), `priority`
(syslog), `status` and `request` (HTTP); all others become attributes. Knows no format by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from watchkeeper.edge import severity
from watchkeeper.edge.record import Record
from watchkeeper.edge.timestamps import FRAGMENTS, Clock, StampReader


class Continuation(Enum):
    """Which lines belong to the record above them.

    HEADER: every line that does not begin like the format. STACK: only lines that look like part of a stack trace.
    """

    HEADER = "header"
    STACK = "stack"


class LineFormat(Protocol):
    """A log line format: `example` is a line of it, `title` says in words what it is."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def title(self) -> str:
        """What it is, in words."""

    @property
    def example(self) -> str:
        """A line of it."""

    @property
    def continuation(self) -> Continuation:
        """Which lines belong to the one above."""

    def parse(self, line: str, clock: Clock) -> Record | None:
        """Read one line; None when it is not of this format."""


@dataclass(frozen=True)
class FunctionFormat:
    """A format that is read by a function."""

    name: str
    title: str
    continuation: Continuation
    example: str
    function: Callable[[str, Clock], Record | None]

    def parse(self, line: str, clock: Clock) -> Record | None:
        """Read one line; None when it is not of this format."""
        return self.function(line, clock)


_ATTRIBUTE_NAMES = {
    "pid": "process.pid",
    "thread": "thread.name",
    "app": "appname",
    "client": "client.address",
    "user": "user.name",
    "vhost": "server.address",
    "bytes": "http.response.body.size",
    "status": "http.response.status_code",
    "referer": "http.request.header.referer",
    "agent": "user_agent.original",
    "file": "code.file.path",
    "line": "code.line.number",
    "function": "code.function.name",
    "database": "db.namespace",
}
_TIME_GROUPS = {
    "year", "month", "day", "hour", "minute", "second", "fraction", "millisecond", "half", "zone", "epoch",
}  # fmt: skip
_SPECIAL_GROUPS = _TIME_GROUPS | {
    "level", "logger", "host", "body", "text", "priority", "request", "structured", "event",
}  # fmt: skip
_NUMBERS = {"pid", "bytes", "status", "line", "uptime_s", "elapsed_ms", "facility"}
_PIECES = {
    **FRAGMENTS,
    "level-words": severity.LEVEL_WORDS,
    "level": rf"(?P<level>{severity.LEVEL_WORDS}|(?i:trace|debug|info|notice|warn|warning|error|critical|fatal))",
    "dotted-name": r"[A-Za-z_$][\w$-]*(?:[./][\w$-]+)*",
}
_FRAGMENT = re.compile(r"\{([a-z-]+)\}")
_STRUCTURED_ELEMENT = re.compile(r"\[(?P<id>[^\s\]=\"]+)(?P<pairs>(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*)\]")
_STRUCTURED_PAIR = re.compile(r"([^\s=\"\]]+)=\"((?:[^\"\\]|\\.)*)\"")
_LEADING_LEVEL = re.compile(
    rf"[\[(<|]?(?P<level>{severity.LEVEL_WORDS}|(?i:trace|debug|info|notice|warn|warning|error|critical|fatal)(?=\]|:))"
    r"[\])>|]?[:\s|-]+(?P<body>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class PatternFormat:
    """A format that is a regular expression, with `{name}` standing for a way of writing time."""

    name: str
    title: str
    continuation: Continuation
    example: str
    pattern: re.Pattern[str]
    stamp: StampReader
    attributes: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, title: str, continuation: Continuation, example: str, pattern: str) -> PatternFormat:
        """Compile a format; raises KeyError when it names a way of writing time that is not in the table."""
        compiled = re.compile(_FRAGMENT.sub(lambda match: _PIECES[match[1]], pattern), re.ASCII)
        attributes = tuple(
            (group, _ATTRIBUTE_NAMES.get(group, group)) for group in compiled.groupindex if group not in _SPECIAL_GROUPS
        )
        return cls(name, title, continuation, example, compiled, StampReader(compiled), attributes)

    def parse(self, line: str, clock: Clock) -> Record | None:
        """Read one line; None when it is not of this format or holds a date that does not exist."""
        match = self.pattern.fullmatch(line)
        if match is None:
            return None
        groups = match.groupdict()
        time_unix_ns = self.stamp.read(match, clock)
        if time_unix_ns is None and groups.get("minute") is not None:
            return None
        attributes = self._attributes(groups)
        body = groups.get("body") or ""
        number, text = _severity(groups)
        if groups.get("text") is not None:
            number, text, body = leading_level(groups["text"])
        if groups.get("request") is not None:
            body = _request(groups, attributes)
        if not number:
            number, found = severity.severity_in_text(body)
            text = text or found
        host = groups.get("host")
        event = groups.get("event")
        return Record(
            body,
            time_unix_ns or 0,
            number,
            text,
            attributes,
            groups.get("logger") or "",
            (("host.name", host),) if host and host != "-" else (),
            event_name=event if event and event != "-" else "",
        )

    def _attributes(self, groups: dict[str, str | Any]) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        for group, name in self.attributes:
            value = groups[group]
            if value and value != "-":
                attributes[name] = _number(value) if group in _NUMBERS else value
        if (priority := groups.get("priority")) is not None:
            attributes["syslog.facility"] = int(priority) // 8
        if structured := groups.get("structured"):
            attributes.update(_structured(structured))
        return attributes


def _severity(groups: dict[str, str | Any]) -> tuple[int, str]:
    level = groups.get("level")
    if level:
        return severity.severity_of_word(level), level
    if (priority := groups.get("priority")) is not None:
        return severity.severity_of_priority(int(priority)), ""
    if status := groups.get("status"):
        return (severity.ERROR if status >= "500" else severity.WARN if status >= "400" else severity.INFO), ""
    return 0, ""


def _request(groups: dict[str, str | Any], attributes: dict[str, Any]) -> str:
    """Give the body of an access log line, and take its request apart into attributes."""
    parts = groups["request"].split(" ")
    if len(parts) >= 2 and parts[0].isalpha():
        attributes["http.request.method"] = parts[0]
        attributes["url.original"] = parts[1]
    return f"{groups['request']} {groups['status']}"


def leading_level(text: str) -> tuple[int, str, str]:
    """Take a level off the front of a text: (severity number, the level as written, the rest).

    >>> leading_level("[warn] disk at 91 %"), leading_level("listening on :80")
    ((13, 'warn', 'disk at 91 %'), (0, '', 'listening on :80'))
    """
    match = _LEADING_LEVEL.fullmatch(text)
    if match is not None:
        return severity.severity_of_word(match["level"]), match["level"], match["body"]
    number, word = severity.severity_in_text(text)
    return number, word, text


def _structured(text: str) -> dict[str, str]:
    """Read the structured data of RFC 5424 as attributes `id.name`."""
    found: dict[str, str] = {}
    for element in _STRUCTURED_ELEMENT.finditer(text):
        for name, value in _STRUCTURED_PAIR.findall(element["pairs"]):
            found[f"{element['id']}.{name}"] = re.sub(r"\\([\"\\\]])", r"\1", value)
    return found


def _number(text: str) -> int | float | str:
    try:
        return int(text) if len(text) < 19 else text
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
