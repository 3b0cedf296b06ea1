"""One signal's queue on disk: files of the write-ahead log, written at one end and read at the other, in order.

Enters: requests with their bytes and hashes. Leaves: entries after a given place, from the disk. A file whose entries
all went on is kept while a retry of them may still come, and deleted before that when room is needed. Not safe between
threads by itself: edge/spool.py holds the lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.signals.signal import Signal
from watchkeeper.store import wal
from watchkeeper.store.entry import Entry

_log = logging.getLogger(__name__)


@dataclass
class _File:
    """One file of the queue: its size, the last sequence in it, when its last entry came."""

    path: Path
    bytes: int
    last: int
    last_unix_ns: int


class Lane:
    """The queue of one signal. `last` is the highest sequence in it, `damaged` counts stretches that cannot be read."""

    def __init__(self, folder: Path, signal: Signal, *, file_bytes_max: int) -> None:
        self.signal = signal
        self.last = 0
        self.damaged = 0
        self._folder = folder
        self._file_bytes_max = file_bytes_max
        self._open: wal.WalFile | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._files: list[_File] = []

    def recover(self) -> Iterator[wal.Record]:
        """Take up what an earlier process left; gives every record in order, for its hash to be remembered."""
        for path in wal.list_files(self._folder):
            data = path.read_bytes()
            file = _File(path, len(data), wal.first_sequence(path) - 1, 0)
            for found in wal.scan(data):
                if isinstance(found, wal.Damage):
                    self._note(path, found)
                    continue
                file.last, file.last_unix_ns = found.entry.sequence, found.entry.received_unix_ns
                yield found
            self.last = max(self.last, file.last)
            self._files.append(file)

    def _note(self, path: Path, damage: wal.Damage) -> None:
        """Tell damage; an interrupted write at the end of a file was never acknowledged and is none."""
        if not damage.cut:
            self.damaged += 1
            _log.error("%s: bytes %d to %d cannot be read: %s", path, damage.start, damage.end, damage.reason)

    @property
    def size_bytes(self) -> int:
        """Give the size on disk."""
        return sum(file.bytes for file in self._files)

    def write(self, entries: Sequence[tuple[Entry, bytes]]) -> None:
        """Make entries durable, each with its hash; raises OSError, having written none of them."""
        if self._open is None:
            self._open = wal.WalFile.create(self._folder, entries[0][0].sequence)
            self._files.append(_File(self._open.path, self._open.durable_bytes, self.last, 0))
        pieces = [
            piece
            for entry, key in entries
            for piece in wal.frame(wal.body_head(entry, key), entry.payload, self._open.salt)
        ]
        self._open.append(pieces)
        file = self._files[-1]
        file.bytes = self._open.durable_bytes
        file.last = self.last = entries[-1][0].sequence
        file.last_unix_ns = entries[-1][0].received_unix_ns
        if file.bytes >= self._file_bytes_max:
            self.close()

    def files_after(self, sequence: int) -> list[tuple[Path, int]]:
        """Give the files that may hold entries after a place, with how much of each is whole."""
        return [(file.path, file.bytes) for file in self._files if file.last > sequence]

    def forget(self, forwarded: int, *, before_unix_ns: int) -> int:
        """Delete files that hold nothing after `forwarded` and whose last entry came before a time; gives the bytes.

        The open file is among them when it is due.
        """
        freed = 0
        while self._files and self._files[0].last <= forwarded and self._files[0].last_unix_ns < before_unix_ns:
            file = self._files.pop(0)
            if self._open is not None and file.path == self._open.path:
                self.close()
            file.path.unlink(missing_ok=True)
            freed += file.bytes
        return freed

    def close(self) -> None:
        """Write no more to the open file."""
        if self._open is not None:
            self._open.close()
            self._open = None


def entries_of(files: Sequence[tuple[Path, int]], after: int) -> Iterator[Entry]:
    """Read the entries after a place from files in order; what cannot be read is passed over."""
    for path, size in files:
        try:
            with path.open("rb") as file:
                data = file.read(size)
        except FileNotFoundError:
            continue
        for found in wal.scan(data):
            if isinstance(found, wal.Record) and found.entry.sequence > after:
                yield found.entry
