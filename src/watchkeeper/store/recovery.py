"""Opening: what lies on the disk becomes the picture of what is stored, whatever happened before.

Enters: the folders as the last process left them. Leaves: the catalog (rebuilt from the segments' own metadata when
it is lost or damaged), the segments that count, and the hot files replayed from the log. Left-overs of an interrupted
seal, merge or deletion are removed; what cannot be read goes to quarantine and is told. Never deletes the only copy
of a row.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from watchkeeper.settings import Settings
from watchkeeper.store import segments as files
from watchkeeper.store import wal
from watchkeeper.store.catalog import Catalog, Seen
from watchkeeper.store.entry import Entry, Recovered
from watchkeeper.store.hot import HotBatch, HotFile
from watchkeeper.store.layout import Layout
from watchkeeper.store.position import take_position
from watchkeeper.store.quarantine import Quarantine
from watchkeeper.store.segments import Found, Segment

_log = logging.getLogger(__name__)

Decode = Callable[[Entry], pa.RecordBatch]


@dataclass
class Replayed:
    """What the log held: hot files with their batches, in order, and the highest sequence seen."""

    files: list[tuple[HotFile, list[tuple[HotBatch, Seen]]]] = field(default_factory=list)
    last_sequence: int = 0

    def recovered(self) -> list[Recovered]:
        """Give every replayed batch in order."""
        return [Recovered(b.sequence, b.signal, b.batch) for _, batches in self.files for b, _ in batches]


def open_catalog(layout: Layout, quarantine: Quarantine) -> Catalog:
    """Open the catalog; a damaged one goes to quarantine, and a new one that is to be filled takes its place."""
    try:
        return Catalog(layout.catalog)
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "full" in str(error):
            raise
        reason = str(error)
    except sqlite3.DatabaseError as error:
        reason = str(error)
    quarantine.move(layout.catalog, f"the catalog cannot be read ({reason}); it is rebuilt from the segments")
    for suffix in ("-wal", "-shm"):
        layout.catalog.with_name(layout.catalog.name + suffix).unlink(missing_ok=True)
    return Catalog(layout.catalog)


def remove_sealed(layout: Layout, catalog: Catalog) -> None:
    """Delete log files whose content is in segments."""
    sealed = catalog.sealed()
    for name in sealed:
        (layout.wal / name).unlink(missing_ok=True)
    if sealed:
        catalog.forget_sealed(sealed)


def sound_segments(layout: Layout, catalog: Catalog, quarantine: Quarantine) -> list[Segment]:
    """Give the segments of the catalog whose files are sound at a glance; the others go to quarantine."""
    sound = []
    for segment in catalog.segments():
        fault = files.quick_fault(layout.telemetry, segment)
        if fault:
            quarantine.move(layout.telemetry / segment.path, f"{segment.rows} rows of {segment.signal.value}: {fault}")
            catalog.swap([segment], [])
        else:
            sound.append(segment)
    return sound


def rebuild(layout: Layout, catalog: Catalog, quarantine: Quarantine) -> list[Segment]:
    """Fill an empty catalog from the segments' own metadata; unsound files go to quarantine."""
    found: dict[str, Found] = {}
    for file in _segment_files(layout):
        try:
            one = files.recognise(layout.telemetry, file)
        except (OSError, ValueError) as error:
            quarantine.move(file, f"a segment cannot be read: {error}")
            continue
        found[one.segment.id] = one
    replaced = {identifier for one in found.values() for identifier in one.replaces}
    logged = _logged_ranges(layout)
    counting = []
    for one in found.values():
        segment = one.segment
        in_log = any(low <= segment.first_sequence and segment.last_sequence <= high for low, high in logged)
        if segment.id in replaced or in_log:
            (layout.telemetry / segment.path).unlink(missing_ok=True)
        else:
            counting.append(segment)
    catalog.fill(counting)
    return counting


