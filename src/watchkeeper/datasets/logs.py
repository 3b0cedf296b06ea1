"""The data sets that are log lines, as streams of lines to replay.

Enters: a name as the command line takes it (`hdfs`, `bgl`, `hadoop`, `openstack`, `loghub`, `loghub/Spark`) and the
data folder. Leaves: LogParts, each a stream of raw lines with the service they belong to. Does not parse lines.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from watchkeeper.datasets.read import members, open_member, read_members
from watchkeeper.errors import UnknownName

LOGHUB_SYSTEMS = ("HDFS", "BGL", "Hadoop", "Linux", "OpenSSH", "Spark", "Zookeeper", "Android")
_LOGHUB_MEMBER = "loghub_2k/loghub_2k/{system}/{system}_2k.log"
_BGL_MEMBER = "bgl_100k/bgl2_100k.log"
_HDFS_MEMBER = "hdfs_2pct/hdfs_events_2percent.parquet"
_HDFS_COLUMNS = ("date", "time", "id", "level", "component", "m_message")
_HDFS_LINES_PER_READ = 2000

_SETS = {
    "hdfs": "hdfs_2pct_raw",
    "bgl": "bgl_100k_raw",
    "hadoop": "hadoop_raw_labelled",
    "openstack": "openstack_mixed",
    "loghub": "loghub_2k",
}


@dataclass(frozen=True)
class LogPart:
    """One stream of raw lines; `size_bytes` uncompressed, None when not known without reading it."""

    name: str
    service: str
    open: Callable[[], BinaryIO]
    size_bytes: int | None = None
    resource: tuple[tuple[str, str], ...] = ()


def log_set_names() -> list[str]:
    """Name everything that can be replayed."""
    return [*_SETS, *(f"loghub/{system}" for system in LOGHUB_SYSTEMS)]


def _split(name: str) -> tuple[str, str]:
    """Give the short name of a set of log lines and the part of it that is asked for, in its own spelling."""
    head, _, part = name.partition("/")
    short = next((short for short, whole in _SETS.items() if head.lower() in {short, whole}), "")
    return short, part


def is_log_set(name: str) -> bool:
    """Tell whether a name stands for a set of log lines (its part, after the slash, may still be unknown)."""
    return bool(_split(name)[0])


def log_parts(name: str, folder: Path) -> list[LogPart]:
    """Give the streams of a set of log lines; raises UnknownName, or DataSetError when the set is not there."""
    short, part = _split(name)
    if not short or (part and short != "loghub"):
        raise UnknownName(f"there is no data set of log lines named {name!r}; there are: {', '.join(log_set_names())}")
    if short == "loghub":
        return _loghub(part, folder)
    if short == "hdfs":
        return [LogPart(name, "hdfs", lambda: _open_hdfs(folder))]
    if short == "bgl":
        return [_member_part("bgl_100k_raw", _BGL_MEMBER, "bgl", folder)]
    if short == "openstack":
        return _many("openstack_mixed", folder, "openstack", lambda path: path.endswith(".log"))
    return _many("hadoop_raw_labelled", folder, "hadoop", lambda path: path.endswith(".log"))


def _loghub(part: str, folder: Path) -> list[LogPart]:
    systems = [system for system in LOGHUB_SYSTEMS if not part or system.lower() == part.lower()]
    if not systems:
        raise UnknownName(f"loghub has no system {part!r}; it has: {', '.join(LOGHUB_SYSTEMS)}")
    return [
        _member_part("loghub_2k", _LOGHUB_MEMBER.format(system=system), system.lower(), folder) for system in systems
    ]


def _member_part(data_set: str, member: str, service: str, folder: Path) -> LogPart:
    sizes = {each.name: each.size_bytes for each in members(data_set, folder)}
    resource = (("log.file.name", member.rpartition("/")[2]),)
    return LogPart(member, service, lambda: open_member(data_set, member, folder), sizes.get(member), resource)


def _many(data_set: str, folder: Path, service: str, chosen: Callable[[str], bool]) -> list[LogPart]:
    """Give many members, read in one pass when the first of them is opened and kept while any is referred to."""
    content = _Content(data_set, folder, chosen)
    return [
        LogPart(member.name, service, content.opener(member.name), member.size_bytes, _container(member.name))
        for member in members(data_set, folder)
        if chosen(member.name)
    ]


def _container(member: str) -> tuple[tuple[str, str], ...]:
    name = member.rpartition("/")[2]
    return (("service.instance.id", name.removesuffix(".log")), ("log.file.name", name))


class _Content:
    """The chosen members of a packed set in memory: opening hundreds of them one by one would read it as many times."""

    def __init__(self, data_set: str, folder: Path, chosen: Callable[[str], bool]) -> None:
        self._data_set = data_set
        self._folder = folder
        self._chosen = chosen
        self._data: dict[str, bytes] | None = None
        self._lock = threading.Lock()

    def opener(self, member: str) -> Callable[[], BinaryIO]:
        """Give a function that opens one member."""
        return lambda: io.BytesIO(self._load()[member])

    def _load(self) -> dict[str, bytes]:
        with self._lock:
            if self._data is None:
                self._data = dict(read_members(self._data_set, self._folder, self._chosen))
            return self._data


def _open_hdfs(folder: Path) -> BinaryIO:
    """Open the HDFS lines: the set keeps them in columns, from which the lines are put together again."""
    return io.BufferedReader(_HdfsLines(folder), buffer_size=256 * 1024)


class _HdfsLines(io.RawIOBase):
    """The lines of the HDFS set as bytes, made as they are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._source = open_member("hdfs_2pct_raw", _HDFS_MEMBER, folder)
        self._batches = self._read_batches()
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; 0 at the end."""
        while not self._rest:
            batch = next(self._batches, None)
            if batch is None:
                return 0
            self._rest = batch
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Close the underlying member."""
        self._source.close()
        super().close()

    def _read_batches(self) -> Iterator[bytes]:
        from pyarrow import parquet

        file = parquet.ParquetFile(self._source)
        for batch in file.iter_batches(batch_size=_HDFS_LINES_PER_READ, columns=list(_HDFS_COLUMNS)):
            columns = [batch.column(name).to_pylist() for name in _HDFS_COLUMNS]
            yield "".join(" ".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)).encode()
