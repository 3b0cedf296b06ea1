"""Versions of models: whole or nothing, promoted, rolled back, set aside when damaged, kept within the limit."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.store.telemetry import open_store

from watchkeeper.errors import Conflict, NotFound, QueryError, StoreError
from watchkeeper.models.card import Card
from watchkeeper.models.versions import ModelVersions
from watchkeeper.store.backup import restore
from watchkeeper.store.metadata import Metadata

NAME = "logs/default"


class Clock:
    def __init__(self):
        self.now = 1_000

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def metadata(tmp_path):
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def versions(metadata, tmp_path):
    return ModelVersions(metadata, tmp_path / "models", now_unix_ns=Clock(), keep=3)


def writer(text):
    return lambda folder: (folder / "model.txt").write_text(text)


def nothing(folder):
    del folder


def read(folder):
    return (folder / "model.txt").read_text()


def publish(versions, text, name=NAME, promote=True):
    made = versions.publish(name, writer(text), Card("logs", quality={"f1": 0.9}), verify=read)
    return versions.promote(name, made.number, who="ada", why="better") if promote else made


def test_a_published_version_is_a_candidate_with_its_card(versions):
    made = versions.publish(NAME, writer("one"), Card("logs", "job-1", {"lines": 7}, {"epochs": 2}), verify=read)
    assert (made.number, made.state, made.parent, made.created_unix_ns) == (1, "candidate", None, 1_001)
    assert versions.list() == versions.list(NAME) == [made]
    assert versions.get(NAME, 1).card.trained_on == {"lines": 7}
    assert versions.active(NAME) is None
    assert versions.list("other") == []


def test_what_cannot_be_verified_or_written_leaves_nothing(versions, tmp_path):
    def fails(folder):
        raise QueryError("no model")

    def no_room(folder):
        raise OSError("no space left")

    with pytest.raises(QueryError, match="no model"):
        versions.publish(NAME, writer("one"), Card("logs"), verify=fails)
    with pytest.raises(StoreError, match="no space left"):
        versions.publish(NAME, no_room, Card("logs"), verify=nothing)
    assert versions.list() == []
    assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []
    assert publish(versions, "two").number == 1


@pytest.mark.parametrize("name", ["", "../up", "a//b", ".hidden", "a/../b", "x" * 81, "a\nb", "a/"])
def test_names_that_could_leave_the_folder_are_refused(versions, name):
    with pytest.raises(QueryError, match="cannot be the name"):
        versions.publish(name, writer("one"), Card("logs"), verify=read)


def test_promote_makes_the_one_before_it_retired_and_tells(versions):
    told = []
    versions.on_change(told.append)
    publish(versions, "one")
    second = publish(versions, "two")
    assert second.parent == 1
    assert [version.state for version in versions.list(NAME)] == ["active", "retired"]
    assert read(versions.active(NAME).folder) == "two"
    versions.promote(NAME, 2, who="ada", why="again")
    assert told == [NAME, NAME]
    with pytest.raises(NotFound):
        versions.promote(NAME, 9, who="ada", why="no such")


def test_rollback_goes_one_step_back_each_time(versions):
    for text in ("one", "two", "three"):
        publish(versions, text)
    assert versions.rollback(NAME, who="bob", why="noisy").number == 2
    assert versions.rollback(NAME, who="bob", why="noisy still").number == 1
    with pytest.raises(Conflict, match="no earlier version"):
        versions.rollback(NAME, who="bob", why="further")
    versions.promote(NAME, 3, who="bob", why="it was not the model")
    assert versions.rollback(NAME, who="bob", why="it was").number == 1
    with pytest.raises(Conflict):
        versions.rollback("unknown", who="bob", why="x")


def test_the_audit_tells_who_when_what_and_why(versions):
    publish(versions, "one")
    publish(versions, "two")
    versions.rollback(NAME, who="bob", why="noisy")
    versions.delete(NAME, who="eve", why="reset")
    told = [(entry.number, entry.what, entry.who, entry.why) for entry in versions.audit(NAME)]
    assert told == [
        (None, "delete", "eve", "reset"),
        (1, "rollback", "bob", "from 2: noisy"),
        (2, "promote", "ada", "better"),
        (2, "publish", "watchkeeper", ""),
        (1, "promote", "ada", "better"),
        (1, "publish", "watchkeeper", ""),
    ]
    times = [entry.time_unix_ns for entry in versions.audit()]
    assert times == sorted(times, reverse=True)
    assert len(versions.audit(limit=2)) == 2


def test_delete_removes_rows_and_files_and_numbers_go_on(versions, tmp_path):
    publish(versions, "one")
    publish(versions, "other", name="online")
    assert versions.delete(NAME, who="eve", why="reset") == 1
    assert versions.delete(NAME, who="eve", why="reset") == 0
    assert versions.active(NAME) is None
    assert versions.active("online").number == 1
    assert not list((tmp_path / "models" / "logs%2Fdefault").iterdir())
    assert publish(versions, "two").number == 2


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "extra"])
def test_a_damaged_version_is_told_and_the_one_before_it_used(versions, metadata, tmp_path, damage):
    publish(versions, "one")
    second = publish(versions, "two")
    file = second.folder / "model.txt"
    if damage == "changed":
        file.write_text("owt")
    elif damage == "cut":
        file.write_text("")
    elif damage == "gone":
        file.unlink()
    else:
        (second.folder / "more.txt").write_text("more")
    told = []
    versions.on_change(told.append)
    assert read(versions.active(NAME).folder) == "one"
    assert told == [NAME]
    assert "version 2 of the model logs/default is damaged and not used" in versions.problems[0]
    assert versions.audit(NAME)[0].what == "set aside"
    with pytest.raises(Conflict, match="damaged"):
        versions.promote(NAME, 2, who="ada", why="try")
    fresh = ModelVersions(metadata, tmp_path / "models")
    assert fresh.active(NAME).number == 1
    assert fresh.get(NAME, 2).damaged


def test_load_falls_back_past_versions_that_cannot_be_loaded(versions):
    for text in ("one", "two", "three"):
        publish(versions, text)

    def only_one(folder):
        if read(folder) != "one":
            raise ValueError("of a newer Watchkeeper")
        return read(folder)

    version, loaded = versions.load(NAME, only_one)
    assert (version.number, loaded) == (1, "one")
    assert len(versions.problems) == 2
    assert versions.load("unknown", only_one) is None


def test_rollback_passes_over_damaged_versions(versions):
    for text in ("one", "two", "three"):
        publish(versions, text)
    (versions.get(NAME, 2).folder / "model.txt").write_text("owt")
    assert versions.rollback(NAME, who="bob", why="noisy").number == 1


def test_old_versions_go_but_never_the_active_one_or_the_one_before_it(versions):
    publish(versions, "one")
    publish(versions, "two")
    for text in ("three", "four", "five", "six"):
        publish(versions, text, promote=False)
    assert [version.number for version in versions.list(NAME)] == [6, 5, 4, 2, 1]
    assert versions.rollback(NAME, who="bob", why="noisy").number == 1
    publish(versions, "seven")
    assert [version.number for version in versions.list(NAME)] == [7, 6, 5, 1]


def test_another_process_is_noticed(versions, metadata, tmp_path):
    other = Metadata(tmp_path / "metadata.sqlite")
    try:
        told = []
        versions.on_change(told.append)
        publish(ModelVersions(other, tmp_path / "models"), "one")
        publish(ModelVersions(other, tmp_path / "models"), "two", name="online")
        assert told == []
        versions.promote("online", publish(versions, "three", name="online", promote=False).number, who="a", why="b")
        versions.notice()
        versions.notice()
        assert told == ["online", NAME]
    finally:
        other.close()


def test_sweep_keeps_what_another_process_is_writing(versions, metadata, tmp_path):
    def slow(folder):
        (folder / "model.txt").write_text("one")
        assert versions.sweep() == 0

    left = tmp_path / "models" / ".partial-left"
    left.mkdir(parents=True)
    assert versions.sweep() == 1
    assert versions.publish(NAME, slow, Card("logs"), verify=read).number == 1


def test_killed_at_any_line_there_is_the_whole_version_or_nothing(tmp_path):
    shared = Path("/dev/shm")  # a kill loses no page of memory, so the disk's fsync is not what is tried
    place = shared if shared.is_dir() else tmp_path
    script = Path(__file__).with_name("publish_killed.py")
    with tempfile.TemporaryDirectory(dir=place) as home:
        done = subprocess.run([sys.executable, script, home], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    kills, whole = map(int, done.stdout.split())
    assert kills > 100
    assert whole >= 2


def test_a_backup_brings_versions_back(tmp_path):
    with open_store(tmp_path / "home") as store:
        versions = ModelVersions(store.metadata, tmp_path / "home" / "models")
        publish(versions, "one")
        publish(versions, "two")

        def meanwhile(folder):
            (folder / "model.txt").write_text("three")
            store.backup(tmp_path / "copy")

        versions.publish(NAME, meanwhile, Card("logs"), verify=read)
    restore(tmp_path / "copy", tmp_path / "elsewhere")
    with open_store(tmp_path / "elsewhere") as store:
        versions = ModelVersions(store.metadata, tmp_path / "elsewhere" / "models")
        assert [version.number for version in versions.list()] == [2, 1]
        assert read(versions.active(NAME).folder) == "two"
        assert versions.rollback(NAME, who="bob", why="noisy").number == 1
        assert versions.problems == []
        assert versions.sweep() == 0
