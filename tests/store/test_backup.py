"""Backup while in use, restore elsewhere, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.store.telemetry import counts, open_store, payload, put, send

from watchkeeper.errors import StoreError
from watchkeeper.signals.schema import Signal
from watchkeeper.store.backup import restore
from watchkeeper.store.store import Store

Opened = Callable[..., Store]


def filled(opened: Opened) -> Store:
    store = opened()
    put(store, "sealed", rows=30)
    send(store, payload("span"), signal=Signal.SPANS).result(10)
    store.seal_now()
    put(store, "in the log", rows=4)
    store.metadata.ensure("notes", 1, ["CREATE TABLE IF NOT EXISTS notes (text TEXT)"])
    store.metadata.write("INSERT INTO notes VALUES ('kept')")
    return store


@pytest.mark.parametrize("name", ["copy", "copy.tar"])
def test_round_trip(opened: Opened, tmp_path: Path, name: str) -> None:
    store = filled(opened)
    target = tmp_path / "backups" / name
    report = store.backup(target)
    assert (report.target, report.files >= 5) == (target, True)
    put(store, "after the backup")
    elsewhere = tmp_path / "elsewhere"
    assert restore(target, elsewhere).files == report.files
    with open_store(elsewhere) as copy:
        assert counts(copy) == {"sealed": 30, "in the log": 4}
        assert counts(copy, "spans") == {"span": 3}
        assert [row["text"] for row in copy.metadata.read("SELECT text FROM notes")] == ["kept"]
        assert send(copy, payload("in the log", rows=4)).result(10).duplicate
        assert copy.stats().quarantined == ()
    assert [p.name for p in target.parent.iterdir()] == [name]


def test_backup_while_everything_moves(opened: Opened, tmp_path: Path) -> None:
    store = opened(segment_age_s=0.05, wal_file_bytes_max=8192)
    stop = threading.Event()
    stored: list[str] = []

    def write() -> None:
        while not stop.is_set():
            put(store, f"n{len(stored)}", rows=5)
            stored.append(f"n{len(stored)}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(5):
            before = list(stored)
            store.backup(tmp_path / f"b{i}")
            store.compact_now()
            restore(tmp_path / f"b{i}", tmp_path / f"h{i}")
            with open_store(tmp_path / f"h{i}") as copy:
                found = counts(copy)
                assert set(found.values()) <= {5}
                assert set(before) <= set(found)
    finally:
        stop.set()
        writer.join()


def test_restore_refuses_a_home_with_something_in_it(opened: Opened, tmp_path: Path) -> None:
    store = filled(opened)
    store.backup(tmp_path / "copy")
    with open_store(tmp_path / "other") as other:
        put(other, "precious")
    with pytest.raises(StoreError, match="not empty"):
        restore(tmp_path / "copy", tmp_path / "other")
    with open_store(tmp_path / "other") as other:
        assert counts(other) == {"precious": 3}
        with pytest.raises(StoreError, match="pid"):
            restore(tmp_path / "copy", tmp_path / "other", overwrite=True)
    restore(tmp_path / "copy", tmp_path / "other", overwrite=True)
    with open_store(tmp_path / "other") as other:
        assert counts(other) == {"sealed": 30, "in the log": 4}


def test_a_damaged_backup_is_refused_and_leaves_the_home_alone(opened: Opened, tmp_path: Path) -> None:
    store = filled(opened)
    for name in ("copy", "copy.tar"):
        target = tmp_path / name
        store.backup(target)
        file = next(target.rglob("*.parquet")) if target.is_dir() else target
        data = bytearray(file.read_bytes())
        file.unlink()
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
        with pytest.raises(StoreError):
            restore(target, tmp_path / "fresh")
        assert not (tmp_path / "fresh").exists()
    assert counts(store) == {"sealed": 30, "in the log": 4}


def test_a_backup_never_overwrites(opened: Opened, tmp_path: Path) -> None:
    store = filled(opened)
    (tmp_path / "copy").mkdir()
    with pytest.raises(StoreError, match="exists"):
        store.backup(tmp_path / "copy")


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a tar")
    (tmp_path / "folder").mkdir()
    for source in ("x.tar", "folder", "missing"):
        with pytest.raises(StoreError, match="not a backup"):
            restore(tmp_path / source, tmp_path / "fresh")
