"""The file of a host's events and marks: JSON lines that several processes add to and read on.

Enters: rows as plain data. Leaves: the rows that are new since the last reading, whoever wrote them. A line that cannot
be read is passed over, and one that a kill or a full disk cut short spoils no other. Knows nothing of events.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

SCHEMA_VERSION = 1
BYTES_MAX = 8 << 20


class EventFile:
    """One such file; `trouble` says why it could not be read or written last, "" else. None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read_bytes = 0
        self._inode = 0
        self._small_bytes = 0
        self.trouble = ""

    def read(self) -> Iterator[dict[str, Any]]:
        """Give the rows behind what was read before; a line without its end is left for the next time."""
        if self._path is None:
            return
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._read_bytes:
                    self._inode, self._read_bytes = status.st_ino, 0
                file.seek(self._read_bytes)
                data = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = f"{self._path} cannot be read: {error.strerror}"
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if isinstance(row, dict) and row.get("schema_version") == SCHEMA_VERSION:
                yield row

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows, durably; `trouble` tells whether they are there."""
        if self._path is None:
            return
        data = _lines(rows)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _locked(self._path)
            try:
                size = os.fstat(descriptor).st_size
                # A line that was cut short must not spoil the next one.
                torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
                _write(descriptor, b"\n" + data if torn else data)
            finally:
                os.close(descriptor)
            self.trouble = ""
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: {error.strerror}"

    @property
    def large(self) -> bool:
        """Tell whether what was read is more than BYTES_MAX, and twice as much as when it was last written anew."""
        return self._read_bytes > max(BYTES_MAX, 2 * self._small_bytes)

    def replace(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Write the file anew with these rows alone.

        Rows that others added since the last reading are kept, and given.
        """
        late: list[dict[str, Any]] = []
        if self._path is None:
            return late
        beside = self._path.with_suffix(f".{os.getpid()}.new")
        try:
            held = _locked(self._path)
            try:
                late = list(self.read())
                data = _lines(rows) + _lines(late)
                with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    _write(file.fileno(), data)
                    status = os.fstat(file.fileno())
                os.replace(beside, self._path)
            finally:
                os.close(held)
            self._inode, self._read_bytes = status.st_ino, status.st_size
            self._small_bytes = len(data)
        except OSError as error:
            self.trouble = f"{self._path} cannot be written: {error.strerror}"
        return late


def _lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps({"schema_version": SCHEMA_VERSION, **row}) + b"\n" for row in rows)


def _locked(path: Path) -> int:
    """Open a file for one writer at a time; the lock goes with the descriptor."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        # Another process has put a new file in its place meanwhile.
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)
