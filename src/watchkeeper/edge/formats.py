"""Every log line format by name, and which of them a sample of lines is in.

Enters: lines. Leaves: the format that reads most of them; where two read equally many, the one registered first, for
the narrow come before the wide. A new format is a row in edge/line_patterns.py. Reads no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.edge.json_lines import parse_json_line, parse_logfmt_line
from watchkeeper.edge.line_format import Continuation, FunctionFormat, LineFormat, PatternFormat
from watchkeeper.edge.line_patterns import ROWS
from watchkeeper.edge.plain_text import parse_plain_line
from watchkeeper.edge.timestamps import Clock
from watchkeeper.registry import Registry

FORMATS: Registry[LineFormat] = Registry("log format")

JSON = FunctionFormat(
    "json",
    "JSON lines",
    Continuation.STACK,
    '{"timestamp":"2024-01-02T03:04:05Z","level":"error","logger":"shop.cart","message":"out of stock"}',
    parse_json_line,
)
LOGFMT = FunctionFormat(
    "logfmt",
    "logfmt (key=value)",
    Continuation.STACK,
    'ts=2024-01-02T03:04:05Z level=warn msg="slow query" seconds=2.5',
    parse_logfmt_line,
)
TEXT = FunctionFormat("text", "text of no known form", Continuation.STACK, "something happened", parse_plain_line)

FORMATS.add(JSON.name, JSON)
for _row in ROWS:
    FORMATS.add(_row.name, PatternFormat.of(_row.name, _row.title, _row.continuation, _row.example, _row.pattern))
FORMATS.add(LOGFMT.name, LOGFMT)
FORMATS.add(TEXT.name, TEXT)


class Detection(NamedTuple):
    """What a sample is in: the format, how many of its `lines` it reads (`matched`)."""

    format: LineFormat
    lines: int
    matched: int


def detect_format(sample: Sequence[str], clock: Clock) -> Detection:
    """Find the format of a sample of lines; TEXT when none reads at least a fiftieth of those that are not indented.

    Indented lines are left out: they are parts of stack traces in every format. About 40 microseconds a line.
    """
    lines = [line for line in sample if line and not line[0].isspace()] or [line for line in sample if line]
    best: LineFormat = TEXT
    most = len(lines) // 50
    for name in FORMATS:
        candidate = FORMATS.get(name)
        if candidate is TEXT:
            continue
        matched = sum(candidate.parse(line, clock) is not None for line in lines)
        if matched > most:
            best, most = candidate, matched
        if lines and matched == len(lines):
            break
    return Detection(best, len(lines), most if best is not TEXT else len(lines))
