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
from pathlib import Path
from typing import NamedTuple

from watchkeeper.edge.formats import FORMATS
from watchkeeper.edge.lines import MAGIC_BYTES, LineReader, compression_of
from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.parser import LogParser, Shape, find_shape
from watchkeeper.edge.record import Record
from watchkeeper.edge.source import service_of_file
from watchkeeper.edge.timestamps import Clock, zone_of_text
from watchkeeper.errors import NewerFormat
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 1
READ_BYTES = 256 * 1024
HEAD_BYTES = 256
SAMPLE_LINES = 200
ENOUGH_LINES = 50
LOCAL = zone_of_text("local")
"""Times that tell no zone are those of the node that wrote them."""
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


class _Reading(NamedTuple):
    """On what the records of a piece depend besides its bytes.

    It is on disk before the piece is read, so that after a kill it is read alike. began_unix_ns: when it was begun,
    from which times without a year or date are reckoned. last_unix_ns: the time of the record before it. path: where
    the file was first seen. sampled: on how many lines envelope and format were found.
    """

    began_unix_ns: int = 0
    last_unix_ns: int = 0
    path: str = ""
    format: str = ""
    envelope: str = ""
    joins_indented: bool = True
    sampled: int = 0


class _Known(NamedTuple):
    """What is on disk of a file: see _Followed; `head` is how it begins, in hexadecimal."""

    place: int = 0
    upto: int = 0
    head: str = ""
    reading: _Reading = _Reading()


class _Followed:
    """One file that is being read: durable up to `place`; a piece that was begun ends at `upto`."""

    def __init__(self, path: str, descriptor: int, identity: _Identity, known: _Known) -> None:
        self.identity = identity
        self.place, self.upto = known.place, known.upto
        begun = known.upto > known.place and known.reading.path
        self.reading = known.reading._replace(path=known.reading.path if begun else path)
        self.gone_s: float | None = None
        self._descriptor = descriptor
        self._sample: list[str] = []
        self.compressed = False
        self._last_unix_ns = known.reading.last_unix_ns
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
        if self.place == 0 and size:
            self.compressed = compression_of(os.pread(self._descriptor, MAGIC_BYTES, 0)) != "plain"
        if self.compressed:
            # A rotated file that was put away: its lines were read before.
            self.place = self.upto = size
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

    def begin(self, upto: int, now_unix_ns: int) -> None:
        """Set the end of the next piece and how it is read; one that was begun stays as it is."""
        if upto == self.upto and self.reading.format in FORMATS:
            return
        self.upto = upto
        self.reading = self.reading._replace(began_unix_ns=now_unix_ns)
        if self.reading.sampled < ENOUGH_LINES:
            self._find_shape(self._lines())

    def _find_shape(self, lines: list[str]) -> None:
        """Find envelope and format, anew each time that twice as many lines are known: the first may be a banner."""
        self._sample += lines[: SAMPLE_LINES - len(self._sample)]
        if self.reading.format in FORMATS and len(self._sample) < 2 * self.reading.sampled:
            return
        found = find_shape(self._sample, Clock(LOCAL, self.reading.began_unix_ns))
        self.reading = self.reading._replace(
            format=found.format.name,
            envelope=found.envelope or "",
            joins_indented=found.joins_indented,
            sampled=len(self._sample),
        )
        if self.reading.sampled >= ENOUGH_LINES:
            self._sample.clear()

    def _lines(self) -> list[str]:
        reader = LineReader()
        return reader.feed(os.pread(self._descriptor, self.upto - self.place, self.place)) + reader.finish()

    def read(self) -> list[Record]:
        """Read the records of the piece that was begun."""
        how = self.reading
        name = os.path.basename(how.path)
        parser = LogParser(
            Shape(how.envelope or None, FORMATS.get(how.format), 0, 0, how.joins_indented),
            Clock(LOCAL, how.began_unix_ns),
            resource=(("service.name", service_of_file(name)), ("log.file.name", name), ("log.file.path", how.path)),
            last_time_unix_ns=how.last_unix_ns,
        )
        records = [*parser.feed(self._lines()), *parser.flush()]
        self._last_unix_ns = parser.last_time_unix_ns
        return records

    def settled(self) -> None:
        """Note that all of the piece is durable."""
        self.place = self.upto
        self.reading = self.reading._replace(last_unix_ns=self._last_unix_ns)
        self._since_s = None

    def head(self) -> str:
        """Give how the file begins, as far as it was read."""
        return _head(self._descriptor, min(HEAD_BYTES, max(self.place, self.upto)))


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
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._patterns = patterns
        self._file = places_file
        self._keep = keep
        self._monotonic = monotonic
        self._now_unix_ns = now_unix_ns
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
            if followed.compressed:
                self._tell(f"{followed.reading.path} is compressed and not read; `watchkeeper replay` takes it")
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
        followed.begin(upto, self._now_unix_ns())
        self._save()
        records = followed.read()
        if records and not self._keep(encode_logs(records, observed_unix_ns=0)):
            return False
        followed.settled()
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
                _Identity(row["device"], row["inode"]): _Known(
                    row["place"],
                    row["upto"],
                    row["head"],
                    _Reading(**{name: row["reading"][name] for name in _Reading._fields if name in row["reading"]})
                    if "reading" in row
                    else _Reading(),
                )
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
            self._known[identity] = _Known(each.place, each.upto, each.head(), each.reading)
        for oldest in list(self._known)[: -2 * FILES_MAX]:
            del self._known[oldest]
        rows = [
            {**identity._asdict(), **known._asdict(), "reading": known.reading._asdict()}
            for identity, known in self._known.items()
        ]
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
