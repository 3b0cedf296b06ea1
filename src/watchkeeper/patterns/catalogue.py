"""The catalogue of templates on disk: one Parquet file, a row a template, versions in its metadata.

Enters and leaves: SavedTemplate rows. Written whole beside the old file and then put in its place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.patterns.vocabulary import MASK_VERSION

CATALOGUE_VERSION = 1

_VERSION, _MASK, _FROZEN = b"watchkeeper.catalogue_version", b"watchkeeper.mask_version", b"watchkeeper.frozen"

_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("text", pa.string()),
        ("lines", pa.int64()),
        ("first_unix_ns", pa.int64()),
        ("last_unix_ns", pa.int64()),
        ("examples", pa.list_(pa.string())),
        ("looks", pa.int64()),
        ("hours", pa.list_(pa.int64())),
        ("hour_lines", pa.list_(pa.int64())),
    ]
)


class SavedTemplate(NamedTuple):
    """One row: as patterns/base.py's Template, with lines by hour of the epoch and looks for examples."""

    id: int
    text: str
    lines: int
    first_unix_ns: int
    last_unix_ns: int
    examples: list[str]
    looks: int
    hours: list[int]
    hour_lines: list[int]


def write_catalogue(path: Path, templates: list[SavedTemplate], *, frozen: bool) -> None:
    """Write the templates, least recently seen first."""
    columns: list[tuple[Any, ...]] = list(zip(*templates, strict=True)) or [() for _ in _SCHEMA]
    metadata = {
        _VERSION: str(CATALOGUE_VERSION),
        _MASK: str(MASK_VERSION),
        _FROZEN: str(int(frozen)),
    }
    arrays = [pa.array(list(column), field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=_SCHEMA.with_metadata(metadata))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    pq.write_table(table, partial, compression="zstd")
    partial.replace(path)


def read_catalogue(path: Path) -> tuple[list[SavedTemplate], bool]:
    """Give the templates and whether they were frozen; raises StoreError, or NewerFormat of a newer version."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"the catalogue of log patterns {path} cannot be read: {error}; delete it to learn anew"
        ) from error
    metadata = table.schema.metadata or {}
    try:
        version, mask_version = int(metadata[_VERSION]), int(metadata[_MASK])
        frozen = metadata[_FROZEN] == b"1"
        columns = table.select(_SCHEMA.names).cast(_SCHEMA)
    except (KeyError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path} is not a catalogue of log patterns: {error}; delete it to learn anew") from error
    if version > CATALOGUE_VERSION or mask_version > MASK_VERSION:
        raise NewerFormat(
            f"{path} was written by a newer Watchkeeper (format {version}, masks {mask_version}; this one reads "
            f"{CATALOGUE_VERSION} and {MASK_VERSION}); upgrade, or delete the file to learn anew"
        )
    rows = zip(*(columns.column(name).to_pylist() for name in _SCHEMA.names), strict=True)
    return [SavedTemplate(*row) for row in rows], frozen
