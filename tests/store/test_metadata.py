"""Metadata: transactions, versions of components, readers beside a writer."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.store.metadata import Metadata

TABLE = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY, n INTEGER) STRICT"


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    made = Metadata(tmp_path / "metadata.sqlite")
    made.ensure("things", 1, [TABLE])
    yield made
    made.close()


def test_rows_come_back_by_name(metadata: Metadata) -> None:
    assert metadata.write("INSERT INTO things VALUES (?, ?)", ["a", 1]) == 1
    assert metadata.write("INSERT INTO things VALUES (:name, :n)", {"name": "b", "n": 2}) == 1
    assert metadata.write("UPDATE things SET n = n + 1") == 2
    assert [tuple(r) for r in metadata.read("SELECT name, n FROM things ORDER BY name")] == [("a", 2), ("b", 3)]
    assert metadata.read("SELECT n FROM things WHERE name = ?", ["b"])[0]["n"] == 3


def test_a_transaction_is_there_in_whole_or_not_at_all(metadata: Metadata) -> None:
    with metadata.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a', 1)")
        assert metadata.read("SELECT * FROM things") == []
    with contextlib.suppress(RuntimeError), metadata.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('b', 1)")
        raise RuntimeError("stop")
    assert [r["name"] for r in metadata.read("SELECT name FROM things")] == ["a"]
    with pytest.raises(sqlite3.IntegrityError):
        metadata.write("INSERT INTO things VALUES ('a', 2)")


def test_components_have_versions(metadata: Metadata, tmp_path: Path) -> None:
    metadata.ensure("things", 1, ["this would fail"])
    metadata.ensure("things", 3, ["ALTER TABLE things ADD COLUMN more TEXT"])
    metadata.write("INSERT INTO things VALUES ('a', 1, 'x')")
    with pytest.raises(NewerFormat, match="things"):
        metadata.ensure("things", 2, [])
    again = Metadata(tmp_path / "metadata.sqlite")
    assert len(again.read("SELECT more FROM things")) == 1
    again.close()


def test_a_failed_upgrade_changes_nothing(metadata: Metadata) -> None:
    with pytest.raises(StoreError):
        metadata.ensure("things", 2, ["ALTER TABLE things ADD COLUMN more TEXT", "nonsense"])
    assert metadata.read("SELECT * FROM things") == []
    metadata.ensure("things", 2, ["ALTER TABLE things ADD COLUMN more TEXT"])


def test_many_threads_write_and_read(metadata: Metadata) -> None:
    metadata.write("INSERT INTO things VALUES ('n', 0)")

    def work() -> None:
        for _ in range(25):
            with metadata.transaction() as connection:
                n = connection.execute("SELECT n FROM things").fetchone()["n"]
                connection.execute("UPDATE things SET n = ?", [n + 1])
            metadata.read("SELECT n FROM things")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metadata.read("SELECT n FROM things")[0]["n"] == 200


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=r"bad\.sqlite"):
        Metadata(tmp_path / "bad.sqlite")
