"""Undoes the Content-Encoding of a request body, never producing more than allowed.

Enters: a compressed body, already bounded in size. Leaves: the body. A body that would grow past the limit is given up
as soon as it does, so a decompression bomb costs the limit and not its size. Does no I/O.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard

from watchkeeper.errors import MalformedTelemetry, TooLarge

ENCODINGS = ("gzip", "zstd", "deflate", "identity")
STEP_BYTES = 1 << 20
ZSTD_STEP_BYTES = 256
"""A step into the zstd engine, which has no bound on what comes out: 4 bytes can be 128 KiB, a step at most 8 MiB."""
ZSTD_WINDOW_BYTES_MAX = 8 << 20
"""What RFC 9659 allows in HTTP; a decoder allocates the window that the frame asks for, before it sees any data."""

Hold = Callable[[int], None]


def known_encoding(header: str) -> str | None:
    """Give the one encoding that a Content-Encoding header names, "identity" for an empty one, None for one not known.

    >>> known_encoding("GZIP"), known_encoding("x-gzip"), known_encoding(""), known_encoding("br")
    ('gzip', 'gzip', 'identity', None)
    """
    name = header.strip().lower()
    name = {"": "identity", "x-gzip": "gzip"}.get(name, name)
    return name if name in ENCODINGS else None


def decompress(encoding: str, body: bytes, bytes_max: int, hold: Hold | None = None) -> bytes:
    """Give the body without its encoding; cost: linear in the result.

    `hold` is called with the size of each piece before it is kept; it may raise to stop.
    Raises TooLarge when the result would pass `bytes_max`, MalformedTelemetry when the body is damaged or cut short.
    """
    if encoding == "identity":
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        return body
    whole = _Bounded(bytes_max, hold)
    try:
        if encoding == "gzip":
            _inflate_members(body, whole)
        elif encoding == "deflate":
            _inflate(zlib.decompressobj(_deflate_window(body)), body, whole)
        else:
            _unzstd(body, whole)
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedTelemetry(
            f"the body is not what its Content-Encoding {encoding!r} says: {error}; send it whole, or uncompressed"
        ) from error
    return b"".join(whole.pieces)


class _Bounded:
    """Collects pieces up to a limit."""

    def __init__(self, bytes_max: int, hold: Hold | None) -> None:
        self.pieces: list[bytes] = []
        self._size = 0
        self._bytes_max = bytes_max
        self._hold = hold

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._bytes_max:
            raise _too_large(self._bytes_max)
        if self._hold is not None:
            self._hold(len(piece))
        self.pieces.append(piece)


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(
        f"the decompressed body is larger than {bytes_max} bytes (request_decompressed_bytes_max); send smaller batches"
    )


def _inflate_members(body: bytes, whole: _Bounded) -> None:
    """Undo gzip, which may be several members one after the other."""
    rest = body
    while True:
        engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
        _inflate(engine, rest, whole)
        rest = engine.unused_data
        if not rest:
            return


def _inflate(engine: zlib._Decompress, data: bytes, whole: _Bounded) -> None:
    while not engine.eof:
        piece = engine.decompress(data, STEP_BYTES)
        data = engine.unconsumed_tail
        if not piece and not data and not engine.eof:
            raise zlib.error("the stream ends too early")
        whole.add(piece)


def _deflate_window(body: bytes) -> int:
    """Tell "deflate" as HTTP defines it (with zlib's header) from the bare stream that some clients send."""
    has_header = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _unzstd(body: bytes, whole: _Bounded) -> None:
    """Undo zstd, one frame or several; only a decompression object tells a frame that ended from one that was cut."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    engine = decompressor.decompressobj()
    view, place = memoryview(body), 0
    while place < len(view):
        piece = engine.decompress(view[place : place + ZSTD_STEP_BYTES])
        place += ZSTD_STEP_BYTES
        if piece:
            whole.add(piece)
        if engine.eof and (place := min(place, len(view)) - len(engine.unused_data)) < len(view):
            engine = decompressor.decompressobj()
    if not engine.eof:
        raise zstandard.ZstdError("the stream ends too early")
