from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from watchkeeper.cli.main import main
from watchkeeper.datasets.catalogue import DATA_SETS, DataSet, Place


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    with tarfile.open(folder / "tiny.tar", "w") as archive:
        info = tarfile.TarInfo("d/a.log")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    data = (folder / "tiny.tar").read_bytes()
    row = DataSet(
        "tiny",
        "tiny.tar",
        len(data),
        hashlib.sha256(data).hexdigest(),
        "MIT",
        "a test",
        (Place("a/b", "01234567", "x"),),
        ("t",),
    )
    monkeypatch.setitem(DATA_SETS._entries, "tiny", row)
    monkeypatch.setenv("WATCHKEEPER_DATA", str(tmp_path / "data"))
    return folder


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["data", *arguments])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_a_set_is_fetched_listed_located_and_verified(capsys, mirror, tmp_path):
    place = str(tmp_path / "data" / "tiny.tar")
    told = "licence: MIT; cite: no paper; name the repository\n"
    assert run(capsys, "fetch", "tiny", "--from", str(mirror)) == (0, f"tiny is in {place}\n", told)
    assert run(capsys, "path", "tiny") == (0, f"{place}\n", "")
    assert run(capsys, "verify") == (0, "tiny: ok\n", "")
    status, out, _ = run(capsys, "list", "tiny")
    assert status == 0
    assert "here; licence: MIT" in out
    assert "cite: no paper" in out
    assert "from a/b @ 01234567: x" in out
    assert "d/a.log" in out
    rows = [json.loads(line) for line in run(capsys, "list", "--json")[1].splitlines()]
    assert {row["name"]: row["present"] for row in rows}["tiny"] is True
    Path(place).write_bytes(b"x")
    status, out, err = run(capsys, "verify", "tiny")
    assert status == 1
    assert "has the checksum" in out
    assert "fetch them again" in err


def test_the_mirror_may_be_a_setting(capsys, mirror, monkeypatch):
    monkeypatch.setenv("WATCHKEEPER_DATA_MIRROR", str(mirror))
    assert run(capsys, "fetch", "tiny")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "status", "hint"),
    [
        (["path", "nab"], 1, "watchkeeper data fetch nab"),
        (["path", "nabb"], 2, "did you mean 'nab'"),
        (["verify"], 1, "there is no data set"),
        (["verify", "nab"], 1, "not as they should be"),
        (["fetch", "smd"], 1, "--from"),
    ],
)
def test_what_goes_wrong_is_told(capsys, mirror, arguments, status, hint):
    code, _, err = run(capsys, *arguments)
    assert code == status
    assert hint in err


def test_the_list_names_what_can_be_replayed(capsys, mirror):
    assert "hdfs, bgl, hadoop, openstack, loghub, loghub/HDFS" in run(capsys, "list")[1]
