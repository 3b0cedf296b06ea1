"""Snappy's block format, which remote write is sent in: one block with its length in front, no frames.

Enters: bytes. Leaves: bytes. A length that the body cannot hold is refused before anything is made of it.
Source: github.com/google/snappy, format_description.txt.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from watchkeeper.errors import MalformedTelemetry, TooLarge

_GROWTH_MAX = 22
"""A copy of 64 bytes takes 3, and nothing in the format grows more."""
_LENGTH_BYTES_MAX = 5

_CODEC = pa.Codec("snappy")


def decompress(body: bytes, bytes_max: int, hold: Callable[[int], None] | None = None) -> bytes:
    """Undo the compression; cost: linear in the result. `hold` is called with its size before it is made.

    Raises TooLarge when the result would pass `bytes_max`, MalformedTelemetry when the body is damaged or cut short.
    """
    size, start = _length(body)
    if size > _GROWTH_MAX * (len(body) - start):
        raise MalformedTelemetry(f"the body is no snappy block: {len(body)} bytes cannot hold the {size} that it tells")
    if size > bytes_max:
        raise TooLarge(
            f"the decompressed body is larger than {bytes_max} bytes (request_decompressed_bytes_max); lower "
            "max_samples_per_send"
        )
    if hold is not None:
        hold(size)
    try:
        whole: bytes = _CODEC.decompress(body, decompressed_size=size, asbytes=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise MalformedTelemetry(
            f"the body is no snappy block: {error}; send it whole, compressed with snappy"
        ) from error
    return whole


def compress(data: bytes) -> bytes:
    """Compress one block."""
    block: bytes = _CODEC.compress(data, asbytes=True)
    return block


def _length(body: bytes) -> tuple[int, int]:
    """Read the length in front of a block; gives it and where the block begins."""
    value = 0
    for place, byte in enumerate(body[:_LENGTH_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, place + 1
    raise MalformedTelemetry("the body is no snappy block: it does not begin with a length; compress it with snappy")
