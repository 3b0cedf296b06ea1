"""One thing to replay: where its bytes come from, and what is known about it beforehand.

Enters: a path given by the user, or the parts of a data set. Leaves: Sources, which can be opened more than once unless
they are live. Does not read lines.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from watchkeeper.datasets.logs import LogPart
from watchkeeper.edge.lines import open_bytes

_SUFFIXES = (".gz", ".xz", ".bz2", ".zst", ".zstd", ".log", ".txt", ".json", ".jsonl", ".ndjson", ".out", ".err")


@dataclass(frozen=True)
class Source:
    """One stream of log lines.

    `service` stands in when the lines name none; `size_bytes` is what `position` runs up to, None when not known;
    `reference_unix_ns` is the latest moment its lines can speak of; a `live` source can be read only once.
    """

    name: str
    open: Callable[[], BinaryIO]
    service: str
    reference_unix_ns: int
    size_bytes: int | None = None
    live: bool = False
    resource: tuple[tuple[str, str], ...] = ()


def source_of_path(path: str) -> Source:
    """Make a Source of a file, or of the standard input for `-`; raises WatchkeeperError when it cannot be read."""
    if path == "-":
        return Source("standard input", lambda: open_bytes("-"), "stdin", time.time_ns(), live=True)
    with open_bytes(path) as file:
        status = os.fstat(file.fileno())
    name = Path(path).name
    is_file = os.path.isfile(path)
    return Source(
        name,
        lambda: open_bytes(path),
        service_of_file(name),
        status.st_mtime_ns if is_file else time.time_ns(),
        status.st_size if is_file else None,
        live=not is_file,
        resource=(("log.file.name", name),),
    )


def source_of_part(part: LogPart) -> Source:
    """Make a Source of a part of a data set; years that its lines leave out are the latest that are possible."""
    return Source(part.name, part.open, part.service, time.time_ns(), part.size_bytes, resource=part.resource)


def service_of_file(name: str) -> str:
    """Name a service after its log file.

    >>> service_of_file("checkout.log.1.gz"), service_of_file("syslog"), service_of_file(".log")
    ('checkout', 'syslog', 'log')
    """
    stem = name
    while True:
        base, suffix = os.path.splitext(stem)
        if not base or not (suffix.lower() in _SUFFIXES or suffix[1:].isdecimal()):
            return stem.lstrip(".") or "replay"
        stem = base
