"""The machine that is looked at: its files below a root, its commands, its clock.

Enters: a root folder, `/` for this machine or a recorded tree. Leaves: texts, listings, space and answers of commands,
None for what is not there. Of a recorded tree, commands are answered from `commands.json` and space from
`filesystems.json` in it, and nothing is run. Judges nothing.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

_TEXT_BYTES_MAX = 4 << 20
_READ_BYTES = 1 << 16  # the kernel refuses to serve /proc/sys into buffers of megabytes
DYING_S = 1.0
_left_behind: list[subprocess.Popen[bytes]] = []
"""Processes that were killed and have not died yet, to be waited for once they have."""


class Answer(NamedTuple):
    """What a command answered; `status` is its exit status, None when it was ended for taking too long.

    Then `stdout` is what it had written until then, which of one that reports for ever is what is wanted.
    """

    status: int | None
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether it ended with 0."""
        return self.status == 0


class Space(NamedTuple):
    """Room of a file system: bytes and inodes, all of them and those free; no inodes where it counts none."""

    bytes_total: int
    bytes_free: int
    inodes_total: int
    inodes_free: int


Runner = Callable[[Sequence[str], float], "Answer | None"]


def run_command(command: Sequence[str], timeout_s: float) -> Answer | None:
    """Run a command without a shell; None when there is no such program. Never raises for what the command does."""
    program = shutil.which(command[0])
    if program is None:
        return None
    try:
        return run_bounded([program, *command[1:]], timeout_s, {**os.environ, "LC_ALL": "C"})
    except OSError as error:
        return Answer(127, "", error.strerror or str(error))


def run_bounded(
    command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None, *, dying_s: float = DYING_S
) -> Answer:
    """Run a program for at most so long, and `dying_s` more once it is killed; raises OSError when it cannot be begun.

    One that a wedged driver does not let die is left behind: waiting for it would last as long as the driver does.
    """
    _left_behind[:] = [process for process in _left_behind if process.poll() is None]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    status: int | None = None
    try:
        written, errors = process.communicate(timeout=timeout_s)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            written, errors = process.communicate(timeout=dying_s)
        except subprocess.TimeoutExpired as error:
            written, errors = error.stdout or b"", b""
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
            _left_behind.append(process)
    except BaseException:
        process.kill()
        raise
    return Answer(status, written.decode("utf-8", "replace"), errors.decode("utf-8", "replace"))


@dataclass(frozen=True)
class Machine:
    """A machine below `root`; `run` answers commands, `now_unix_ns` tells the time."""

    root: Path = Path("/")
    run: Runner = field(default=run_command)
    now_unix_ns: Callable[[], int] = time.time_ns

    @classmethod
    def at(cls, root: Path, *, now_unix_ns: Callable[[], int] = time.time_ns) -> Machine:
        """Give this machine for `/`, else the one that is recorded below `root`."""
        if root.resolve() == Path("/"):
            return cls(now_unix_ns=now_unix_ns)
        return cls(root, _recorded(root), now_unix_ns)

    @property
    def recorded(self) -> bool:
        """Tell whether this is a recorded tree and not the machine that we run on."""
        return self.root != Path("/")

    def path(self, name: str) -> Path:
        """Give the place of an absolute path below the root."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """Read a file, at most 4 MiB of it, without the white space around; None when it cannot be read."""
        try:
            with self.path(name).open("rb", buffering=0) as file:
                parts: list[bytes] = []
                while len(parts) * _READ_BYTES < _TEXT_BYTES_MAX and (part := file.read(_READ_BYTES)):
                    parts.append(part)
        except OSError:
            return None
        return b"".join(parts).decode("utf-8", "replace").strip()

    def number(self, name: str) -> int | None:
        """Read a file that holds one whole number, decimal or 0x...; None when it does not."""
        text = self.text(name)
        try:
            return int(text, 0) if text else None
        except ValueError:
            return None

    def names(self, name: str) -> list[str]:
        """List a folder, sorted; empty when it is not there."""
        try:
            return sorted(os.listdir(self.path(name)))
        except OSError:
            return []

    def exists(self, name: str) -> bool:
        """Tell whether a path is there (a link counts by itself, for its target may lie outside the root)."""
        return os.path.lexists(self.path(name))

    def link(self, name: str) -> str | None:
        """Give the last part of what a link points to, as a PCI device's `driver` does; None when it is no link."""
        try:
            return Path(os.readlink(self.path(name))).name
        except OSError:
            return None

    def readable(self, name: str) -> str:
        """Say why a file cannot be opened for reading: "" when it can, `missing`, `permission` or the error's text."""
        try:
            os.close(os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK))
        except FileNotFoundError:
            return "missing"
        except PermissionError:
            return "permission"
        except OSError as error:
            return error.strerror or errno.errorcode.get(error.errno or 0, "unreadable")
        return ""

    def space(self, name: str) -> Space | None:
        """Give the room of the file system that holds a path; None when it cannot be told."""
        if self.recorded:
            row = self._filesystems.get(name)
            return Space(**row) if row else None
        try:
            found = os.statvfs(name)
        except OSError:
            return None
        size = found.f_frsize
        return Space(size * found.f_blocks, size * found.f_bavail, found.f_files, found.f_favail)

    @cached_property
    def _filesystems(self) -> dict[str, dict[str, int]]:
        return _json(self.root / "filesystems.json")

    @cached_property
    def host(self) -> str:
        """Give the host's name."""
        if not self.recorded:
            return os.uname().nodename
        return self.text("/proc/sys/kernel/hostname") or self.text("/etc/hostname") or self.root.name

    @cached_property
    def boot_id(self) -> str:
        """Give the id of the running boot, "" when it is not told."""
        return self.text("/proc/sys/kernel/random/boot_id") or ""

    @property
    def boot_unix_ns(self) -> int:
        """Give when the machine started, in Unix nanoseconds by the clock as it is set now; 0 when it is not told."""
        for line in (self.text("/proc/stat") or "").splitlines():
            name, _, value = line.partition(" ")
            if name == "btime" and value.strip().isdecimal():
                return int(value) * 1_000_000_000
        return 0


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _recorded(root: Path) -> Runner:
    """Answer commands from `commands.json`: the command line to {status, stdout, stderr}; None for any other."""
    answers = _json(root / "commands.json")

    def run(command: Sequence[str], timeout_s: float) -> Answer | None:
        row = answers.get(" ".join(command))
        return None if row is None else Answer(row.get("status", 0), row.get("stdout", ""), row.get("stderr", ""))

    return run
