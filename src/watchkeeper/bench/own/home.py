"""A Watchkeeper's home that no process has open, or a backup of one: its log lines and incidents, and no trace of it.

Enters: the folder, or the `.tar` file of a backup. Leaves: lines in parts and incidents, or the store of a copy. SQLite
files are copied first, for opening one writes beside it; segments and the log are read where they lie. Takes no lock: a
home that is in use is refused, before and after. Does not repair: a home that lost its catalog is for the product.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.bench.base import BenchError
from watchkeeper.diagnose.incident import Incident, incident_from_dict
from watchkeeper.patterns.miner import TemplateMiner
from watchkeeper.receive.decode import decode
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal
from watchkeeper.store import wal
from watchkeeper.store.backup import restore
from watchkeeper.store.catalog import Catalog
from watchkeeper.store.layout import Layout, check_format
from watchkeeper.store.metadata import Metadata
from watchkeeper.store.reads.base import Queryable, rows
from watchkeeper.store.segments import Segment
from watchkeeper.store.store import Store

INCIDENTS_VERSION = 1
"""The version of the table of incidents that is read here."""
COLUMNS = ("time_unix_ns", "service", "template_id", "body")
TimeRange = tuple[int, int]


class Home(NamedTuple):
    """What is known of a home at rest. logged: its batches of log lines that are in no segment yet."""

    layout: Layout
    segments: Sequence[Segment]
    logged: Sequence[pa.RecordBatch]
    incidents: Sequence[Incident]

    def extent(self) -> TimeRange | None:
        """Give the times of the first and the last log line, None when there is none."""
        times = [(each.min_time_unix_ns, each.max_time_unix_ns) for each in self.segments]
        for batch in self.logged:
            ends = pc.min_max(batch.column("time_unix_ns"))
            times.append((ends["min"].as_py(), ends["max"].as_py()))
        return (min(low for low, _ in times), max(high for _, high in times)) if times else None

    def lines(self, within: TimeRange) -> Iterator[pa.RecordBatch]:
        """Give the log lines of a range (Unix ns, the end left out) in parts, each with COLUMNS, in no order."""
        for segment in self.segments:
            if segment.max_time_unix_ns >= within[0] and segment.min_time_unix_ns < within[1]:
                for batch in _batches(self.layout.telemetry / segment.path):
                    yield _within(batch, within)
        for batch in self.logged:
            yield _within(batch, within)


def check(source: Path) -> None:
    """Raise BenchError where there is neither a home nor a backup."""
    if source.is_file() and source.suffix == ".tar":
        return
    if not Layout(source).format.is_file():
        raise BenchError(f"there is no home of Watchkeeper and no backup of one at {source}")


@contextmanager
def at_rest(source: Path) -> Iterator[Home]:
    """Read a home or a backup; raises BenchError when it is in use or cannot be read, NewerFormat when it is newer."""
    check(source)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-bench-home-") as place:
        folder = source
        if source.is_file():
            folder = Path(place) / "restored"
            restore(source, folder)
        layout = Layout(folder.resolve())
        check_format(layout.format)
        _hold_unused(layout)
        try:
            segments, logged = _telemetry(layout, Path(place))
            yield Home(layout, segments, logged, _incidents(layout, Path(place)))
        except (OSError, sqlite3.Error, pa.ArrowException) as error:
            raise BenchError(
                f"{source} cannot be read: {error}; let Watchkeeper open it once, or read a backup"
            ) from error
        _hold_unused(layout)


@contextmanager
def opened_copy(home: Home) -> Iterator[Store]:
    """Give the store of a copy of a home, which needs its space beside it; nothing in it is too old to be kept."""
    kept = {f"{signal.value}_days_max": 0 for signal in Signal}
    with tempfile.TemporaryDirectory(prefix="watchkeeper-bench-own-") as folder:
        copy = Path(folder) / "home"
        shutil.copytree(home.layout.home, copy)
        settings = Settings(chosen={"home": str(copy), **kept}, environment={})
        with Store.open(copy, settings, _batch) as store:
            yield store


def template_texts(store: Queryable) -> Callable[[int], str]:
    """Give what tells a template's text, mined from one of its lines; "" for one that has none."""
    miner = TemplateMiner()

    def text(template_id: int) -> str:
        found = rows(store, "SELECT body FROM logs WHERE template_id = ? LIMIT 1", [template_id])
        if not found:
            return ""
        mined = miner.match(pa.array([str(found[0]["body"])]), pa.nulls(1, pa.int64()))[0].as_py()
        template = miner.get(int(mined))
        return template.text if template else ""

    return cache(text)


