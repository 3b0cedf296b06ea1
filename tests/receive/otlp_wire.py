"""Protobuf's wire format by hand, for bytes that no library would write."""

from __future__ import annotations


def varint(number: int, *, size: int = 0) -> bytes:
    """Encode a number, in at least `size` bytes (more than needed makes it overlong)."""
    out = bytearray()
    while number > 127 or len(out) + 1 < size:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(field: int, wire: int) -> bytes:
    return varint(field << 3 | wire)


def number(field: int, value: int) -> bytes:
    return tag(field, 0) + varint(value)


def fixed64(field: int, value: int) -> bytes:
    return tag(field, 1) + value.to_bytes(8, "little")


def fixed32(field: int, value: int) -> bytes:
    return tag(field, 5) + value.to_bytes(4, "little")


def block(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return tag(field, 2) + varint(len(content)) + content
