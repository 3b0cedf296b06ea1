"""Segments: immutable zstd Parquet files, one signal and one hour of event time each, sorted by time.

Enters: an Arrow table of one signal. Leaves: files under `telemetry/`, durable before they are spoken of, and a
Segment for each. What the catalog knows of a segment also stands in the file's own key-value metadata, so a lost
catalog can be rebuilt. Rows of very many different hours (a replayed year) share one file beyond HOURS_MAX, placed by
its earliest row. Does not decide which segments count; the catalog does.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from watchkeeper.signals.schema import SCHEMAS, Signal
from watchkeeper.store.layout import make_folders, sync_file, sync_folder

SEGMENT_VERSION = 1
SUFFIX = ".parquet"
TEMPORARY = ".tmp"
HOUR_NS = 3600 * 10**9
HOURS_MAX = 96
ROW_GROUP_ROWS = 65_536
ZSTD_LEVEL = 3

_KEY = b"watchkeeper"
_READ_BYTES = 1 << 20
_TAIL = b"PAR1"


class Segment(NamedTuple):
    """What is known of one segment: `path` relative to `telemetry/`, inclusive times, the names of its `columns`."""

    id: str
    signal: Signal
    path: str
    rows: int
    bytes: int
    arrow_bytes: int
    min_time_unix_ns: int
    max_time_unix_ns: int
    received_max_unix_ns: int
    first_sequence: int
    last_sequence: int
    columns: str
    crc32: int


class Found(NamedTuple):
    """A segment as its own file describes it, with the ids of the segments it was merged from."""

    segment: Segment
    replaces: tuple[str, ...]


def write(root: Path, signal: Signal, table: pa.Table) -> Iterator[Segment]:
    """Write a table (at least one row) as segments, one for each hour of event time, each durable when it is given.

    Raises OSError; the file in hand is then removed, those given before are the caller's to remove.
    """
    times = table.column("time_unix_ns").to_numpy()
    order = None if np.all(times[1:] >= times[:-1]) else np.argsort(times, kind="stable")
    if order is not None:
        table, times = table.take(pa.array(order)), times[order]
    hours = times // HOUR_NS
    starts = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    if len(starts) > HOURS_MAX:
        starts = np.concatenate([starts[:1], starts[len(starts) - HOURS_MAX + 1 :]])
    for start, end in zip(starts, [*starts[1:], len(times)], strict=True):
        yield write_one(root, signal, table.slice(start, end - start))


def write_one(root: Path, signal: Signal, table: pa.Table, *, replaces: Sequence[str] = ()) -> Segment:
    """Write a table that is sorted by time as one segment; `replaces` are the ids of those it was merged from."""
    import pyarrow.parquet as pq

    segment = _describe(signal, table)
    file = root / segment.path
    make_folders(file.parent, root)
    temporary = file.with_name(file.name + TEMPORARY)
    told = json.dumps({"version": SEGMENT_VERSION, **segment._asdict(), "replaces": list(replaces)})
    try:
        pq.write_table(
            table.replace_schema_metadata({_KEY: told.encode()}),
            temporary,
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            row_group_size=ROW_GROUP_ROWS,
            write_page_checksum=True,
        )
        sync_file(temporary)
        segment = segment._replace(bytes=temporary.stat().st_size, crc32=checksum(temporary))
        temporary.rename(file)
        sync_folder(file.parent)
    except (OSError, pa.ArrowException):
        temporary.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        raise
    return segment


def _describe(signal: Signal, table: pa.Table) -> Segment:
    times = table.column("time_unix_ns").to_numpy()
    sequences = table.column("batch").to_numpy()
    first, earliest = int(sequences.min()), int(times.min())
    identifier = f"{first:020d}-{secrets.token_hex(6)}"
    hour = datetime.fromtimestamp(earliest // HOUR_NS * 3600, UTC)
    return Segment(
        id=identifier,
        signal=signal,
        path=f"{signal.value}/date={hour:%Y-%m-%d}/hour={hour:%H}/{identifier}{SUFFIX}",
        rows=table.num_rows,
        bytes=0,
        arrow_bytes=table.nbytes,
        min_time_unix_ns=earliest,
        max_time_unix_ns=int(times.max()),
        received_max_unix_ns=int(table.column("received_unix_ns").to_numpy().max()),
        first_sequence=first,
        last_sequence=int(sequences.max()),
        columns=",".join(table.schema.names),
        crc32=0,
    )


def read(root: Path, segment: Segment) -> pa.Table:
    """Read a segment in the schema of today: columns it lacks are null, columns no longer known are kept last."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(root / segment.path, page_checksum_verification=True) as file:
        return conform(file.read(), SCHEMAS[segment.signal])


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table the columns of a schema in its order; what is missing is null."""
    columns = {
        field.name: table.column(field.name).cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    }
    extra = {name: table.column(name) for name in table.schema.names if name not in columns}
    return pa.table({**columns, **extra})


def recognise(root: Path, file: Path) -> Found:
    """Read what a file tells of itself; raises ValueError or OSError when it is not a sound segment."""
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(file).metadata or {}
        told = json.loads(metadata[_KEY])
        replaces = tuple(told.pop("replaces"))
        if told.pop("version") > SEGMENT_VERSION:
            raise ValueError("it was written by a newer Watchkeeper")
        segment = Segment(**told)
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise ValueError(f"it is not a segment: {error}") from error
    return Found(
        segment._replace(
            signal=Signal(segment.signal),
            path=str(file.relative_to(root)),
            bytes=file.stat().st_size,
            crc32=checksum(file),
        ),
        replaces,
    )


def quick_fault(root: Path, segment: Segment) -> str:
    """Tell what is wrong with a segment as far as its size and last bytes show; "" when nothing is. Cost: ~20 us."""
    file = root / segment.path
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, 2)
            if size != segment.bytes:
                return f"it has {size} bytes where {segment.bytes} were written"
            stream.seek(-len(_TAIL), 2)
            return "" if stream.read() == _TAIL else "its end is damaged"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def full_fault(root: Path, segment: Segment) -> str:
    """Tell what is wrong with a segment by reading all of it; "" when nothing is. Cost: about 1 GB/s."""
    fault = quick_fault(root, segment)
    if fault:
        return fault
    try:
        return "" if checksum(root / segment.path) == segment.crc32 else "its content has changed since it was written"
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"


def checksum(file: Path) -> int:
    """Give the crc32 of a whole file."""
    crc = 0
    with file.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            crc = zlib.crc32(block, crc)
    return crc
