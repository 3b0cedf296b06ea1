"""Runs a command where it can harm nothing: bubblewrap, no network, read-only root, a scratch folder, bounded.

Enters: argv and a scratch folder. Leaves: status, output and whether time ran out. Fails closed: without a bubblewrap
that works here, `probe` says why and `run` raises SandboxUnavailable; nothing is ever run outside. Users, processes,
network and host name are of the sandbox alone; of the machine's files only the system's programs can be read.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from watchkeeper.errors import WatchkeeperError

SECONDS_MAX = 10.0
CPU_SECONDS_MAX = 3
OUTPUT_BYTES_MAX = 256 * 1024
FILE_BYTES_MAX = 4 * 1024 * 1024
MEMORY_BYTES_MAX = 512 * 1024 * 1024
WORK = "/work"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/passwd", "/etc/group")
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": WORK, "LC_ALL": "C.UTF-8", "TZ": "UTC", "USER": "user"}


class SandboxUnavailable(WatchkeeperError):
    """Bubblewrap is not installed, or the kernel does not let it make a sandbox; nothing was run."""


class Ran(NamedTuple):
    """What a command did: exit status (-1 when time ran out), output cut at OUTPUT_BYTES_MAX."""

    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


@lru_cache(maxsize=1)
def probe() -> str:
    """Give why there is no sandbox here, "" when there is one; tried once, for real."""
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap (bwrap) is not installed; Debian: apt-get install bubblewrap"
    try:
        done = subprocess.run(
            [*_wrapped(program, None, {}), "/bin/sh", "-c", "exit 7"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here: {error}"
    if done.returncode != 7:
        return f"bubblewrap does not work here: {done.stderr.decode('utf-8', 'replace').strip()[:300]}"
    return ""


def run(argv: Sequence[str], scratch: Path, *, mounts: Mapping[str, Path] = {}, seconds: float = SECONDS_MAX) -> Ran:
    """Run argv in the sandbox with `scratch` as its working folder, the only place (with `mounts`) it can write to.

    mounts: folders to be seen, writable, at other absolute paths. Raises SandboxUnavailable. Cost: about 10 ms.
    """
    reason = probe()
    if reason:
        raise SandboxUnavailable(f"{reason}; nothing was run")
    program = shutil.which("bwrap") or ""
    process = subprocess.Popen(
        [*_wrapped(program, scratch, mounts), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_ENVIRONMENT,  # bubblewrap's own environment can be read within, through /proc
        preexec_fn=_bounded,  # noqa: PLW1509 - sets limits only, takes no lock
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, errors = process.communicate()
        return Ran(-1, out[:OUTPUT_BYTES_MAX], errors[:OUTPUT_BYTES_MAX], timed_out=True)
    return Ran(process.returncode, out[:OUTPUT_BYTES_MAX], errors[:OUTPUT_BYTES_MAX])


def _wrapped(program: str, scratch: Path | None, mounts: Mapping[str, Path]) -> list[str]:
    argv = [program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    argv += ["--hostname", "sandbox", "--tmpfs", "/"]
    for name, value in _ENVIRONMENT.items():
        argv += ["--setenv", name, value]
    for path in _SYSTEM:
        if Path(path).is_symlink():
            argv += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).exists():
            argv += ["--ro-bind", path, path]
    argv += ["--proc", "/proc", "--dev", "/dev", "--size", str(FILE_BYTES_MAX), "--tmpfs", "/tmp"]
    if scratch is not None:
        argv += ["--bind", str(scratch), WORK, "--chdir", WORK]
    for place, folder in mounts.items():
        argv += ["--bind", str(folder), place]
    return [*argv, "--remount-ro", "/"]


def _bounded() -> None:
    """Limit CPU seconds, file size and memory of what is run; bubblewrap passes the limits on."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
