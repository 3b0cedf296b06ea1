"""The kernel's log of this boot: from /dev/kmsg, the journal, or the files that syslog and dmesg write.

Enters: a Machine. Leaves: KernelLines with their times, and which source served; the first that can be read does. A
follower gives what is new since the last call. Understands no message.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from datetime import UTC, datetime
from typing import NamedTuple

from watchkeeper.host.machine import Machine

KMSG = "/dev/kmsg"
JOURNAL = "journalctl -k"
FILES = ("/var/log/kern.log", "/var/log/messages", "/var/log/syslog", "/var/log/dmesg")
_RECORD_BYTES_MAX = 8192
_FILE_BYTES_MAX = 8 << 20
_SECOND_NS = 1_000_000_000
_SET_BACK_NS = 600 * _SECOND_NS
"""Longer than between two looks."""
_KMSG = re.compile(r"(\d+),(\d+),(\d+),[^;]*;(.*)", re.S)
_DMESG = re.compile(r"(?:<\d+>)?\[\s*(\d+)\.(\d{6})\]\s?(.*)")
_ISO = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))\s+\S+\s+kernel:\s+(.*)")
_SYSLOG = re.compile(r"([A-Z][a-z]{2})\s+(\d{1,2}) (\d\d):(\d\d):(\d\d) \S+ kernel:\s+(.*)")
_STAMP = re.compile(r"\[\s*(\d+)\.(\d{6})\]\s+")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class KernelLine(NamedTuple):
    """One line: when (0: not told) and its text, without the stamps around it.

    since_boot_us: when by the kernel's own clock, which nobody sets, -1 where that is not told. The time of day moves
    with the clock that it is reckoned by; this does not, and all sources tell the same.
    """

    time_unix_ns: int
    text: str
    since_boot_us: int = -1

    @property
    def key(self) -> tuple[int, str]:
        """Give what tells this line from the others of its boot, however the clock was set meanwhile."""
        return (self.time_unix_ns if self.since_boot_us < 0 else -1 - self.since_boot_us, self.text)


class KernelLog(NamedTuple):
    """What could be read: the lines, oldest first, and from where; `trouble` says why nothing could, "" else."""

    lines: tuple[KernelLine, ...]
    source: str
    trouble: str = ""


def read_kernel_log(machine: Machine, *, since_unix_ns: int = 0) -> KernelLog:
    """Read the log of this boot from the first source that can be read; of the journal only from `since_unix_ns` on."""
    troubles = []
    trouble = machine.readable(KMSG)
    if not trouble:
        return KernelLog(tuple(_read_kmsg(machine)), KMSG)
    troubles.append(f"{KMSG}: {trouble}")
    since = ("--since", f"@{since_unix_ns // _SECOND_NS}") if since_unix_ns else ()
    answer = machine.run(("journalctl", "-k", "-b", "-o", "json", "--no-pager", *since), 20.0)
    if answer is not None and answer.ok and (answer.stdout.strip() or since):
        return KernelLog(tuple(_journal_lines(answer.stdout)), JOURNAL)
    troubles.append("journalctl: " + ("not there" if answer is None else "tells nothing of the kernel"))
    for name in FILES:
        trouble = machine.readable(name)
        if not trouble:
            return KernelLog(tuple(_file_lines(machine, name)), name)
        troubles.append(f"{name}: {trouble}")
    return KernelLog((), "", "; ".join(troubles))


def _read_kmsg(machine: Machine) -> list[KernelLine]:
    """Read all records that the ring buffer holds; a recorded /dev/kmsg is a plain file of them."""
    path, boot_unix_ns = machine.path(KMSG), machine.boot_unix_ns
    if path.is_file():
        texts = (machine.text(KMSG) or "").splitlines()
        return [line for text in texts if (line := parse_kmsg(text, boot_unix_ns)) is not None]
    lines = []
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                record = os.read(descriptor, _RECORD_BYTES_MAX)
            except BlockingIOError:
                break
            except BrokenPipeError:
                # The oldest records were overwritten while we read: the next read goes on behind the gap.
                continue
            line = parse_kmsg(record.decode("utf-8", "replace"), boot_unix_ns)
            if line is not None:
                lines.append(line)
    finally:
        os.close(descriptor)
    return lines


def parse_kmsg(record: str, boot_unix_ns: int) -> KernelLine | None:
    r"""Read a record of /dev/kmsg, `priority,sequence,microseconds,flags;text`; None for a line that continues one.

    >>> parse_kmsg("4,812,1500000,-;NVRM: Xid (PCI:0000:01:00): 79, lost", 10**18)
    KernelLine(time_unix_ns=1000000001500000000, text='NVRM: Xid (PCI:0000:01:00): 79, lost', since_boot_us=1500000)
    """
    match = _KMSG.match(record)
    if match is None:
        return None
    text = match[4].split("\n")[0].replace("\\x0a", "\n")
    since_boot_us = int(match[3])
    return KernelLine(boot_unix_ns + since_boot_us * 1000 if boot_unix_ns else 0, text, since_boot_us)


def _journal_lines(text: str) -> list[KernelLine]:
    lines = []
    for row in text.splitlines():
        with contextlib.suppress(ValueError):
            fields = json.loads(row)
            message, moment = fields.get("MESSAGE"), fields.get("__REALTIME_TIMESTAMP")
            since_boot = str(fields.get("_SOURCE_MONOTONIC_TIMESTAMP", ""))
            if isinstance(message, str):
                since_boot_us = int(since_boot) if since_boot.isascii() and since_boot.isdigit() else -1
                lines.append(KernelLine(int(moment) * 1000 if moment else 0, message, since_boot_us))
    return lines


def _file_lines(machine: Machine, name: str) -> list[KernelLine]:
    try:
        with machine.path(name).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _FILE_BYTES_MAX))
            data = file.read(_FILE_BYTES_MAX)
    except OSError:
        return []
    boot, now = machine.boot_unix_ns, machine.now_unix_ns()
    lines = [line for text in data.decode("utf-8", "replace").splitlines() if (line := parse_text(text, boot, now))]
    # Files hold older boots too; what is before this one is the past's.
    return [line for line in lines if not line.time_unix_ns or line.time_unix_ns >= boot - _SECOND_NS]


def parse_text(text: str, boot_unix_ns: int, now_unix_ns: int) -> KernelLine | None:
    """Read a line of dmesg or of syslog, old style or with an ISO time; None for one that is not the kernel's."""
    match = _DMESG.match(text)
    if match:
        since_boot_us = _since_boot_us(match)
        return KernelLine(boot_unix_ns + since_boot_us * 1000 if boot_unix_ns else 0, match[3], since_boot_us)
    match = _ISO.match(text)
    if match:
        moment = datetime.fromisoformat(match[1])
        return _stamped(int(moment.timestamp() * 1_000_000) * 1000, match[2])
    match = _SYSLOG.match(text)
    if match and match[1] in _MONTHS:
        return _stamped(_without_year(match, now_unix_ns), match[6])
    return None


