"""Follows the journal of systemd, from where an earlier process stopped.

Enters: lines of `journalctl --output=json --follow`. Leaves: Records for the spool, with the unit as service. The
journal's cursor is written to disk once what it covers is durable. Does not read the journal's files itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from watchkeeper.edge.otlp import encode_logs
from watchkeeper.edge.record import Record
from watchkeeper.errors import WatchkeeperError
from watchkeeper.store.layout import write_durably

SCHEMA_VERSION = 1
BATCH_ENTRIES = 500
COMMAND = ("journalctl", "--output=json", "--follow", "--no-pager")
_SEVERITIES = {0: (21, "EMERG"), 1: (19, "ALERT"), 2: (18, "CRIT"), 3: (17, "ERR"), 4: (13, "WARNING")}
_SEVERITIES |= {5: (10, "NOTICE"), 6: (9, "INFO"), 7: (5, "DEBUG")}


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
        # Bytes that are not text are told as numbers.
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str) or not isinstance(cursor, str):
        return None
    unit = str(fields.get("_SYSTEMD_UNIT") or fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or "journal")
    number, text = _SEVERITIES.get(int(fields.get("PRIORITY", 6)), (9, "INFO"))
    more = {"process.pid": fields.get("_PID"), "process.executable.name": fields.get("_COMM")}
    attributes = {name: str(value) for name, value in more.items() if value}
    moment = fields.get("_SOURCE_REALTIME_TIMESTAMP") or fields.get("__REALTIME_TIMESTAMP") or 0
    service = unit.removesuffix(".service")
    return Record(message, int(moment) * 1000, number, text, attributes, resource=(("service.name", service),)), cursor


class Journal:
    """Follows the journal; `run` goes on until `stop`."""

    def __init__(self, place_file: Path, keep: Callable[[bytes], bool], *, command: Sequence[str] = COMMAND) -> None:
        self._file = place_file
        self._keep = keep
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self, pause: Callable[[float], object]) -> None:
        """Read on and on; raises WatchkeeperError when there is no journalctl. `pause` waits some seconds."""
        cursor = self._load()
        since = (f"--after-cursor={cursor}",) if cursor else ("--lines=0",)
        try:
            self._process = subprocess.Popen((*self._command, *since), stdout=subprocess.PIPE)
        except OSError as error:
            raise WatchkeeperError(f"the journal cannot be followed: {self._command[0]}: {error.strerror}") from error
        with self._process:
            for records, cursor in self._batches():
                payload = encode_logs(records, observed_unix_ns=0)
                while not self._keep(payload):
                    # The journal keeps what the spool has no room for.
                    if self._stopping:
                        return
                    pause(1.0)
                content = {"schema_version": SCHEMA_VERSION, "cursor": cursor}
                write_durably(self._file, json.dumps(content).encode())

    def stop(self) -> None:
        """End it, from another thread."""
        self._stopping = True
        if self._process is not None:
            self._process.terminate()

    def _batches(self) -> Iterator[tuple[list[Record], str]]:
        """Give what can be read at once, so that a quiet journal is not waited for."""
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        while data := self._process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            *lines, rest = (rest + data).split(b"\n")
            found = [read for line in lines if (read := journal_record(line)) is not None]
            for start in range(0, len(found), BATCH_ENTRIES):
                piece = found[start : start + BATCH_ENTRIES]
                yield [record for record, _ in piece], piece[-1][1]

    def _load(self) -> str:
        try:
            data = json.loads(self._file.read_bytes())
            return str(data["cursor"]) if data["schema_version"] <= SCHEMA_VERSION else ""
        except (FileNotFoundError, ValueError, KeyError):
            return ""
