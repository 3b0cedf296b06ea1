"""Mounts of a test's own, which end with the test's process, however that ends: nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class OwnMounts:
    """A mount namespace; `within` is what to put before a command that is to run in it."""

    def __init__(self, pid: int) -> None:
        self._pid = str(pid)
        self.within = ("nsenter", "--target", self._pid, "--mount", "--wd=/")

    def run(self, *command: str, **options: bytes) -> bytes:
        """Run a command in it; gives what it printed."""
        done = subprocess.run([*self.within, *command], check=True, capture_output=True, timeout=60, **options)  # type: ignore[call-overload]
        printed: bytes = done.stdout
        return printed

    def path(self, place: str) -> str:
        """Give the path by which a process outside reaches a place in it."""
        return f"/proc/{self._pid}/root{place}"


@contextmanager
def own_mounts(script: str) -> Iterator[OwnMounts]:
    """Make a namespace and its mounts by a shell script; skips the test where that cannot be done.

    The script may leave one daemon in the background. The shell lives as long as our end of its pipe is open, then ends
    it: the namespace goes with the test's process, however that ends.
    """
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("nsenter")):
        pytest.skip("mounts of one's own need root, unshare and nsenter")
    # The daemon is known by $!: some shells give no jobs within $(...).
    held = f'{script}\necho ready\ncat\nif [ -n "$!" ]; then kill "$!"; wait "$!" || true; fi'
    with _held("unshare", "--mount", "--propagation", "private", "sh", "-ec", held) as pid:
        yield OwnMounts(pid)


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of that size at a folder, where the test's own process sees it too."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = f"mount -t tmpfs -o size={size_bytes} tmpfs '{place}'\necho ready\ncat\numount --lazy '{place}'"
    with _held("sh", "-ec", mounted):
        yield


@contextmanager
def _held(*command: str) -> Iterator[int]:
    """Run a command that says `ready` and goes on until our end of its pipe is closed; gives its process id."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as holder:
        assert holder.stdout is not None
        ready = holder.stdout.readline() == b"ready\n"
        try:
            if ready:
                yield holder.pid
        finally:
            told = holder.communicate(timeout=30)[1].decode().strip()
    if not ready:
        pytest.skip(f"this machine makes no such mounts: {told}")
