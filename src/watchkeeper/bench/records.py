"""Records: what came of a cell, one JSON file each, from which it can be run again.

Enters: a record as a dict. Leaves: a file at `<out>/<task>/<data@version>/<model>/<enhancement>.json`, written whole or
not at all. A record that cannot be read is told, never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from watchkeeper.bench.base import BenchError
from watchkeeper.bench.whole import write_whole

SCHEMA_VERSION = 1
DONE, FAILED, SKIPPED = "done", "failed", "skipped"

Record = dict[str, Any]


def path_of(out: Path, identifier: str) -> Path:
    """Give the file of a cell's record."""
    return out.joinpath(*identifier.split("/")).with_name(identifier.rpartition("/")[2] + ".json")


def write_record(out: Path, record: Record) -> Path:
    """Write a record; a reader sees the old one or the new one."""
    path = path_of(out, record["id"])
    write_whole(path, orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    return path


def read_record(path: Path) -> Record:
    """Read a record; raises BenchError when it is none."""
    try:
        record = orjson.loads(path.read_bytes())
        version, _ = record["schema_version"], record["id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path} is no record of a cell: {error}") from error
    if version > SCHEMA_VERSION:
        raise BenchError(f"{path} has schema version {version}; update Watchkeeper to read it")
    return dict(record)


def find_record(out: Path, identifier: str) -> Record | None:
    """Give the record of a cell, None when there is none."""
    path = path_of(out, identifier)
    return read_record(path) if path.is_file() else None


def records(out: Path) -> Iterator[Record]:
    """Give all records of a folder in order of id."""
    for path in sorted(out.glob("*/*/*/*.json")):
        yield read_record(path)
