"""Follows the journal of systemd, from where an earlier process stopped.

Enters: lines of `journalctl --output=json --follow`. Leaves: Records for the spool, with the unit as service. A
cursor is written to disk once what it covers is durable; where a batch ends is there before, so that after a kill the
spool knows it again. Does not read the journal's files itself.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.record import Record
from watchkeeper.errors import NewerFormat, WatchkeeperError
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 1
BATCH_ENTRIES = 500
# Without --all a field beyond 4 KiB is told as null.
COMMAND = ("journalctl", "--output=json", "--no-pager", "--all")
_SEVERITIES = {"0": (21, "EMERG"), "1": (19, "ALERT"), "2": (18, "CRIT"), "3": (17, "ERR"), "4": (13, "WARNING")}
_SEVERITIES |= {"5": (10, "NOTICE"), "6": (9, "INFO"), "7": (5, "DEBUG")}
_CURSOR_TIME = re.compile(r"(?:^|;)t=([0-9a-f]{1,16})")

_log = logging.getLogger(__name__)


def journal_record(line: str | bytes) -> tuple[Record, str] | None:
    """Read one entry as journalctl writes it in JSON, with its cursor; None for what is no entry.

    >>> line = '{"MESSAGE": "hi", "PRIORITY": "3", "_SYSTEMD_UNIT": "a.service", "__CURSOR": "c"}'
    >>> record, cursor = journal_record(line)
    >>> record.body, record.severity_text, record.resource, cursor
    ('hi', 'ERR', (('service.name', 'a'),), 'c')
    """
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    message, cursor = fields.get("MESSAGE"), fields.get("__CURSOR")
    if isinstance(message, list):
        message = _joined(message)
    if not isinstance(message, str) or not isinstance(cursor, str):
        return None
    unit = str(fields.get("_SYSTEMD_UNIT") or fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or "journal")
    number, text = _SEVERITIES.get(str(fields.get("PRIORITY", "6")), (9, "INFO"))
    more = {"process.pid": fields.get("_PID"), "process.executable.name": fields.get("_COMM")}
    attributes = {name: str(value) for name, value in more.items() if value}
    moment = str(fields.get("_SOURCE_REALTIME_TIMESTAMP") or fields.get("__REALTIME_TIMESTAMP"))
    service = unit.removesuffix(".service")
    time_unix_ns = int(moment) * 1000 if moment.isascii() and moment.isdigit() else 0
    return Record(message, time_unix_ns, number, text, attributes, resource=(("service.name", service),)), cursor


def _joined(message: list[Any]) -> str:
    """Give the text of a field that is no plain one: bytes told as numbers, or several values of one name."""
    if all(isinstance(each, int) and 0 <= each < 256 for each in message):
        return bytes(message).decode("utf-8", "replace")
    return "\n".join(_joined(each) if isinstance(each, list) else str(each) for each in message)


class _Known(NamedTuple):
    """What is on disk: all up to `cursor` is durable; a batch that was begun ends at `upto`, "" when none was."""

    cursor: str = ""
    upto: str = ""


class Journal:
    """Follows the journal; `run` goes on until `stop`, and may be called again after it raised."""

    def __init__(self, place_file: Path, keep: Callable[[bytes], bool], *, command: Sequence[str] = COMMAND) -> None:
        self._file = place_file
        self._keep = keep
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self, pause: Callable[[float], object]) -> None:
        """Read on and on; raises WatchkeeperError when journalctl is not there or ends. `pause` waits some seconds."""
        known = self._load()
        if known is None:
            # From now on: where the journal ends is on disk before anything is waited for.
            known = _Known(self._newest())
            self._save(known)
        since = (f"--after-cursor={known.cursor}",) if known.cursor else ()
        # Without --no-tail it would begin at the tenth entry from the end, whatever the cursor.
        with self._start("--follow", "--no-tail", *since) as process:
            self._process = process
            if self._stopping:
                process.terminate()
            for records, cursor in self._batches(process, known.upto):
                self._save(_Known(known.cursor, cursor))
                payload = encode_logs(records, observed_unix_ns=0)
                while not self._keep(payload):
                    # The journal keeps what the spool has no room for.
                    if self._stopping:
                        return
                    pause(1.0)
                known = _Known(cursor)
                self._save(known)
        if not self._stopping:
            raise WatchkeeperError(f"{self._command[0]} ended by itself ({process.returncode}); it is started again")

    def stop(self) -> None:
        """End it, from another thread."""
        self._stopping = True
        if self._process is not None:
            self._process.terminate()

    def _start(self, *more: str) -> subprocess.Popen[bytes]:
        try:
            # Ctrl-C in a terminal is for the agent alone, which ends its journalctl itself.
            return subprocess.Popen((*self._command, *more), stdout=subprocess.PIPE, process_group=0)
        except OSError as error:
            raise WatchkeeperError(f"the journal cannot be followed: {self._command[0]}: {error.strerror}") from error

    def _newest(self) -> str:
        """Give the cursor of the newest entry; "" of a journal without any."""
        with self._start("--lines=1") as process:
            assert process.stdout is not None
            read = [found for line in process.stdout if (found := journal_record(line)) is not None]
        return read[-1][1] if read else ""

    def _batches(self, process: subprocess.Popen[bytes], upto: str) -> Iterator[tuple[list[Record], str]]:
        """Give what can be read at once, so that a quiet journal is not waited for; first what ends at `upto`.

        A batch that was begun before a kill is so put together again, entry by entry the same: the spool knows it.
        """
        assert process.stdout is not None
        rest, found = b"", list[tuple[Record, str]]()
        while data := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            *lines, rest = (rest + data).split(b"\n")
            found += [read for line in lines if (read := journal_record(line)) is not None]
            if upto and found:
                end = next((place for place, (_, cursor) in enumerate(found, 1) if cursor == upto), 0)
                if not end and len(found) < BATCH_ENTRIES and _moment(found[-1][1]) <= _moment(upto):
                    continue
                upto = ""
                if end:
                    yield [record for record, _ in found[:end]], found[end - 1][1]
                    del found[:end]
            for start in range(0, len(found), BATCH_ENTRIES):
                piece = found[start : start + BATCH_ENTRIES]
                yield [record for record, _ in piece], piece[-1][1]
            found.clear()

    def _load(self) -> _Known | None:
        try:
            data = json.loads(self._file.read_bytes())
            if data["schema_version"] > SCHEMA_VERSION:
                raise NewerFormat(f"{self._file} was written by a newer Watchkeeper; upgrade this one")
            return _Known(str(data["cursor"]), str(data.get("upto", "")))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            _log.error("%s cannot be read (%r); the journal is followed from its end", self._file, error)
            return None

    def _save(self, known: _Known) -> None:
        content = {"schema_version": SCHEMA_VERSION, **known._asdict()}
        write_durably(self._file, json.dumps(content).encode())


def _moment(cursor: str) -> int:
    """Give the time in a cursor, in microseconds; 0 when it tells none.

    >>> _moment("s=02c3;i=4;b=8bbc;m=59f4;t=660cc087d4160;x=42be") // 10**15
    1
    """
    match = _CURSOR_TIME.search(cursor)
    return int(match[1], 16) if match else 0
