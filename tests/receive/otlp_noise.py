"""Protobuf that is valid and unlike any library's: fields in any order or twice, unknown ones between, odd numbers."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.receive.otlp_wire import block, fixed32, fixed64, number, tag, varint

_TYPES = FieldDescriptor


def noisy(source: random.Random, message: Message, *, noise: float) -> bytes:
    """Serialize a message; at each field something odd happens with a probability of `noise` (0..1)."""
    parts = [part for field, value in message.ListFields() for part in _field(source, field, value, noise)]
    if source.random() < noise * 3:
        source.shuffle(parts)
    written = b""
    for part in parts:
        written += part
        if source.random() < noise:
            written += _odd(source, part)
    return written if parts or source.random() >= noise else _odd(source, b"")


def _odd(source: random.Random, part: bytes) -> bytes:
    """Give something to put behind a part: the same again, an unknown field, a known one of another type, a group."""
    field = source.choice((1, 2, 3, 5, 7, 9, 15, 16, 99, 2047, 2**29 - 1))
    inner = bytes(source.randrange(256) for _ in range(source.randrange(5)))
    return source.choice(
        (
            part,
            number(field, source.getrandbits(source.choice((1, 7, 31, 64)))),
            block(field, inner),
            block(field, part),
            fixed64(field, source.getrandbits(64)),
            fixed32(field, source.getrandbits(32)),
            tag(field, 3) + number(1, 7) + tag(field, 4),
        )
    )


def _field(source: random.Random, field: FieldDescriptor, value: Any, noise: float) -> Iterator[bytes]:
    values = list(value) if field.is_repeated else [value]
    if field.is_repeated and field.is_packed and source.random() >= noise:
        yield block(field.number, *(_packed(field, item) for item in values))
        return
    for item in values:
        yield _one(source, field, item, noise)


def _packed(field: FieldDescriptor, value: Any) -> bytes:
    if field.type == _TYPES.TYPE_DOUBLE:
        return struct.pack("<d", value)
    if field.type == _TYPES.TYPE_FIXED64:
        return int(value).to_bytes(8, "little")
    return varint(value)


def _one(source: random.Random, field: FieldDescriptor, value: Any, noise: float) -> bytes:
    if field.message_type is not None:
        return block(field.number, noisy(source, value, noise=noise))
    if field.type == _TYPES.TYPE_STRING:
        return block(field.number, value.encode())
    if field.type == _TYPES.TYPE_BYTES:
        return block(field.number, value)
    if field.type == _TYPES.TYPE_DOUBLE:
        return tag(field.number, 1) + struct.pack("<d", value)
    if field.type in {_TYPES.TYPE_FIXED64, _TYPES.TYPE_SFIXED64}:
        return fixed64(field.number, value % 2**64)
    if field.type == _TYPES.TYPE_FIXED32:
        return fixed32(field.number, value)
    if field.type == _TYPES.TYPE_SINT32:
        value = value * 2 if value >= 0 else -value * 2 - 1
    overlong = source.choice((2, 5, 10)) if source.random() < noise / 4 else 0
    return tag(field.number, 0) + varint(int(value) % 2**64, size=overlong)
