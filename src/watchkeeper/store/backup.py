"""Backup and restore: a consistent, verified copy of a whole store, taken while it is in use.

Enters: an open store, a target (a new folder, or a file that ends in `.tar`). Leaves: FORMAT, the catalog and metadata
(SQLite's own copy), the log, learned state, the versions of models, the segments that count, and BACKUP.json with the
size and checksum of each file. Upkeep pauses only while the catalog and the log are copied; segments and versions never
change. `restore` verifies first.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from watchkeeper.errors import StoreError
from watchkeeper.signals.schema import Signal
from watchkeeper.store import wal
from watchkeeper.store.catalog import Catalog
from watchkeeper.store.layout import Layout, check_format, sync_file, sync_folder
from watchkeeper.store.metadata import Metadata
from watchkeeper.store.segments import checksum
from watchkeeper.store.view import View

MANIFEST = "BACKUP.json"


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds; `target` is the folder or tar file."""

    target: Path
    files: int
    bytes: int
    created_unix_ns: int


def backup(
    layout: Layout,
    catalog: Catalog,
    metadata: Metadata,
    view: View,
    target: Path,
    *,
    pause: AbstractContextManager[object],
) -> BackupReport:
    """Write a verified copy; raises StoreError when the target exists or cannot be written (no part of it stays)."""
    target = target.expanduser().absolute()
    if target.exists():
        raise StoreError(f"{target} exists; a backup never overwrites, choose another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as staging:
            folder = Path(staging) / "backup"
            folder.mkdir(mode=0o700)
            report = _copy(layout, catalog, metadata, view, folder, pause=pause)
            verify(folder)
            if target.suffix == ".tar":
                _pack(folder, target)
            else:
                folder.rename(target)
            sync_folder(target.parent)
    except OSError as error:
        raise StoreError(f"the backup to {target} failed: {error}") from error
    return BackupReport(target, **report)


def _copy(
    layout: Layout,
    catalog: Catalog,
    metadata: Metadata,
    view: View,
    folder: Path,
    *,
    pause: AbstractContextManager[object],
) -> dict[str, int]:
    with pause:
        snapshot = view.snapshot(Signal)
        shutil.copyfile(layout.format, folder / layout.format.name)
        catalog.copy_to(folder / layout.catalog.name)
        with metadata.transaction():  # so that no version of a model gets its row between the two
            metadata.copy_to(folder / layout.metadata.name)
            _link_tree(layout.models, folder / layout.models.name)
        (folder / layout.wal.name).mkdir()
        for file in wal.list_files(layout.wal):
            shutil.copyfile(file, folder / layout.wal.name / file.name)
        if layout.state.exists():
            shutil.copytree(layout.state, folder / layout.state.name)
    with snapshot:
        for segments in snapshot.segments.values():
            for segment in segments:
                place = folder / layout.telemetry.name / segment.path
                place.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(layout.telemetry / segment.path, place)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    told = {str(f.relative_to(folder)): {"bytes": f.stat().st_size, "crc32": checksum(f)} for f in files}
    created = time.time_ns()
    for file in files:
        sync_file(file)
    (folder / MANIFEST).write_text(json.dumps({"created_unix_ns": created, "files": told}, indent=1), encoding="utf-8")
    sync_file(folder / MANIFEST)
    return {"files": len(files), "bytes": sum(f["bytes"] for f in told.values()), "created_unix_ns": created}


def _link_tree(source: Path, place: Path) -> None:
    """Link every file of a folder whose files never change; those that are deleted or being written are left out."""
    for file in sorted(source.rglob("*")):
        relative = file.relative_to(source)
        if any(part.startswith(".") for part in relative.parts) or not file.is_file():
            continue
        (place / relative).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            link_or_copy(file, place / relative)


def link_or_copy(source: Path, place: Path) -> None:
    """Link where that is possible: a segment never changes, so the copy costs nothing."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


def _pack(folder: Path, target: Path) -> None:
    temporary = target.with_name(target.name + ".tmp")
    try:
        with tarfile.open(temporary, "w") as archive:
            archive.add(folder, arcname=".")
        sync_file(temporary)
        with tempfile.TemporaryDirectory(prefix=".verify-", dir=target.parent) as place:
            _unpack(temporary, Path(place))
            verify(Path(place))
        temporary.rename(target)
    finally:
        temporary.unlink(missing_ok=True)


def verify(folder: Path) -> dict[str, dict[str, int]]:
    """Check every file of a backup against BACKUP.json and give the list; raises StoreError with the first bad one."""
    try:
        told: dict[str, dict[str, int]] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} is not a backup of Watchkeeper: {MANIFEST} cannot be read ({error})") from error
    for name, expected in told.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise StoreError(f"the backup {folder} names the file {name!r} outside of itself; do not use it")
        if not file.is_file() or file.stat().st_size != expected["bytes"] or checksum(file) != expected["crc32"]:
            raise StoreError(f"the backup {folder} is damaged: {name} is not what was written; use another backup")
    return told


def restore(source: Path, home: Path, *, overwrite: bool = False) -> BackupReport:
    """Bring a backup (folder or tar file) back as the store in `home`, which no process may have open.

    Raises StoreError when the backup is damaged, or `home` is not empty and `overwrite` is not set; NewerFormat when
    it was made by a newer Watchkeeper. `home` is replaced only after everything was verified.
    """
    source, home = source.expanduser().absolute(), home.expanduser().resolve()
    occupied = home.exists() and any(home.iterdir())
    if occupied and not overwrite:
        raise StoreError(f"{home} is not empty; choose an empty folder, or say that it may be overwritten")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{home.name}-restore-", dir=home.parent) as staging,
            _opened(source, Path(staging)) as folder,
        ):
            check_format(folder / Layout(folder).format.name)
            told = verify(folder)
            fresh = Path(staging) / "home"
            for name in told:
                (fresh / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copyfile(folder / name, fresh / name)
                sync_file(fresh / name)
            _replace(home, fresh, Path(staging) / "old")
    except OSError as error:
        raise StoreError(f"restoring {source} to {home} failed: {error}") from error
    return BackupReport(home, len(told), sum(f["bytes"] for f in told.values()), time.time_ns())


def _replace(home: Path, fresh: Path, old: Path) -> None:
    from watchkeeper.store.layout import FolderLock

    if home.exists():
        lock = FolderLock.take(Layout(home).lock)
        try:
            home.rename(old)
        finally:
            lock.release()
    try:
        fresh.rename(home)
    except OSError:
        if old.exists():
            old.rename(home)
        raise
    sync_folder(home.parent)


@contextmanager
def _opened(source: Path, staging: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    place = staging / "unpacked"
    place.mkdir()
    _unpack(source, place)
    yield place


def _unpack(archive: Path, place: Path) -> None:
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                _unpack_member(opened, member, place)
    except (tarfile.TarError, OSError) as error:
        raise StoreError(f"{archive} is not a backup of Watchkeeper: {error}") from error


def _unpack_member(archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """Write one folder or plain file below `place`; raises tarfile.TarError for anything else.

    Not tarfile's own `filter`, which Python 3.11.2 of Debian 12 does not have.
    """
    target = (place / member.name).resolve()
    content = archive.extractfile(member) if member.isreg() else None
    if not target.is_relative_to(place.resolve()) or (content is None and not member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is no plain file of a backup")
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
