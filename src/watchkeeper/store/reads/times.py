"""Reads `from` and `to` as people and programs write them: Unix nanoseconds, RFC 3339, or a duration before now.

Enters: text and the present. Leaves: Unix nanoseconds. Knows no clock of its own.
"""

from __future__ import annotations

import re
from datetime import datetime

from watchkeeper.errors import QueryError
from watchkeeper.signals.schema import TIME_MAX_UNIX_NS
from watchkeeper.store.reads.base import SECOND_NS, TimeRange

DEFAULT_RANGE_NS = 3600 * SECOND_NS
_UNITS_NS = {
    "ms": SECOND_NS // 1000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
    "w": 7 * 86_400 * SECOND_NS,
}
_DURATION = re.compile(r"(\d{1,12})(ms|[smhdw])", re.ASCII)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_duration(text: str) -> int:
    """Give a duration such as `15m` in nanoseconds; raises QueryError.

    >>> parse_duration("250ms"), parse_duration("2h")
    (250000000, 7200000000000)
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise QueryError(f"{text!r} is not a duration; write a whole number and a unit: 500ms, 30s, 15m, 2h, 7d, 2w")
    return int(match[1]) * _UNITS_NS[match[2]]


def parse_time(text: str, now_unix_ns: int) -> int:
    """Give a moment in Unix nanoseconds (0 .. 2^63-1), `15m` being fifteen minutes before now; raises QueryError.

    >>> parse_time("1970-01-01T00:00:01.5Z", 0), parse_time("15m", 10**12), parse_time("now", 7)
    (1500000000, 100000000000, 7)
    """
    said = text.strip()
    if said == "now":
        return now_unix_ns
    if said.isascii() and said.isdigit():
        return _within(int(said), text) if len(said) <= 20 else _refuse(text)
    if _DURATION.fullmatch(said):
        return max(0, now_unix_ns - parse_duration(said))
    match = _RFC3339.fullmatch(said)
    if not match:
        return _refuse(text)
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'zZ' else zone}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return _refuse(text)
    return _within(seconds * SECOND_NS + int((fraction or "0").ljust(9, "0")), text)


def parse_range(
    from_text: str | None, to_text: str | None, now_unix_ns: int, *, default_ns: int = DEFAULT_RANGE_NS
) -> TimeRange:
    """Give the range of `from` and `to`; to defaults to now, from to `default_ns` before to; raises QueryError."""
    to_unix_ns = parse_time(to_text, now_unix_ns) if to_text else now_unix_ns
    from_unix_ns = parse_time(from_text, now_unix_ns) if from_text else max(0, to_unix_ns - default_ns)
    if from_unix_ns >= to_unix_ns:
        raise QueryError(f"from ({from_text or from_unix_ns}) is not before to ({to_text or 'now'}); exchange them")
    return TimeRange(from_unix_ns, to_unix_ns)


def _within(value: int, text: str) -> int:
    if not 0 <= value <= TIME_MAX_UNIX_NS:
        raise QueryError(f"the time {text!r} is outside 1970-01-01 .. 2262-04-11, which 64-bit nanoseconds can tell")
    return value


def _refuse(text: str) -> int:
    raise QueryError(
        f"{text[:60]!r} is not a time; write Unix nanoseconds, RFC 3339 (2026-11-21T07:00:00Z) "
        "or a duration before now (15m)"
    )
