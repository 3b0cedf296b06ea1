"""Follows log files from where an earlier process stopped, through rotation and truncation, reading no line twice.

Enters: patterns of paths. Leaves: OTLP log records in the spool. A place is written to disk once what it covers is
durable; a kill between the two sends those lines again, in the same bytes, which the spool recognises. A renamed file
is read to its end before the new one is begun. While the spool is full nothing is read: the files wait.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

from watchkeeper.edge.lines import LineReader
from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.parser import LogParser, find_shape
from watchkeeper.edge.record import Record
from watchkeeper.edge.source import service_of_file
from watchkeeper.edge.timestamps import Clock
from watchkeeper.errors import NewerFormat
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 1
READ_BYTES = 256 * 1024
HEAD_BYTES = 256
SAMPLE_LINES = 200
QUIET_S = 1.0
WAIT_S_MAX = 5.0
FILES_MAX = 1000
TOLD_MAX = 1000

_log = logging.getLogger(__name__)

Keep = Callable[[bytes], bool]


class _Identity(NamedTuple):
    """By what a file is known again: where it lies on the disk."""

    device: int
    inode: int


class _Known(NamedTuple):
    """What is on disk of a file: see _Followed; `head` is how it begins, in hexadecimal."""

    place: int = 0
    upto: int = 0
    head: str = ""


class _Followed:
    """One file that is being read: durable up to `place`; a piece that was begun ends at `upto`."""

    def __init__(self, path: str, descriptor: int, identity: _Identity, known: _Known) -> None:
        self.path = path
        self.identity = identity
        self.place, self.upto = known.place, known.upto
        self.gone_s: float | None = None
        self._descriptor = descriptor
        self._parser: LogParser | None = None
        self._since_s: float | None = None
        self._size = 0
        self._grew_s = 0.0

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)

    def ready(self, now_s: float, *, last: bool) -> int:
        """Give where the next piece ends, its place when there is none yet. `last`: nothing more comes.

        What was written a moment ago waits: the lines that continue it may be on their way.
        """
        if self.upto > self.place:
            return self.upto
        size = self.size()
        if size < self.place:
            self.place = self.upto = 0
        if size == self.place:
            self._since_s = None
            return self.place
        self._since_s = now_s if self._since_s is None else self._since_s
        if size != self._size:
            self._size, self._grew_s = size, now_s
        busy = now_s - self._grew_s < QUIET_S
        full = size - self.place >= READ_BYTES
        if not (last or full or not busy or now_s - self._since_s >= WAIT_S_MAX):
            return self.place
        data = os.pread(self._descriptor, READ_BYTES, self.place)
        if last and not full:
            return self.place + len(data)
        end = data.rfind(b"\n") + 1
        if not end:
            return self.place + len(data) if full else self.place
        return self.place + (_last_start(data, end) if busy or full else end)

    def read(self, upto: int) -> list[Record]:
        """Read the records from `place` to there."""
        reader = LineReader()
        lines = reader.feed(os.pread(self._descriptor, upto - self.place, self.place)) + reader.finish()
        parser = self._parser = self._parser or self._make_parser(lines)
        return [*parser.feed(lines), *parser.flush()]

    def settled(self, upto: int) -> None:
        """Note that all up to there is durable."""
        self.place = self.upto = upto
        self._since_s = None

    def head(self) -> str:
        """Give how the file begins, as far as it was read."""
        return _head(self._descriptor, min(HEAD_BYTES, max(self.place, self.upto)))

    def _make_parser(self, lines: list[str]) -> LogParser:
        clock = Clock(UTC, time.time_ns())
        shape = find_shape(lines[:SAMPLE_LINES], clock)
        name = os.path.basename(self.path)
        resource = (("service.name", service_of_file(name)), ("log.file.name", name), ("log.file.path", self.path))
        return LogParser(shape, clock, resource=resource)


class Tail:
    """Follows all files of some patterns; `step` is to be called again and again by one thread.

    Files that are there when an agent looks for the first time ever are followed from their end, unless `from_start`.
    """

    def __init__(
        self,
        patterns: tuple[str, ...],
        places_file: Path,
        keep: Keep,
        *,
        from_start: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patterns = patterns
        self._file = places_file
        self._keep = keep
        self._monotonic = monotonic
        self._followed: dict[_Identity, _Followed] = {}
        known = self._load()
        self._known = known or {}
        self._from_end = known is None and not from_start
        self._first = True
        self._told: set[str] = set()

    def step(self) -> bool:
        """Look for new, renamed and deleted files, then read each on once; gives whether anything was read."""
        now_s = self._monotonic()
        self._look(now_s)
        moved = False
        for followed in list(self._followed.values()):
            gone = followed.gone_s is not None
            upto = followed.ready(now_s, last=gone)
            if upto > followed.place:
                moved |= self._take(followed, upto)
            elif gone:
                followed.close()
                del self._followed[followed.identity]
        self._first = False
        if moved:
            self._save()
        return moved

    def _take(self, followed: _Followed, upto: int) -> bool:
        """Read a piece; its bounds are on disk before, so that after a kill the very same is read again."""
        followed.upto = upto
        self._save()
        records = followed.read(upto)
        if records and not self._keep(encode_logs(records, observed_unix_ns=0)):
            return False
        followed.settled(upto)
        return True

    def close(self) -> None:
        """Close the files; what was read is kept."""
        for followed in self._followed.values():
            followed.close()
        self._followed.clear()

    def _look(self, now_s: float) -> None:
        matched = {pattern: glob.glob(pattern, recursive=True) for pattern in self._patterns}
        for pattern in (pattern for pattern, found in matched.items() if not found and self._first):
            self._tell(f"no file is there yet that {pattern!r} names")
        paths = sorted({path for found in matched.values() for path in found})
        if len(paths) > FILES_MAX:
            self._tell(f"more than {FILES_MAX} files are named; those after {paths[FILES_MAX - 1]} are not followed")
        seen = set()
        for path in paths[:FILES_MAX]:
            try:
                status = os.stat(path)
            except OSError:
                continue
            if not os.path.isfile(path):
                continue
            identity = _Identity(status.st_dev, status.st_ino)
            seen.add(identity)
            if identity not in self._followed:
                self._open(path, identity)
        for identity, followed in self._followed.items():
            if identity not in seen and followed.gone_s is None:
                followed.gone_s = now_s

    def _tell(self, text: str) -> None:
        """Say once what is not followed."""
        if text not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(text)
            _log.warning("%s", text)

    def _open(self, path: str, identity: _Identity) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell(f"{path} cannot be followed: {error.strerror}; it is tried again and again")
            return
        size = os.fstat(descriptor).st_size
        known = self._known.get(identity)
        if known is not None and (size < known.place or _head(descriptor, len(known.head) // 2) != known.head):
            # The number of a deleted file was given to a new one, or the file was written anew.
            known = _Known()
        if known is None:
            end = size if self._first and self._from_end else 0
            known = _Known(end, end)
        self._followed[identity] = _Followed(path, descriptor, identity, known)

    def _load(self) -> dict[_Identity, _Known] | None:
        try:
            data = json.loads(self._file.read_bytes())
            if data["schema_version"] > SCHEMA_VERSION:
                raise NewerFormat(f"{self._file} was written by a newer Watchkeeper; upgrade this one")
            return {
                _Identity(row["device"], row["inode"]): _Known(row["place"], row["upto"], row["head"])
                for row in data["files"]
            }
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            _log.error("%s cannot be read (%r); files are followed from their end", self._file, error)
            return None

    def _save(self) -> None:
        for identity, each in self._followed.items():
            # Those that are followed stand last, for the others go first.
            self._known.pop(identity, None)
            self._known[identity] = _Known(each.place, each.upto, each.head())
        for oldest in list(self._known)[: -2 * FILES_MAX]:
            del self._known[oldest]
        rows = [{**identity._asdict(), **known._asdict()} for identity, known in self._known.items()]
        write_durably(self._file, json.dumps({"schema_version": SCHEMA_VERSION, "files": rows}).encode())


def _last_start(data: bytes, end: int) -> int:
    """Give where the last line begins that is not indented; the end when that is the first line."""
    at = end
    while (at := data.rfind(b"\n", 0, at - 1) + 1) > 0:
        if data[at : at + 1] not in {b" ", b"\t", b"\n", b"\r"}:
            return at
    return end


def _head(descriptor: int, size: int) -> str:
    return os.pread(descriptor, size, 0).hex()
