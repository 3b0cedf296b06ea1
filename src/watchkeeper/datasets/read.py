"""Reads data sets where they lie: the members of a packed file, without unpacking it to the disk.

Enters: the name of a set and of a member. Leaves: a binary stream. Looks for the packed file first, then for single
files as `fetch` lays them from the public source. Holds no knowledge of what the members mean.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from watchkeeper.datasets.catalogue import DATA_SETS, DataSet
from watchkeeper.datasets.fetch import is_present
from watchkeeper.errors import DataSetError, NotFound


class Member(NamedTuple):
    """One file of a set and its size uncompressed."""

    name: str
    size_bytes: int


def locate(name: str, folder: Path) -> Path:
    """Give the packed file of a set, or the folder of its files; raises UnknownName, or DataSetError when absent."""
    data_set = DATA_SETS.get(name)
    packed = folder / data_set.file
    if packed.is_file():
        return packed
    if is_present(data_set, folder):
        return folder / data_set.name
    raise DataSetError(
        f"the data set {name} is not in {folder}; fetch it with `watchkeeper data fetch {name}`, or set "
        "WATCHKEEPER_DATA to the folder that has it"
    )


def members(name: str, folder: Path) -> list[Member]:
    """List the files of a set by name; reads a packed file once through."""
    path = locate(name, folder)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file() and each.suffix != ".part")
        return [Member(each.relative_to(path).as_posix(), each.stat().st_size) for each in files]
    if not _is_tar(DATA_SETS.get(name)):
        return [Member(_single(path), path.stat().st_size)]
    with _open_tar(path) as archive:
        return sorted(Member(info.name, info.size) for info in _infos(archive, path) if info.isfile())


def open_member(name: str, member: str, folder: Path) -> BinaryIO:
    """Open one file of a set, uncompressed; raises UnknownName, DataSetError, or NotFound when there is no such member.

    A member of a packed set is held in memory while it is open; cost: the archive is read up to the member.
    """
    path = locate(name, folder)
    if path.is_dir():
        file = path / member
        if not file.is_file() or path.resolve() not in file.resolve().parents:
            raise NotFound(f"the data set {name} has no member {member!r}; `watchkeeper data list {name}` shows them")
        return file.open("rb")
    if not _is_tar(DATA_SETS.get(name)):
        return _open_single(path)
    for found, data in read_members(name, folder, lambda each: each == member):
        return _named(data, found)
    raise NotFound(f"the data set {name} has no member {member!r}; `watchkeeper data list {name}` shows them")


def read_members(name: str, folder: Path, chosen: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Give name and content of the chosen members in one pass over a packed set, in its order."""
    path = locate(name, folder)
    if path.is_dir():
        for member in members(name, folder):
            if chosen(member.name):
                yield member.name, (path / member.name).read_bytes()
        return
    if not _is_tar(DATA_SETS.get(name)):
        if chosen(_single(path)):
            with _open_single(path) as stream:
                yield _single(path), stream.read()
        return
    with _open_tar(path) as archive:
        for info in _infos(archive, path):
            if info.isfile() and chosen(info.name):
                yield info.name, _content(archive, info, path)


def _infos(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    try:
        yield from archive
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataSetError(f"{path} is damaged: {error}; fetch it again") from error


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> bytes:
    try:
        stream = archive.extractfile(info)
        return stream.read() if stream is not None else b""
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataSetError(f"{path} is damaged: {error}; fetch it again") from error


def _is_tar(data_set: DataSet) -> bool:
    return data_set.file.endswith((".tar", ".tar.xz"))


def _single(path: Path) -> str:
    return path.name.removesuffix(".xz")


def _open_single(path: Path) -> BinaryIO:
    return cast(BinaryIO, lzma.open(path)) if path.suffix == ".xz" else path.open("rb")


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r|xz" if path.suffix == ".xz" else "r|")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataSetError(f"{path} is damaged: {error}; fetch it again") from error


def _named(data: bytes, name: str) -> BinaryIO:
    stream = io.BytesIO(data)
    stream.name = name
    return stream
