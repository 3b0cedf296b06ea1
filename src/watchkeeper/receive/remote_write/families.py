"""What kind of OTLP metric a Prometheus series is part of, and how that metric is written.

Enters: the name of the series and what is known of its family. Leaves: the bytes of a Metric around its points, by
OpenTelemetry's Prometheus compatibility specification. The lines of classic histograms and of summaries stay series of
their own, for remote write may spread them over requests. Where no type was ever told, the usual endings of counters
decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from watchkeeper.receive.remote_write.known import Family
from watchkeeper.receive.remote_write.wire import field, text_attribute, varint


class Type(IntEnum):
    """The types of metric families, with their numbers in both messages."""

    UNKNOWN = 0
    COUNTER = 1
    GAUGE = 2
    HISTOGRAM = 3
    GAUGEHISTOGRAM = 4
    SUMMARY = 5
    INFO = 6
    STATESET = 7


class Form(IntEnum):
    """The kinds of OTLP metrics that points are written for; the values are their fields in a Metric."""

    GAUGE = 5
    SUM = 7
    HISTOGRAM = 9
    EXPONENTIAL_HISTOGRAM = 10


class Head(NamedTuple):
    """What points of one metric share."""

    form: Form
    monotonic: bool
    family: Family | None


class Frame(NamedTuple):
    """A Metric without its points: all before the length of what holds them, and what comes behind them in it."""

    before: bytes
    behind: bytes

    def pieces(self, points: list[bytes]) -> list[bytes]:
        """Write field 2 of ScopeMetrics, in pieces; `points` are fields 1, tags included."""
        body = b"".join(points)
        held = varint(len(body) + len(self.behind))
        whole = len(self.before) + len(held) + len(body) + len(self.behind)
        return [b"\x12", varint(whole), self.before, held, body, self.behind]


_REMEMBERED_CHARACTERS_MAX = 256
_TYPE_NAMES = {each.value: each.name.lower() for each in Type}
_COUNTED = ("_bucket", "_count", "_sum")
_SUFFIXES = ("_total", "_created", *_COUNTED, "_info")
_CUMULATIVE = b"\x10\x02"
_MONOTONIC = b"\x18\x01"
_POINTS_ALONE = frozenset({Form.GAUGE})

_UNITS = {
    "days": "d", "hours": "h", "minutes": "min", "seconds": "s", "milliseconds": "ms", "microseconds": "us",
    "nanoseconds": "ns", "bytes": "By", "kibibytes": "KiBy", "mebibytes": "MiBy", "gibibytes": "GiBy",
    "tebibytes": "TiBy", "kilobytes": "KBy", "megabytes": "MBy", "gigabytes": "GBy", "terabytes": "TBy",
    "meters": "m", "volts": "V", "amperes": "A", "joules": "J", "watts": "W", "grams": "g", "celsius": "Cel",
    "hertz": "Hz", "ratio": "1", "percent": "%",
}  # fmt: skip
_PER = {"second": "s", "minute": "min", "hour": "h", "day": "d", "week": "wk", "month": "mo", "year": "y"}


def families_of(name: str) -> Iterator[str]:
    """Give the names of the families that a series may belong to, the likeliest first."""
    yield name
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            yield name.removesuffix(suffix)


def head_of(name: str, find: Callable[[str], Family | None]) -> Head:
    """Give the head of a series of numbers. `find` gives what is known of a family.

    >>> head_of("http_requests_total", lambda _: None).monotonic, head_of("up", lambda _: None).form
    (True, <Form.GAUGE: 5>)
    """
    for candidate in families_of(name):
        family = find(candidate)
        if family is not None:
            return _head(name, family)
    rises = ":" not in name and name.endswith(("_total", *_COUNTED))
    return Head(Form.SUM if rises else Form.GAUGE, rises, None)


def _head(name: str, family: Family) -> Head:
    counted = family.type in {Type.HISTOGRAM, Type.SUMMARY} and name.endswith(_COUNTED)
    if counted or (family.type == Type.COUNTER and not name.endswith("_created")):
        return Head(Form.SUM, True, family)
    if family.type in {Type.INFO, Type.STATESET}:
        return Head(Form.SUM, False, family)
    return Head(Form.GAUGE, False, family)


def frame_of(name: str, head: Head) -> Frame:
    """Write what stands around the points of a metric; short names are remembered."""
    return (_remembered if len(name) <= _REMEMBERED_CHARACTERS_MAX else _frame)(name, head)


def _frame(name: str, head: Head) -> Frame:
    told = b""
    if head.family is not None:
        told = b"".join(
            field(number, text.encode())
            for number, text in ((2, head.family.help), (3, otel_unit(head.family.unit)))
            if text
        )
        told += field(12, text_attribute("prometheus.type", _type_name(head.family.type)))
    shape = b"" if head.form in _POINTS_ALONE else _CUMULATIVE + (_MONOTONIC if head.monotonic else b"")
    return Frame(field(1, name.encode()) + told + varint(head.form << 3 | 2), shape)


_remembered = lru_cache(maxsize=8192)(_frame)


def _type_name(number: int) -> str:
    return _TYPE_NAMES.get(number, "unknown")


def otel_unit(unit: str) -> str:
    """Give OpenTelemetry's name (UCUM) of a unit of Prometheus; one that is not known stays as it is.

    >>> otel_unit("seconds"), otel_unit("bytes_per_second"), otel_unit("ratio"), otel_unit("apples")
    ('s', 'By/s', '1', 'apples')
    """
    whole, per, part = unit.partition("_per_")
    return f"{_UNITS.get(whole, whole)}/{_PER.get(part, part)}" if per else _UNITS.get(unit, unit)
