"""Where everything of a store lies on disk, and who may open it.

    <home>/FORMAT            JSON: the on-disk format version; a newer one is refused, untouched
    <home>/LOCK              held (flock) by the one process that has the store open; its text is that process's id
    <home>/wal/              write-ahead log, `<first sequence>.wal`; what is not in a segment yet
    <home>/telemetry/        `<signal>/date=YYYY-MM-DD/hour=HH/<id>.parquet`, by hour of event time (UTC)
    <home>/catalog.sqlite    which segments count, which log files are sealed, which requests were seen lately
    <home>/metadata.sqlite   everything that is not telemetry
    <home>/state/            learned state; not the store's, but a backup takes it along
    <home>/models/           versions of models; not the store's either, and in the backup too
    <home>/quarantine/       what could not be read, each with a `.why` file beside it

Only `telemetry/` is ever readable by users' SQL. Does not read or write telemetry.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.errors import NewerFormat, StoreError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Layout:
    """The paths of one store; `home` is absolute, with symbolic links resolved."""

    home: Path

    @property
    def format(self) -> Path:
        """Give the file that tells the on-disk format."""
        return self.home / "FORMAT"

    @property
    def lock(self) -> Path:
        """Give the file that one process holds locked."""
        return self.home / "LOCK"

    @property
    def wal(self) -> Path:
        """Give the folder of the write-ahead log."""
        return self.home / "wal"

    @property
    def telemetry(self) -> Path:
        """Give the folder of segments."""
        return self.home / "telemetry"

    @property
    def catalog(self) -> Path:
        """Give the SQLite file of the catalog."""
        return self.home / "catalog.sqlite"

    @property
    def metadata(self) -> Path:
        """Give the SQLite file of metadata."""
        return self.home / "metadata.sqlite"

    @property
    def state(self) -> Path:
        """Give the folder of learned state, which others write."""
        return self.home / "state"

    @property
    def models(self) -> Path:
        """Give the folder of model versions, which others write."""
        return self.home / "models"

    @property
    def quarantine(self) -> Path:
        """Give the folder of what could not be read."""
        return self.home / "quarantine"

    def prepare(self) -> None:
        """Make the folders and FORMAT; raises NewerFormat, having touched nothing, or StoreError."""
        check_format(self.format)
        try:
            for folder in (self.home, self.wal, self.telemetry, self.quarantine):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.format.exists():
                write_durably(self.format, json.dumps({"format": FORMAT_VERSION}).encode())
        except OSError as error:
            raise StoreError(f"the store cannot be made in {self.home}: {error}; choose another `home`") from error


def check_format(file: Path) -> None:
    """Raise NewerFormat when that FORMAT file is of a newer Watchkeeper, StoreError when it is not one at all."""
    try:
        version = json.loads(file.read_bytes())["format"]
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f'{file} cannot be read ({error}); if the store is yours, write {{"format": {FORMAT_VERSION}}} into it'
        ) from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise NewerFormat(
            f"{file.parent} was written by a newer Watchkeeper (format {version}, this one knows {FORMAT_VERSION}); "
            "upgrade Watchkeeper, or choose another `home`"
        )


class FolderLock:
    """The right to open a store, held by one process at a time and dropped by the kernel when that process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, file: Path) -> FolderLock:
        """Lock the file; raises StoreError that names the process which holds it, or says why it cannot be."""
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{file} cannot be opened: {error.strerror}; choose another `home`") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{file.parent} is open in another process (pid {holder}); stop that one, or choose another `home`"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others open the store."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sync_folder(folder: Path) -> None:
    """Make the names in a folder (files made, renamed, deleted) survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(file: Path) -> None:
    """Make the content of a file survive a power failure."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(file: Path, content: bytes) -> None:
    """Write a small file so that after a crash it is there in whole or not at all."""
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_bytes(content)
    sync_file(temporary)
    temporary.rename(file)
    sync_folder(file.parent)


def make_folders(folder: Path, root: Path) -> None:
    """Make a folder under `root` (which exists), each new name durable."""
    if folder.exists():
        return
    make_folders(folder.parent, root)
    folder.mkdir(exist_ok=True, mode=0o700)
    sync_folder(folder.parent)
