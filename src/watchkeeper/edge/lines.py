"""Bytes to lines: files, archives and pipes, plain or compressed.

Enters: a path, `-` for the standard input, or an open binary stream; gzip, xz, bzip2 and zstd are told by their first
bytes. Leaves: batches of lines as text; an empty batch says that nothing came for a while. Every byte is accounted for:
in a line, as a line end, or counted as cut off a line that is longer than the bound. Does not interpret lines.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import queue
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from watchkeeper.errors import DataSetError, WatchkeeperError

LINE_BYTES_MAX = 256 * 1024
CHUNK_BYTES = 256 * 1024
BATCH_LINES = 1000
MAGIC_BYTES = 6


@dataclass
class LineCounts:
    """What a LineReader has read: `bytes` uncompressed, of which `cut_bytes` were dropped from over-long lines."""

    bytes: int = 0
    lines: int = 0
    empty: int = 0
    cut_lines: int = 0
    cut_bytes: int = 0
    mended: int = 0


class LineReader:
    """Cuts a byte stream into lines at `\\n`, `\\r\\n`; feed() takes any pieces, finish() gives what is left.

    A line is at most `line_bytes_max` long, the rest of it is dropped and counted. Bytes that are not UTF-8 become
    U+FFFD, and the line counts as mended. Empty lines are kept ("") and counted, for they end nothing by themselves.
    """

    def __init__(self, counts: LineCounts | None = None, *, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.counts = counts or LineCounts()
        self._line_bytes_max = line_bytes_max
        self._rest = b""
        self._cut = 0

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes and give the lines that they complete; cost: linear in the bytes."""
        self.counts.bytes += len(data)
        if b"\n" not in data:
            self._keep(data)
            return []
        first, *middle = data.split(b"\n")
        self._keep(first)
        lines = [self._end_line()]
        last = middle.pop()
        lines.extend(
            self._decode(piece) if len(piece) <= self._line_bytes_max else self._long(piece) for piece in middle
        )
        self._keep(last)
        return lines

    def finish(self) -> list[str]:
        """Give the last line when the stream did not end with a line end."""
        return [self._end_line()] if self._rest or self._cut else []

    def _keep(self, data: bytes) -> None:
        held = self._rest + data if self._rest else data
        if len(held) > self._line_bytes_max:
            self._cut += len(held) - self._line_bytes_max
            held = held[: self._line_bytes_max]
        self._rest = held

    def _long(self, piece: bytes) -> str:
        self._rest, self._cut = piece[: self._line_bytes_max], len(piece) - self._line_bytes_max
        return self._end_line()

    def _end_line(self) -> str:
        line, self._rest = self._rest, b""
        if self._cut:
            self.counts.cut_lines += 1
            self.counts.cut_bytes += self._cut
            self._cut = 0
        return self._decode(line)

    def _decode(self, line: bytes) -> str:
        self.counts.lines += 1
        if line.endswith(b"\r"):
            line = line[:-1]
        if not line:
            self.counts.empty += 1
            return ""
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.counts.mended += 1
            return line.decode("utf-8", errors="replace")


def _zstd(stream: BinaryIO) -> BinaryIO:
    import zstandard

    return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))


def _broken() -> tuple[type[Exception], ...]:
    """Give what the decompressors raise for a damaged stream; zstandard's only if it is loaded."""
    loaded = sys.modules.get("zstandard")
    zstd_errors: tuple[type[Exception], ...] = (loaded.ZstdError,) if loaded is not None else ()
    return (EOFError, lzma.LZMAError, zlib.error, OSError, *zstd_errors)


def _gzip(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=stream))


def _xz(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.LZMAFile(stream))


def _bzip2(stream: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.BZ2File(stream))


_COMPRESSIONS: tuple[tuple[bytes, str, Callable[[BinaryIO], BinaryIO]], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"\xfd7zXZ\x00", "xz", _xz),
    (b"BZh", "bzip2", _bzip2),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
)


def decompressed(stream: BinaryIO) -> tuple[BinaryIO, str]:
    """Look at the first bytes of a stream and give it decompressed, with the name of the compression or `plain`."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
    found = compression_of(buffered.peek(MAGIC_BYTES)[:MAGIC_BYTES])
    for _, name, opener in _COMPRESSIONS:
        if name == found:
            return opener(cast(BinaryIO, buffered)), name
    return cast(BinaryIO, buffered), "plain"


def compression_of(head: bytes) -> str:
    """Name the compression of what begins so, by its first MAGIC_BYTES; `plain` for none.

    >>> compression_of(b"\\x1f\\x8b\\x08"), compression_of(b"a line")
    ('gzip', 'plain')
    """
    return next((name for magic, name, _ in _COMPRESSIONS if head.startswith(magic)), "plain")


def open_bytes(path: str) -> BinaryIO:
    """Open a file, or the standard input for `-`; raises WatchkeeperError with what to do when it cannot be read."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except IsADirectoryError as error:
        raise WatchkeeperError(f"{path} is a folder; name a file in it") from error
    except OSError as error:
        raise WatchkeeperError(f"cannot read {path}: {error.strerror}") from error


def read_chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Give the bytes of a stream in pieces as they come; raises DataSetError when a compressed stream is broken."""
    read = getattr(stream, "read1", stream.read)
    while True:
        try:
            data = read(CHUNK_BYTES)
        except _broken() as error:
            raise DataSetError(f"{name} cannot be read to its end: {error}; it is cut off or damaged") from error
        if not data:
            return
        yield data


def read_lines(chunks: Iterator[bytes], reader: LineReader) -> Iterator[list[str]]:
    """Give the lines of a byte stream in batches, in order; never an empty batch."""
    for data in chunks:
        lines = reader.feed(data)
        for start in range(0, len(lines), BATCH_LINES):
            yield lines[start : start + BATCH_LINES]
    if last := reader.finish():
        yield last


def live_lines(batches: Iterator[list[str]], *, idle_s: float = 0.5) -> Iterator[list[str]]:
    """Pass batches on from a thread of their own, and an empty one whenever `idle_s` went by without any.

    For pipes: what has come can be sent on while the next line is not written yet. At most 16 batches wait in memory.
    """
    waiting: queue.Queue[list[str] | BaseException | None] = queue.Queue(maxsize=16)

    def pump() -> None:
        try:
            for batch in batches:
                waiting.put(batch)
        except (WatchkeeperError, ValueError) as error:
            waiting.put(error)
        else:
            waiting.put(None)

    threading.Thread(target=pump, name="watchkeeper-lines", daemon=True).start()
    while True:
        try:
            batch = waiting.get(timeout=idle_s)
        except queue.Empty:
            yield []
            continue
        if batch is None:
            return
        if isinstance(batch, BaseException):
            raise batch
        yield batch