def _stamped(time_unix_ns: int, text: str) -> KernelLine:
    """Take off the kernel's own stamp where syslog left it before the text."""
    stamp = _STAMP.match(text)
    return (
        KernelLine(time_unix_ns, text[stamp.end() :], _since_boot_us(stamp))
        if stamp
        else KernelLine(time_unix_ns, text)
    )


def _since_boot_us(stamp: re.Match[str]) -> int:
    return int(stamp[1]) * 1_000_000 + int(stamp[2])


def _without_year(match: re.Match[str], now_unix_ns: int) -> int:
    """Find the moment of a stamp without a year, in the machine's zone: the last such day that is not to come."""
    now = datetime.fromtimestamp(now_unix_ns / _SECOND_NS, tz=UTC).astimezone()
    month, day = _MONTHS.index(match[1]) + 1, int(match[2])
    clock = (int(match[3]), int(match[4]), int(match[5]))
    for year in (now.year, now.year - 1, now.year - 2, now.year - 3, now.year - 4):
        with contextlib.suppress(ValueError):
            moment = datetime(year, month, day, *clock, tzinfo=now.tzinfo)
            if moment.timestamp() <= now.timestamp() + 86_400:
                return int(moment.timestamp()) * _SECOND_NS
    return 0


class KernelFollower:
    """Gives the lines that are new since the last call; the first call gives all of this boot."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._seen: set[tuple[int, str]] = set()
        self._since_unix_ns = 0

    def take(self) -> KernelLog:
        """Read what is new; of a source that cannot be followed by position, all is read and known lines left out."""
        now_unix_ns = self._machine.now_unix_ns()
        if self._since_unix_ns > now_unix_ns:
            # The clock was set back, and what came since then bears an earlier time than what came before.
            self._since_unix_ns = now_unix_ns - _SET_BACK_NS
        log = read_kernel_log(self._machine, since_unix_ns=self._since_unix_ns)
        fresh = tuple(line for line in log.lines if line.key not in self._seen)
        if log.source == JOURNAL and log.lines:
            self._since_unix_ns = log.lines[-1].time_unix_ns
        self._seen = {line.key for line in log.lines} if log.lines else self._seen
        return log._replace(lines=fresh)
