"""The few pieces of protobuf's wire format that points of metrics are put together from, faster than messages are.

Enters: field numbers and values. Leaves: bytes, tag included. Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

_LENGTH_DELIMITED = 2


def varint(number: int) -> bytes:
    """Write a whole number >= 0.

    >>> varint(1), varint(300)
    (b'\\x01', b'\\xac\\x02')
    """
    return _SMALL[number] if number < len(_SMALL) else _varint(number)


def _varint(number: int) -> bytes:
    pieces = bytearray()
    while number > 0x7F:
        pieces.append(number & 0x7F | 0x80)
        number >>= 7
    pieces.append(number)
    return bytes(pieces)


_SMALL = tuple(_varint(number) for number in range(4096))


def field(number: int, data: bytes) -> bytes:
    """Write a field that holds bytes, a text or a message."""
    return head(number, len(data)) + data


def head(number: int, length: int) -> bytes:
    """Write what stands in front of `length` bytes of such a field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def text_attribute(key: str, value: str) -> bytes:
    """Write OTLP's KeyValue of a text, without a tag."""
    return field(1, key.encode()) + field(2, field(1, value.encode()))


def int_attribute(key: str, value: int) -> bytes:
    """Write OTLP's KeyValue of a whole number >= 0, without a tag."""
    return field(1, key.encode()) + field(2, b"\x18" + varint(value))
