"""Random OTLP requests: every field of logs, metrics and spans, every kind of AnyValue, and damage done to bytes.

All is drawn from a `random.Random`: seeded for the fuzzers, Hypothesis's own for the properties (which it can shrink).
"""

from __future__ import annotations

import base64
import math
import random
import struct
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from watchkeeper.receive.otlp_reference import REQUESTS
from watchkeeper.signals.schema import Signal

DEPTH_MAX = 14

TEXTS = (
    *("", "$", "$bytes", "$$", "service.name", "service.namespace", "host.name", "k8s.pod.name", "cart", "x" * 70),
    *("a" * 7 + "\n", "b" * 8 + '"', 'c"' * 9, "\\" * 5, "\b\f\n\r\t\x00\x1f\x7f/", "é漢😀\u2028", "ü" * 9 + "\x01"),
    *("GET /cart/7 took 12.5 ms", "\ud7ff\ue000\U0010ffff", "a\x80b\u07ff\u0800\uffff\U00010000"),
)
DOUBLES = (
    *(0.0, -0.0, 1.0, 1e15, 1e16, 1e17, 1e21, 1e22, 1e23, 1e-4, 1e-5, 1e-6, 5e-324, 0.1 + 0.2, 1 / 3, 2 / 3, 1e300),
    *(123456789012345680.0, 999999999999999.9, 1e15 - 0.125, 9007199254740993.0, 2.2250738585072014e-308, 2.0**-44),
    *(1.7976931348623157e308, math.nan, math.inf, -math.inf, 4.35, 0.3, 12.5, 1700000000.123456, 2.5e-7, 2.0**-1017),
)
INTS = (0, 1, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 127, 128, 10**18)

_WIDTHS = {
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
}


def requests(signal: Signal, *, late_times: bool = False) -> st.SearchStrategy[Message]:
    """Give a strategy of requests; with `late_times`, some records have a time past 2^63-1."""
    randoms = st.randoms(use_true_random=False)
    return randoms.map(lambda source: random_request(source, signal, late_times=late_times))


def random_request(source: random.Random, signal: Signal, *, late_times: bool = False) -> Message:
    """Make one request."""
    message = REQUESTS[signal]()
    _fill(source, message, depth=0, late_times=late_times)
    return message


def _fill(source: random.Random, message: Message, *, depth: int, late_times: bool) -> None:
    for field in _chosen(source, message.DESCRIPTOR, depth):
        count = source.choice((0, 1, 1, 2, 3)) if field.is_repeated and depth < 9 else 1
        if field.message_type is None:
            if field.is_repeated:
                getattr(message, field.name).extend(_scalar(source, field, late_times) for _ in range(count))
            else:
                setattr(message, field.name, _scalar(source, field, late_times))
        elif field.is_repeated:
            for _ in range(count):
                _fill(source, getattr(message, field.name).add(), depth=depth + 1, late_times=late_times)
        else:
            getattr(message, field.name).SetInParent()
            _fill(source, getattr(message, field.name), depth=depth + 1, late_times=late_times)


def _chosen(source: random.Random, descriptor: Descriptor, depth: int) -> list[FieldDescriptor]:
    """Choose fields to set: most of them near the top, no submessages at the bottom, one at most of a oneof."""

    def allowed(field: FieldDescriptor) -> bool:
        return depth < DEPTH_MAX or field.message_type is None

    chosen = []
    in_groups = set()
    for group in descriptor.oneofs:
        if len(group.fields) > 1:
            in_groups |= {field.name for field in group.fields}
            chosen += [source.choice([field for field in group.fields if allowed(field)])]
    if source.random() < 0.1:
        chosen = []
    likely = 0.9 if depth < 3 else 0.55
    chosen += [
        field
        for field in descriptor.fields
        if field.name not in in_groups and allowed(field) and source.random() < likely
    ]
    return chosen


def _scalar(source: random.Random, field: FieldDescriptor, late_times: bool) -> Any:
    if field.name.endswith("time_unix_nano"):
        times = [0, 1_763_700_000_000_000_000, source.randrange(2**63)]
        return source.choice([*times, 2**63, 2**64 - 1] if late_times else times)
    if field.type == FieldDescriptor.TYPE_STRING:
        return source.choice(TEXTS) if source.random() < 0.8 else _text(source)
    if field.type == FieldDescriptor.TYPE_BYTES:
        size = source.choice((0, 1, 2, 3, 8, 16, 31))
        return bytes(source.randrange(256) for _ in range(size))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return source.random() < 0.5
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return random_double(source)
    low, high = _WIDTHS[field.type]
    if source.random() < 0.4:
        return source.randint(low, high)
    return min(max(source.choice(INTS), low), high)


def _text(source: random.Random) -> str:
    highest = source.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF))
    letters = (source.randrange(highest) for _ in range(source.randrange(30)))
    return "".join(chr(letter) for letter in letters if not 0xD800 <= letter < 0xE000)


def random_double(source: random.Random) -> float:
    """Give a double: a famous one, a short decimal, a power of two, or any bits at all."""
    form = source.randrange(6)
    if form == 0:
        return source.choice(DOUBLES)
    if form == 1:
        return round(source.uniform(-1e6, 1e6), source.randrange(7))
    if form == 2:
        return math.ldexp(1.0, source.randint(-1074, 1023))
    if form == 3:
        return source.random() * 10.0 ** source.randint(-8, 20)
    return random_bits_double(source)


def random_bits_double(source: random.Random) -> float:
    """Give the double of 64 random bits, which may be no number."""
    (number,) = struct.unpack("<d", source.getrandbits(64).to_bytes(8, "little"))
    return float(number)


def damaged(source: random.Random, payload: bytes, others: list[bytes]) -> bytes:
    """Give the payload with one to four bits flipped, parts cut, doubled, overwritten or spliced in from others."""
    data = bytearray(payload)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        at = source.randrange(len(data) + 1)
        form = source.randrange(8)
        if form <= 1 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif form == 2:
            del data[at:]
        elif form == 3:
            del data[at : at + source.randrange(1, 9)]
        elif form == 4:
            data[at:at] = bytes(source.randrange(256) for _ in range(source.randrange(1, 6)))
        elif form == 5 and at < len(data):
            data[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12, 0x1A, 0x2A, 0x32, 0x0B, 0x0C, 0x42))
        elif form == 6:
            data[at:at] = data[at : at + source.randrange(1, 60)]
        else:
            other = source.choice(others)
            begin = source.randrange(len(other) + 1)
            data[at:at] = other[begin : begin + source.randrange(1, 200)]
    return bytes(data)


def otlp_json(request: Message) -> dict[str, Any]:
    """Give the request as OTLP's JSON has it: ids in hexadecimal where protobuf's JSON has base64."""
    document: dict[str, Any] = _with_hex_ids(json_format.MessageToDict(request))
    return document


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in {"traceId", "spanId", "parentSpanId"} else _with_hex_ids(item)
            for key, item in value.items()
        }
    return value
