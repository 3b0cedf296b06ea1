"""The log: any cut or damage loses only what it hit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.store.telemetry import NOON_NS

from watchkeeper.errors import NewerFormat
from watchkeeper.signals.schema import Signal
from watchkeeper.store import wal
from watchkeeper.store.entry import Entry
from watchkeeper.store.wal import HEADER_BYTES, Damage, Record, WalFile, body_head, frame, scan

ENTRIES = [
    Entry(5, Signal.LOGS, "protobuf", "10.0.0.1", NOON_NS, b"first payload"),
    Entry(6, Signal.METRICS, "json", "", NOON_NS + 1, b""),
    Entry(7, Signal.SPANS, "protobuf", "näme", -1, bytes(range(256)) * 2),
    Entry(9, Signal.LOGS, "json", "x", 2**62, wal._MARKER * 9),
]
HASH = bytes(range(16))


def written(folder: Path) -> tuple[bytes, list[int]]:
    """Give the bytes of a log with ENTRIES, and the offset at which each record ends."""
    file = WalFile.create(folder, 5)
    ends = []
    for entry in ENTRIES:
        file.append(frame(body_head(entry, HASH), entry.payload, file.salt))
        ends.append(file.durable_bytes)
    file.close()
    return file.path.read_bytes(), ends


def records(data: bytes) -> list[Entry]:
    return [item.entry for item in scan(data) if isinstance(item, Record)]


def damages(data: bytes) -> list[Damage]:
    return [item for item in scan(data) if isinstance(item, Damage)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    data, ends = written(tmp_path)
    assert records(data) == ENTRIES
    assert damages(data) == []
    assert ends[-1] == len(data)
    assert [r.content_hash for r in scan(data) if isinstance(r, Record)] == [HASH] * 4
    assert [f.name for f in wal.list_files(tmp_path)] == ["00000000000000000005.wal"]


def test_cut_at_every_byte_gives_exactly_the_whole_records(tmp_path: Path) -> None:
    data, ends = written(tmp_path)
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        assert records(data[:cut]) == ENTRIES[:whole], cut
        assert all(damage.cut for damage in damages(data[:cut])), cut


def test_every_flipped_byte_loses_one_record_at_most_and_is_told(tmp_path: Path) -> None:
    data, ends = written(tmp_path)
    starts = [HEADER_BYTES, *ends]
    for at in range(len(data)):
        broken = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        hit = next((i for i, end in enumerate(ends) if starts[i] <= at < end), None)
        assert records(broken) == [e for i, e in enumerate(ENTRIES) if i != hit], at
        assert bool(damages(broken)) == (hit is not None), at


def test_zeros_after_the_end_are_what_a_crash_leaves(tmp_path: Path) -> None:
    data, _ = written(tmp_path)
    assert records(data + bytes(500)) == ENTRIES
    assert [d.cut for d in damages(data + bytes(500))] == [True]
    assert [d.cut for d in damages(data + b"garbage that is longer than a frame")] == [False]


def test_a_record_planted_in_a_payload_does_not_pass_when_its_carrier_is_damaged(tmp_path: Path) -> None:
    planted = Entry(99, Signal.LOGS, "json", "evil", NOON_NS, b"forged")
    carrier = Entry(1, Signal.LOGS, "json", "evil", NOON_NS, b"".join(frame(body_head(planted, HASH), b"forged", 0)))
    file = WalFile.create(tmp_path, 1)
    file.append(frame(body_head(carrier, HASH), carrier.payload, file.salt))
    file.close()
    data = bytearray(file.path.read_bytes())
    assert records(bytes(data)) == [carrier]
    data[-1] ^= 1
    assert records(bytes(data)) == []


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "WAL_VERSION", 2)
    data, _ = written(tmp_path)
    monkeypatch.setattr(wal, "WAL_VERSION", 1)
    with pytest.raises(NewerFormat):
        list(scan(data))


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = WalFile.create(tmp_path, 1)
    pieces = frame(body_head(ENTRIES[0], HASH), ENTRIES[0].payload, file.salt)
    file.append(pieces)
    before = file.path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(wal.os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            file.append(pieces)
    assert file.path.read_bytes() == before
    file.append(frame(body_head(ENTRIES[1], HASH), ENTRIES[1].payload, file.salt))
    file.close()
    assert records(file.path.read_bytes()) == ENTRIES[:2]


def test_more_pieces_than_one_system_call_takes(tmp_path: Path) -> None:
    file = WalFile.create(tmp_path, 0)
    entries = [Entry(i, Signal.LOGS, "json", "s", NOON_NS, b"p" * i) for i in range(3000)]
    file.append([piece for e in entries for piece in frame(body_head(e, HASH), e.payload, file.salt)])
    file.close()
    assert records(file.path.read_bytes()) == entries
