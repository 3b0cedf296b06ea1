"""Lines of no known format: a time is looked for at their start, a level near it; the rest is the body."""

from __future__ import annotations

import re

from watchkeeper.edge.line_format import leading_level
from watchkeeper.edge.record import Record
from watchkeeper.edge.timestamps import STAMPS, Clock, StampReader

_HEADED = tuple(
    (pattern, StampReader(pattern))
    for pattern in (
        re.compile(r"[\[(<]?" + stamp.pattern + r"[\])>]?(?:[,:|]| -)?\s+(?P<text>.*)", re.ASCII | re.DOTALL)
        for stamp in STAMPS
        if stamp.name != "digits"
    )
)


def parse_plain_line(line: str, clock: Clock) -> Record:
    """Read any line. About 20 microseconds, for it tries every way of writing time."""
    found = dated(line, clock)
    time_unix_ns, text = found if found is not None else (0, line)
    number, word, body = leading_level(text)
    return Record(body, time_unix_ns, number, word)


def dated(line: str, clock: Clock) -> tuple[int, str] | None:
    """Give the time at the start of a line and what follows it, or None when there is none."""
    if not line or not (line[0].isalnum() or line[0] in "[(<"):
        return None
    for pattern, reader in _HEADED:
        match = pattern.fullmatch(line)
        if match is not None and (time_unix_ns := reader.read(match, clock)) is not None:
            return time_unix_ns, match["text"]
    return None
