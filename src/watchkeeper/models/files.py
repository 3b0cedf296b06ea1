"""The files of a model version: made durable, summed up, and told from what a killed process left behind.

Enters: a folder. Leaves: its checksum, or its files on the disk for good. Whoever fills a folder holds it locked
(flock, which the kernel drops when the process dies); what nobody holds and no row names is left over and may go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from watchkeeper.store.layout import sync_file, sync_folder

PARTIAL = ".partial-"
_READ_BYTES = 1 << 20

Signature = tuple[tuple[str, int, int, int], ...]


def place_of(folder: Path, name: str, number: int) -> Path:
    """Give the folder of a version: the name made one word, then the number."""
    return folder / quote(name, safe="") / f"{number:06d}"


def files_of(folder: Path) -> list[Path]:
    """Give the files below a folder, sorted by their path."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def seal(folder: Path) -> str:
    """Make every file and name below the folder durable and give its checksum. Cost: all bytes read once."""
    for path in files_of(folder):
        sync_file(path)
    for path in [*(each for each in folder.rglob("*") if each.is_dir()), folder]:
        sync_folder(path)
    return checksum(folder)


def checksum(folder: Path) -> str:
    """Give the SHA-256 over the relative paths, sizes and bytes of all files; raises OSError."""
    total = hashlib.sha256()
    for path in files_of(folder):
        total.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while part := file.read(_READ_BYTES):
                total.update(part)
    return total.hexdigest()


def signature(folder: Path) -> Signature:
    """Give what the file system tells of the files (path, size, times): where it is the same, so are the bytes."""
    told = []
    for path in files_of(folder):
        stat = path.stat()
        told.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(told)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder locked, also once it is renamed."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Tell whether a process holds the folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove_left_over(folder: Path, known: Iterable[Path]) -> int:
    """Remove partial folders and versions that no row names and nobody holds; gives how many."""
    if not folder.exists():
        return 0
    wanted = set(known)
    candidates = list(folder.glob(f"{PARTIAL}*"))
    candidates += [path for path in folder.glob("*/*") if not path.parent.name.startswith(PARTIAL)]
    removed = 0
    for path in candidates:
        if path not in wanted and path.is_dir() and not is_held(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(PARTIAL) and not any(path.iterdir()):
            path.rmdir()
    return removed
