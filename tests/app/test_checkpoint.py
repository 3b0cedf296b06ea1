"""Checkpoints: published whole, the newest readable one taken, damage set aside and told."""

import json
from pathlib import Path

import pytest

from watchkeeper.app.checkpoint import KEPT, Checkpoints
from watchkeeper.errors import StoreError


def writer(text: str):  # type: ignore[no-untyped-def]
    return lambda folder: (folder / "state.txt").write_text(text)


class Reader:
    def __init__(self) -> None:
        self.text = ""

    def __call__(self, folder: Path) -> None:
        self.text = (folder / "state.txt").read_text()
        if self.text == "damaged":
            raise StoreError("the state is damaged")


def test_the_newest_is_taken_and_only_a_few_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for sequence in (3, 20, 100):
        checkpoints.save(sequence, writer(f"at {sequence}"))
    reader = Reader()
    assert checkpoints.load(reader) == 100
    assert reader.text == "at 100"
    assert len(list(tmp_path.iterdir())) == KEPT


def test_nothing_saved_means_sequence_zero(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").load(Reader()) == 0


def test_a_damaged_one_is_set_aside_and_the_one_before_taken(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer("good"))
    damaged = checkpoints.save(2, writer("damaged"))
    reader = Reader()
    assert checkpoints.load(reader) == 1
    assert reader.text == "good"
    assert not damaged.exists()
    assert "the state is damaged" in checkpoints.problems[0]
    assert (tmp_path / f"damaged-{damaged.name}" / "state.txt").exists()


def test_one_of_a_newer_version_is_not_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    folder = checkpoints.save(5, writer("from the future"))
    (folder / "checkpoint.json").write_text(json.dumps({"schema_version": 99, "sequence": 5}))
    reader = Reader()
    assert checkpoints.load(reader) == 0
    assert reader.text == ""


def test_a_save_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, writer("good"))

    def fail(folder: Path) -> None:
        (folder / "state.txt").write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        checkpoints.save(2, fail)
    reader = Reader()
    assert checkpoints.load(reader) == 1
    assert reader.text == "good"
