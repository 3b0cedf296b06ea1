"""The write-ahead log: raw request bytes, framed so that any cut or damage loses only what it hit.

    file    header twice (either may be damaged), then records
    header  magic, format version, salt, first sequence, crc32 of those
    record  marker, body length, crc32(length + body) started from the file's salt, body
    body    sequence, received time, signal, content hash, encoding, sender, payload

A record that fails its check is skipped by searching the next marker whose record passes. The salt is random, so bytes
that a sender planted in a payload cannot pass as a record when the one around them is damaged.
Does not know what a payload means, and never writes to a file it did not create in this process.
"""

from __future__ import annotations

import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.signals.signal import Signal
from watchkeeper.store.entry import Entry as Entry  # noqa: PLC0414
from watchkeeper.store.layout import sync_folder

WAL_VERSION = 1
SUFFIX = ".wal"

_MAGIC = b"WKWAL\r\n\x1a"
_MARKER = b"\xd7WK\x1e"
_HEADER = struct.Struct("<8sIIQ")
_CRC = struct.Struct("<I")
_FRAME = struct.Struct("<4sII")
_BODY = struct.Struct("<QqB16sBH")
_SIGNALS = (Signal.LOGS, Signal.METRICS, Signal.SPANS)

HEADER_COPY_BYTES = _HEADER.size + _CRC.size
HEADER_BYTES = 2 * HEADER_COPY_BYTES
HASH_BYTES = 16


class Record(NamedTuple):
    """One whole record: its entry and the hash by which a retry is known."""

    entry: Entry
    content_hash: bytes


class Damage(NamedTuple):
    """A stretch of a file that is no record: offsets [start, end), why, and whether a mere cut explains it."""

    start: int
    end: int
    reason: str
    cut: bool


def body_head(entry: Entry, content_hash: bytes) -> bytes:
    """Give a record's body up to the payload; raises StoreError when a name is too long or a time out of range."""
    encoding, sender = entry.encoding.encode(), entry.sender.encode()
    signal = _SIGNALS.index(entry.signal)
    try:
        head = _BODY.pack(entry.sequence, entry.received_unix_ns, signal, content_hash, len(encoding), len(sender))
    except struct.error as error:
        raise StoreError(f"sender {entry.sender[:40]!r} or its time cannot be logged: {error}; shorten it") from error
    return head + encoding + sender


def frame(head: bytes, payload: bytes, salt: int) -> list[bytes]:
    """Give the bytes of one record in pieces, the payload uncopied."""
    length = len(head) + len(payload)
    crc = zlib.crc32(payload, zlib.crc32(head, zlib.crc32(_CRC.pack(length), salt)))
    return [_FRAME.pack(_MARKER, length, crc) + head, payload]


def scan(data: bytes) -> Iterator[Record | Damage]:
    """Give what a log file holds, in order: every whole record, and each damaged stretch between them.

    A header that is cut short gives one Damage. Raises NewerFormat. Cost: one pass, about 1 GB/s.
    """
    salt = _read_header(data)
    if salt is None:
        yield Damage(0, len(data), "the header cannot be read", cut=len(data) < HEADER_BYTES)
        return
    offset = HEADER_BYTES
    while offset < len(data):
        end, record = _record_at(data, offset, salt)
        if record is not None:
            yield record
            offset = end
            continue
        resumed = _next_record(data, offset + 1, salt)
        stop = len(data) if resumed is None else resumed
        yield Damage(offset, stop, "a record fails its check", cut=resumed is None and _looks_cut(data, offset))
        offset = stop


def _read_header(data: bytes) -> int | None:
    for start in (0, HEADER_COPY_BYTES):
        piece = data[start : start + HEADER_COPY_BYTES]
        if len(piece) < HEADER_COPY_BYTES or _CRC.unpack_from(piece, _HEADER.size)[0] != zlib.crc32(
            piece[: _HEADER.size]
        ):
            continue
        magic, version, salt, _ = _HEADER.unpack_from(piece)
        if magic != _MAGIC:
            continue
        if version > WAL_VERSION:
            raise NewerFormat(f"a log file has version {version}, this Watchkeeper knows {WAL_VERSION}; upgrade it")
        return int(salt)
    return None