def remove_left_over(layout: Layout, catalog: Catalog, quarantine: Quarantine, counting: list[Segment]) -> None:
    """Delete what an interrupted seal, merge or deletion left; a file that none of these explains is quarantined."""
    doomed = catalog.doomed()
    ids = {segment.id for segment in counting}
    paths = {segment.path for segment in counting}
    logged = _logged_ranges(layout)
    for file in [*layout.telemetry.rglob(f"*{files.TEMPORARY}"), *_segment_files(layout)]:
        path = str(file.relative_to(layout.telemetry))
        if path in paths:
            continue
        if path in doomed or file.name.endswith(files.TEMPORARY):
            file.unlink(missing_ok=True)
            continue
        try:
            one = files.recognise(layout.telemetry, file)
        except (OSError, ValueError) as error:
            quarantine.move(file, f"not in the catalog, and unreadable: {error}")
            continue
        segment = one.segment
        in_log = any(low <= segment.first_sequence and segment.last_sequence <= high for low, high in logged)
        if in_log or (one.replaces and ids.issuperset(one.replaces)):
            file.unlink(missing_ok=True)
        else:
            quarantine.move(file, "a segment that is not in the catalog")
    if doomed:
        catalog.forget_doomed(doomed)


def replay(layout: Layout, quarantine: Quarantine, decode: Decode, seen: list[Seen], settings: Settings) -> Replayed:
    """Read the log into hot batches; a request that is there twice within the window counts once."""
    result = Replayed()
    known = {s.content_hash: s.received_unix_ns for s in seen}
    window_ns = int(settings.number("dedup_window_s") * 1e9)
    now_s = time.monotonic()
    seal_after_s = now_s + settings.number("segment_age_s")
    for file in wal.list_files(layout.wal):
        hot = HotFile(file, now_s, complete=True, seal_after_s=seal_after_s)
        batches: list[tuple[HotBatch, Seen]] = []
        for record in _records(file, quarantine):
            entry = record.entry
            result.last_sequence = max(result.last_sequence, entry.sequence)
            before = known.get(record.content_hash)
            if before is not None and abs(entry.received_unix_ns - before) < window_ns:
                continue
            batch = _decoded(entry, decode, quarantine)
            if batch is not None:
                batch, position = take_position(batch)
                known[record.content_hash] = entry.received_unix_ns
                told = Seen(record.content_hash, entry.sequence, entry.received_unix_ns, position)
                batches.append((HotBatch.of(entry.sequence, entry.signal, batch), told))
        if batches:
            result.files.append((hot, batches))
        else:
            with suppress(OSError):
                file.unlink()
    return result


def _records(file: Path, quarantine: Quarantine) -> list[wal.Record]:
    try:
        data = file.read_bytes()
    except OSError as error:
        quarantine.move(file, f"a log file cannot be read: {error.strerror or error}")
        return []
    records, faults = [], []
    for item in wal.scan(data):
        if isinstance(item, wal.Record):
            records.append(item)
        elif item.cut:
            _log.warning(
                "%s ends in an unfinished record (%d bytes), left by a crash", file.name, item.end - item.start
            )
        else:
            faults.append(f"bytes {item.start}..{item.end}: {item.reason}")
    if faults:
        quarantine.copy(
            file, f"a log file is damaged, the rest of it was read ({len(records)} requests); " + "; ".join(faults[:5])
        )
    return records


def _decoded(entry: Entry, decode: Decode, quarantine: Quarantine) -> pa.RecordBatch | None:
    from watchkeeper.store.committer import numbered

    try:
        return numbered(decode(entry), entry.sequence)
    except Exception as error:  # noqa: BLE001 - one request that no decoder takes: kept, logged and told
        _log.exception("request %d in the log cannot be decoded", entry.sequence)
        quarantine.keep(
            f"request-{entry.sequence:020d}.{entry.signal.value}.{entry.encoding}",
            entry.payload,
            f"a request in the log cannot be decoded: {type(error).__name__}: {error}",
        )
        return None


def _segment_files(layout: Layout) -> list[Path]:
    return sorted(layout.telemetry.rglob(f"*{files.SUFFIX}"))


def _logged_ranges(layout: Layout) -> list[tuple[int, int]]:
    """Give the first and last sequence that each log file can hold."""
    starts = [wal.first_sequence(file) for file in wal.list_files(layout.wal)]
    ends = [*(start - 1 for start in starts[1:]), 2**63 - 1]
    return list(zip(starts, ends, strict=False))
