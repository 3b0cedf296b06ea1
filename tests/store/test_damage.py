"""What is broken on the disk is set aside and told; the rest is served, and the store always opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tests.store import telemetry
from tests.store.telemetry import HOUR_NS, NOON_NS, counts, payload, put, segment_files, send, wal_files

from watchkeeper.signals.schema import Signal
from watchkeeper.store.entry import Entry
from watchkeeper.store.store import Store

Opened = Callable[..., Store]
Harm = Callable[[Path], None]


def flip_middle(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for at in range(len(data) // 3, len(data) // 3 + 64):
        data[at] ^= 0xFF
    file.write_bytes(data)


def cut_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def zero_tail(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-64] + bytes(64))


HARMS: list[Harm] = [flip_middle, cut_half, empty, zero_tail, Path.unlink]


def two_segments(store: Store) -> None:
    put(store, "good", rows=40)
    put(store, "bad", rows=40, start_ns=NOON_NS + HOUR_NS)
    store.seal_now()


def bad_file(home: Path) -> Path:
    return next(iter(segment_files(home, "logs/*/hour=13/*.parquet")))


@pytest.mark.parametrize("harm", HARMS)
def test_a_segment_broken_while_closed(opened: Opened, home: Path, harm: Harm) -> None:
    store = opened()
    two_segments(store)
    store.close()
    harm(bad_file(home))
    store = opened()
    store.verify_now()
    assert counts(store) == {"good": 40}
    (reason,) = store.stats().quarantined
    assert "40 rows of logs" in reason
    put(store, "more")
    store.close()
    store = opened()
    assert counts(store) == {"good": 40, "more": 3}
    assert len(store.stats().quarantined) == 1


@pytest.mark.parametrize("harm", HARMS)
def test_a_segment_broken_under_a_running_store(opened: Opened, home: Path, harm: Harm) -> None:
    store = opened()
    two_segments(store)
    harm(bad_file(home))
    rows = sum(counts(store).values())
    store.verify_now()
    assert rows in {40, 80}
    assert counts(store) == {"good": 40}
    assert len(store.stats().quarantined) == 1


def test_a_query_that_meets_a_broken_segment_goes_on_without_it(opened: Opened, home: Path) -> None:
    store = opened()
    two_segments(store)
    cut_half(bad_file(home))
    assert counts(store) == {"good": 40}
    assert len(store.stats().quarantined) == 1


def test_damage_that_no_query_meets_is_found_by_reading_one_segment_after_the_other(opened: Opened, home: Path) -> None:
    store = opened()
    two_segments(store)
    flip_middle(bad_file(home))
    checked = [store._verify_after("")]
    checked.append(store._verify_after(checked[-1]))
    assert len(set(checked)) == 2
    assert len(store.stats().quarantined) == 1
    assert store._verify_after(checked[-1]) in checked
    assert counts(store) == {"good": 40}


def test_merging_meets_a_broken_segment(opened: Opened, home: Path) -> None:
    store = opened()
    for name in ("a", "b", "c"):
        put(store, name, rows=50)
        store.seal_now()
    flip_middle(segment_files(home)[1])
    store.compact_now()
    store.compact_now()
    assert counts(store) == {"a": 50, "c": 50}
    assert len(store.stats().quarantined) == 1


@pytest.mark.parametrize("harm", [flip_middle, empty, cut_half, Path.unlink])
def test_a_lost_catalog_is_rebuilt_from_the_segments(opened: Opened, home: Path, harm: Harm) -> None:
    store = opened()
    two_segments(store)
    for name in ("x", "y"):
        put(store, name, rows=5)
        store.seal_now()
    store.compact_now()
    put(store, "in the log", rows=2)
    before = counts(store)
    store.close()
    for side in home.glob("catalog.sqlite-*"):
        side.unlink()
    catalog = home / "catalog.sqlite"
    if harm is flip_middle:
        catalog.write_bytes(b"this is not a database" * 1000)
    else:
        harm(catalog)
    store = opened()
    assert counts(store) == before
    assert put(store, "next") == 6
    assert len(store.stats().quarantined) == (0 if harm in {Path.unlink, empty} else 1)
    store.close()
    assert counts(opened()) == {**before, "next": 3}


def test_a_segment_that_a_killed_seal_left_is_removed(
    opened: Opened, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    put(store, "a")
    monkeypatch.setattr(store._catalog, "seal", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        store.seal_now()
    assert len(segment_files(home)) == 1
    store.close()
    store = opened()
    assert segment_files(home) == []
    assert counts(store) == {"a": 3}
    assert store.stats().quarantined == ()


def test_a_strange_file_among_the_segments_is_set_aside(opened: Opened, home: Path) -> None:
    store = opened()
    two_segments(store)
    store.close()
    folder = bad_file(home).parent
    (folder / "notes.parquet").write_bytes(b"hello")
    (folder / "left.parquet.tmp").write_bytes(b"PAR1")
    store = opened()
    assert counts(store) == {"good": 40, "bad": 40}
    assert [r.split(":")[0] for r in store.stats().quarantined] == ["notes.parquet"]
    assert not (folder / "left.parquet.tmp").exists()


def test_the_log_cut_at_every_byte_opens_with_exactly_the_whole_requests(tmp_path: Path) -> None:
    source = telemetry.open_store(tmp_path / "source")
    ends = []
    for name in ("a", "b", "c"):
        put(source, name, rows=1)
        ends.append(wal_files(tmp_path / "source")[0].stat().st_size)
    source.close()
    (file,) = wal_files(tmp_path / "source")
    data = file.read_bytes()
    home = tmp_path / "cut"
    telemetry.open_store(home).close()
    for cut in range(len(data) + 1):
        (home / "wal" / file.name).write_bytes(data[:cut])
        store = telemetry.open_store(home)
        try:
            found = [r.batch.column("body")[0].as_py() for r in store.recovered()]
            assert found == ["a", "b", "c"][: sum(end <= cut for end in ends)], cut
            assert store.stats().quarantined == (), cut
        finally:
            store.close()
            for left in wal_files(home):
                left.unlink()


def test_a_log_damaged_in_its_middle_gives_the_rest_and_is_told(opened: Opened, home: Path) -> None:
    store = opened()
    for name in ("a", "b", "c"):
        put(store, name)
    store.close()
    (file,) = wal_files(home)
    data = bytearray(file.read_bytes())
    data[data.index(b'"b"') + 1] ^= 1
    file.write_bytes(data)
    store = opened()
    assert counts(store) == {"a": 3, "c": 3}
    (reason,) = store.stats().quarantined
    assert file.name in reason
    assert (home / "quarantine" / file.name).read_bytes() == data
    store.seal_now()
    assert counts(store) == {"a": 3, "c": 3}


def test_a_log_with_an_unreadable_header_is_set_aside(opened: Opened, home: Path) -> None:
    store = opened()
    put(store, "a")
    store.close()
    (file,) = wal_files(home)
    file.write_bytes(b"\0" * 200)
    store = opened()
    assert counts(store) == {}
    assert len(store.stats().quarantined) == 1
    assert wal_files(home) == []
    put(store, "b")
    assert counts(store) == {"b": 3}


def test_a_request_that_no_longer_decodes_is_kept_aside(home: Path) -> None:
    def fussy(entry: Entry) -> pa.RecordBatch:
        if b'"bad"' in entry.payload:
            raise RuntimeError("a fault in the decoder")
        return telemetry.decode(entry)

    with telemetry.open_store(home) as store:
        put(store, "good")
        put(store, "bad")
    with Store.open(home, telemetry.settings(home), fussy) as store:
        assert counts(store) == {"good": 3}
        (reason,) = store.stats().quarantined
        assert "a fault in the decoder" in reason
        assert any(payload("bad") == f.read_bytes() for f in (home / "quarantine").iterdir())


def test_a_refused_request_whose_bytes_stayed_in_the_log_counts_once_when_it_was_retried(
    opened: Opened, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    put(store, "first")
    real = store._committer._file
    assert real is not None
    written = real.append

    def written_yet_failed(pieces: list[bytes]) -> None:
        written(pieces)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(real, "append", written_yet_failed)
    assert send(store, payload("again")).exception(10) is not None
    assert not send(store, payload("again")).result(10).duplicate
    store.close()
    assert len(wal_files(home)) == 2
    store = opened()
    assert counts(store) == {"first": 3, "again": 3}
    assert store.stats().signals[Signal.LOGS].rows == 6