def _record_at(data: bytes, offset: int, salt: int) -> tuple[int, Record | None]:
    body = offset + _FRAME.size
    if body > len(data):
        return offset, None
    marker, length, crc = _FRAME.unpack_from(data, offset)
    end = body + length
    if marker != _MARKER or length < _BODY.size or end > len(data):
        return offset, None
    if zlib.crc32(memoryview(data)[body:end], zlib.crc32(_CRC.pack(length), salt)) != crc:
        return offset, None
    sequence, received, signal, content_hash, encoding_bytes, sender_bytes = _BODY.unpack_from(data, body)
    names = body + _BODY.size
    payload = names + encoding_bytes + sender_bytes
    if payload > end or signal >= len(_SIGNALS):
        return offset, None
    encoding = data[names : names + encoding_bytes].decode()
    sender = data[names + encoding_bytes : payload].decode()
    return end, Record(Entry(sequence, _SIGNALS[signal], encoding, sender, received, data[payload:end]), content_hash)


def _next_record(data: bytes, start: int, salt: int) -> int | None:
    while (found := data.find(_MARKER, start)) >= 0:
        if _record_at(data, found, salt)[1] is not None:
            return found
        start = found + 1
    return None


def _looks_cut(data: bytes, offset: int) -> bool:
    """Tell whether a bad tail is what an interrupted write leaves: a record without its end, or zeros."""
    if offset + _FRAME.size > len(data) or not any(data[offset:]):
        return True
    marker, length, _ = _FRAME.unpack_from(data, offset)
    return bool(marker == _MARKER and offset + _FRAME.size + length > len(data))


def first_sequence(file: Path) -> int:
    """Give the sequence that a log file's name tells; -1 for a name that is not ours."""
    stem = file.name.removesuffix(SUFFIX)
    return int(stem) if file.name.endswith(SUFFIX) and stem.isascii() and stem.isdigit() else -1


def list_files(folder: Path) -> list[Path]:
    """Give the log files of a folder by first sequence."""
    return sorted((f for f in folder.iterdir() if first_sequence(f) >= 0), key=first_sequence)


class WalFile:
    """One log file that is being written; not for more than one thread at a time.

    `durable_bytes` is how much of it is known to be on the disk and whole.
    """

    def __init__(self, path: Path, descriptor: int, salt: int, durable_bytes: int) -> None:
        self.path = path
        self.salt = salt
        self.durable_bytes = durable_bytes
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path, sequence: int) -> WalFile:
        """Make the file whose first record is `sequence`, durable in name and header; raises OSError, leaving none."""
        path = folder / f"{sequence:020d}{SUFFIX}"
        salt = secrets.randbits(32)
        head = _HEADER.pack(_MAGIC, WAL_VERSION, salt, sequence)
        head += _CRC.pack(zlib.crc32(head))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, [head, head])
            os.fsync(descriptor)
            sync_folder(folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, salt, HEADER_BYTES)

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write whole records and wait for the disk; raises OSError, with the file cut back to what was whole."""
        try:
            written = _write_all(self._descriptor, pieces)
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.durable_bytes)
            os.lseek(self._descriptor, self.durable_bytes, os.SEEK_SET)
            os.fsync(self._descriptor)
            raise
        self.durable_bytes += written

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)


_PIECES_AT_ONCE = 512


def _write_all(descriptor: int, pieces: Sequence[bytes]) -> int:
    total = 0
    for start in range(0, len(pieces), _PIECES_AT_ONCE):
        views = [memoryview(piece) for piece in pieces[start : start + _PIECES_AT_ONCE] if piece]
        while views:
            written = os.writev(descriptor, views)
            total += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if views:
                views[0] = views[0][written:]
    return total
