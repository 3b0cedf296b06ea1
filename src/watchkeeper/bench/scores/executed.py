"""Whether two shell commands do the same, by running both: equal output and equal files afterwards.

Enters: a request, the commands wanted and the one answered. Leaves: same, different, or that it cannot be told. Each
runs in a sandbox of its own on an equal small file tree, made from the names in the request alone, with a safe subset
of utilities. What a wanted command does must show (output or files) and be the same twice. Without a sandbox nothing is
run, and nothing is told.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from watchkeeper.remedy.sandbox import run
from watchkeeper.remedy.shell import Unparsable, parse

SAFE = frozenset((
    "awk", "basename", "cat", "chmod", "comm", "cp", "cut", "diff", "dirname", "du", "echo", "egrep", "expand",
    "expr", "fgrep", "file", "find", "fold", "gawk", "grep", "gunzip", "gzip", "head", "join", "ln", "ls", "md5sum",
    "mkdir", "mv", "nl", "od", "paste", "printf", "pwd", "readlink", "realpath", "rename", "rev", "rm", "rmdir",
    "sed", "seq", "sha1sum", "sha256sum", "sort", "split", "stat", "sum", "tac", "tail", "tar", "tee", "test",
    "touch", "tr", "tree", "uniq", "wc", "xargs", "zcat", "[", "cd", "true",
))  # fmt: skip
_WALKS = frozenset(("find", "du", "ls", "grep", "egrep", "fgrep", "tree"))
_SORTS = frozenset(("sort", "tac", "head", "tail", "nl"))
_SYSTEM_NAMES = frozenset(("usr", "bin", "sbin", "lib", "lib64", "etc", "proc", "dev", "tmp", "sys", "work", "run"))
_PATH = re.compile(
    r"(?<![\w/])(?:~|\.{1,2})?/?[\w.+-]+(?:/[\w.+-]+)+/?|(?<![\w/])/[\w.+-]+|\b[\w-]+\.[A-Za-z]\w{0,4}\b"
)
_QUOTED = re.compile(r"[\"'`]([\w.+ -]{1,40})[\"'`]")
_GLOB = re.compile(r"\*?\.([A-Za-z]\w{0,4})\b")
NAMES_MAX = 12
DAY_S = 86_400
NOW_S = int(time.time())
_LINES = ("alpha beta gamma", "foo bar 12", "error: line two", "alpha beta gamma", "Zeta,1,2", "", "foo TODO x")


class Seen(NamedTuple):
    """What a command did: status, output, and the files with kind, mode and content."""

    status: int
    stdout: bytes
    files: tuple[tuple[str, str], ...]


def runnable(command: str) -> bool:
    """Tell whether every utility of a command is of the safe subset."""
    try:
        return all(name in SAFE for name in parse(command).utilities)
    except Unparsable:
        return False


def equivalent(request: str, wanted: str, answered: str) -> bool | None:
    """Tell whether the answer does what the wanted command does; None when the wanted one shows nothing to compare.

    Raises SandboxUnavailable. Cost: about 50 ms a command.
    """
    expected = reference(request, wanted)
    if expected is None:
        return None
    if answered == wanted:
        return True
    if not runnable(answered):
        return False
    got = seen(request, answered)
    if got is None or got.files != expected.files:
        return False
    return _output(got.stdout, wanted) == _output(expected.stdout, wanted)


@lru_cache(maxsize=10_000)
def reference(request: str, wanted: str) -> Seen | None:
    """Give what a wanted command does, None where that cannot be compared."""
    if not runnable(wanted):
        return None
    first, second = seen(request, wanted), seen(request, wanted)
    if first is None or second is None or first.status != 0 or first != second:
        return None
    if first.stdout.strip():
        return first
    untouched = seen(request, "true")
    return first if untouched is not None and first.files != untouched.files else None


def seen(request: str, command: str) -> Seen | None:
    """Run a command on the request's tree; None when time ran out."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeeper-executed-"))
    try:
        tops = _grow(folder, request)
        mounts = {f"/{name}": folder / "root" / name for name in tops}
        done = run(["/bin/bash", "-c", command], folder / "work", mounts=mounts)
        if done.timed_out:
            return None
        return Seen(done.status, done.stdout, _files(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _output(stdout: bytes, wanted: str) -> tuple[bytes, ...]:
    """Give lines; sorted where the wanted command walks folders and does not put its lines in order itself."""
    lines = stdout.split(b"\n")
    utilities = frozenset(parse(wanted).utilities)
    return tuple(sorted(lines)) if utilities & _WALKS and not utilities & _SORTS else tuple(lines)


def names_of(request: str) -> list[str]:
    """Give the paths, file names and extensions that a request names, as paths of files."""
    found = [name.rstrip("/.") for name in _PATH.findall(request)]
    found += [name for name in _QUOTED.findall(request) if "." in name]
    found += [f"sample{at}.{ending}" for ending in _GLOB.findall(request) for at in (1, 2)]
    return list(dict.fromkeys(name for name in found if name and ".." not in name))[:NAMES_MAX]


def _grow(folder: Path, request: str) -> list[str]:
    """Make the tree; gives the names of top folders that are to be seen at the root."""
    work, root = folder / "work", folder / "root"
    files = ["a.txt", "b.txt", "notes.md", "src/main.c", "src/util.h", "docs/old/readme.txt", "logs/app.log", "file1"]
    files += ["file2", "dir1/x.py", "dir1/empty.txt", ".hidden"]
    tops: dict[str, None] = {}
    for name in names_of(request):
        if name.startswith("/"):
            top = name.split("/")[1]
            if top and top not in _SYSTEM_NAMES:
                tops[top] = None
                files.append(f"@{name}")
        else:
            files.append(name.removeprefix("~/").removeprefix("./"))
    for at, name in enumerate(dict.fromkeys(files)):
        path = root / name[2:] if name.startswith("@/") else work / name
        _put(path, at, is_folder="." not in path.name and at >= 12)
    endings = list(dict.fromkeys(_GLOB.findall(request)))[:3]
    for top in tops:
        (root / top).mkdir(parents=True, exist_ok=True)
    for path in [each for each in folder.rglob("*") if each.is_dir()]:
        for ending in endings:
            _put(path / f"kept.{ending}", len(path.name), is_folder=False)
    for path in sorted(folder.rglob("*"), reverse=True):
        drawn = hashlib.sha256(str(path.relative_to(folder)).encode()).digest()[0]
        os.utime(path, (NOW_S - DAY_S // 4 - drawn % 40 * DAY_S // 2,) * 2)
    return list(tops)


def _put(path: Path, at: int, *, is_folder: bool) -> None:
    """Make one file, or a folder with two files; what is in the way of a folder is left as it is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        if is_folder:
            path.mkdir()
            for inner in ("one.txt", "two.log"):
                (path / inner).write_text("\n".join(_LINES) + "\n", encoding="utf-8")
            return
        turned = _LINES[at % len(_LINES) :] + _LINES[: at % len(_LINES)]
        text = "" if "empty" in path.name else "\n".join(turned * (1 + 40 * (at % 4 == 3))) + "\n"
        path.write_text(text, encoding="utf-8")
        path.chmod((0o644, 0o755, 0o600, 0o664)[at % 4])
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return


def _files(folder: Path) -> tuple[tuple[str, str], ...]:
    """Give every file and folder with kind, mode and content."""
    told = []
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(about.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        else:
            content = ""
        told.append((str(path.relative_to(folder)), f"{about.st_mode:o} {content}"))
    return tuple(told)