def _hold_unused(layout: Layout) -> None:
    """Raise BenchError while a process has the home open: what is read would change under the reading."""
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BenchError(f"{layout.lock} cannot be read: {error.strerror}") from error
    try:
        # A shared lock tells whether the exclusive one is held, and is dropped with the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        raise BenchError(
            f"{layout.home} is open in a running Watchkeeper; read a copy of it, made by `watchkeeper backup FOLDER`"
        ) from error
    finally:
        os.close(descriptor)


def _copied(file: Path, place: Path) -> Path:
    """Copy a SQLite file with what is committed beside it."""
    for each in (file, file.with_name(file.name + "-wal")):
        if each.exists():
            shutil.copyfile(each, place / each.name)
    return place / file.name


def _telemetry(layout: Layout, place: Path) -> tuple[list[Segment], list[pa.RecordBatch]]:
    if not layout.catalog.is_file():
        raise OSError(f"there is no {layout.catalog.name}")
    with closing(Catalog(_copied(layout.catalog, place))) as catalog:
        if not catalog.is_filled():
            raise OSError(f"{layout.catalog.name} was lost and is to be made anew")
        segments = [each for each in catalog.segments() if each.signal is Signal.LOGS]
        known = {each.content_hash for each in catalog.seen(0)}
        sealed = catalog.sealed()
    logged = []
    for file in wal.list_files(layout.wal) if layout.wal.is_dir() else ():
        for record in wal.scan(file.read_bytes()) if file.name not in sealed else ():
            if isinstance(record, wal.Damage) or record.content_hash in known:
                continue
            known.add(record.content_hash)
            if record.entry.signal is Signal.LOGS:
                logged.append(_plain(_batch(record.entry)))
    return segments, [batch for batch in logged if batch.num_rows]


def _batch(entry: wal.Entry) -> pa.RecordBatch:
    return decode(
        entry.signal, entry.encoding, entry.payload, sender=entry.sender, received_unix_ns=entry.received_unix_ns
    ).batch


def _incidents(layout: Layout, place: Path) -> list[Incident]:
    metadata = Metadata(_copied(layout.metadata, place))
    try:
        versions = metadata.read("SELECT version FROM components WHERE name = 'incidents'")
        if not versions:
            return []
        if versions[0]["version"] > INCIDENTS_VERSION:
            raise BenchError(f"the incidents in {layout.metadata} are of a newer Watchkeeper; upgrade this one")
        rows = metadata.read("SELECT document FROM incidents ORDER BY opened_unix_ns, id")
        return [incident_from_dict(json.loads(row["document"])) for row in rows]
    finally:
        metadata.close()


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, page_checksum_verification=True) as opened:
        there = set(opened.schema_arrow.names)
        for batch in opened.iter_batches(columns=[name for name in COLUMNS if name in there]):
            yield _plain(batch)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give COLUMNS: what an older segment lacks is null, services are a dictionary."""
    columns = {name: batch.column(name) for name in COLUMNS if name in batch.schema.names}
    columns.setdefault("template_id", pa.nulls(batch.num_rows, pa.int64()))
    if not pa.types.is_dictionary(columns["service"].type):
        columns["service"] = columns["service"].dictionary_encode()
    return pa.record_batch([columns[name] for name in COLUMNS], names=list(COLUMNS))


def _within(batch: pa.RecordBatch, within: TimeRange) -> pa.RecordBatch:
    times = batch.column("time_unix_ns")
    return batch.filter(pc.and_(pc.greater_equal(times, within[0]), pc.less(times, within[1])))
