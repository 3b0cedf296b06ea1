from __future__ import annotations

import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest

from watchkeeper.datasets.catalogue import DATA_SETS, DataSet, Place
from watchkeeper.datasets.logs import log_parts
from watchkeeper.datasets.read import locate, members, open_member, read_members
from watchkeeper.errors import DataSetError, NotFound


def a_set(name: str, file: str) -> DataSet:
    return DataSet(name, file, 1, "0" * 64, "MIT", "a test", (Place("a/b", "", ""),), ("t",))


def pack(path: Path, mode: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.fixture(params=["tar", "tar.xz"])
def packed(request, tmp_path, monkeypatch) -> Path:
    monkeypatch.setitem(DATA_SETS._entries, "tiny", a_set("tiny", f"tiny.{request.param}"))
    pack(
        tmp_path / f"tiny.{request.param}", "w:xz" if request.param == "tar.xz" else "w", {"d/b": b"two", "d/a": b"one"}
    )
    return tmp_path


def test_members_of_a_packed_set(packed):
    assert [tuple(member) for member in members("tiny", packed)] == [("d/a", 3), ("d/b", 3)]
    with open_member("tiny", "d/a", packed) as stream:
        assert stream.read() == b"one"
    assert dict(read_members("tiny", packed, lambda name: name.endswith("b"))) == {"d/b": b"two"}


def test_a_member_that_is_not_there_is_told(packed):
    with pytest.raises(NotFound, match="watchkeeper data list tiny"):
        open_member("tiny", "d/c", packed)


def test_a_damaged_archive_is_told(packed):
    file = locate("tiny", packed)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataSetError, match="damaged"):
        members("tiny", packed)


def test_a_compressed_single_file(tmp_path, monkeypatch):
    monkeypatch.setitem(DATA_SETS._entries, "cases", a_set("cases", "cases.jsonl.xz"))
    (tmp_path / "cases.jsonl.xz").write_bytes(lzma.compress(b'{"a":1}\n'))
    assert [member.name for member in members("cases", tmp_path)] == ["cases.jsonl"]
    with open_member("cases", "cases.jsonl", tmp_path) as stream:
        assert stream.read() == b'{"a":1}\n'


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("WATCHKEEPER_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("WATCHKEEPER_DATA names no folder of data sets")
    return Path(folder)


def part_lines(name: str, data: Path) -> dict[str, int]:
    counts = {}
    for part in log_parts(name, data):
        with part.open() as stream:
            content = stream.read()
        assert part.size_bytes in (None, len(content))
        counts[part.name.rpartition("/")[2]] = len(content.splitlines())
    return counts


@pytest.mark.data
def test_the_log_sets_hold_the_lines_that_the_catalogue_says(data):
    assert part_lines("hdfs", data) == {"hdfs": 222_579}
    assert part_lines("bgl", data) == {"bgl2_100k.log": 100_000}
    assert sum(part_lines("openstack", data).values()) == 43_776
    loghub = part_lines("loghub", data)
    assert len(loghub) == 8
    assert set(loghub.values()) == {2000}
    assert part_lines("loghub/Spark", data) == {"Spark_2k.log": 2000}
