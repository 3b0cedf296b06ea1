"""Fetching against a real server on loopback that cuts, lies and refuses as it is told to."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.collector import serving

from watchkeeper.datasets import fetch as fetching
from watchkeeper.datasets.catalogue import DATA_SETS, DataSet, Place
from watchkeeper.datasets.fetch import fetch, is_present, verify
from watchkeeper.errors import DataSetError, UnknownName

CONTENT = bytes(range(256)) * 4000
SET = DataSet(
    "tiny",
    "tiny.tar",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    "MIT",
    "a test",
    (Place("a/b", "01234567", ""),),
    ("t",),
)


class Mirror:
    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/tiny.tar": CONTENT}
        self.cuts: deque[int] = deque()
        self.statuses: deque[int] = deque()
        self.ranges: list[str | None] = []
        self.honours_ranges = True
        self.tells_length = True
        self.url = ""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            if state.statuses:
                self.send_error(state.statuses.popleft())
                return
            if self.path not in state.files:
                self.send_error(404)
                return
            whole = state.files[self.path]
            start = int(re.findall(r"\d+", asked)[0]) if asked and state.honours_ranges else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
            data = whole[start:]
            if state.tells_length:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: state.cuts.popleft()] if state.cuts else data)

        def log_message(self, *unused: object) -> None:
            pass

    with serving(Handler) as url:
        state.url = url
        yield state


@pytest.fixture(autouse=True)
def tiny(monkeypatch) -> None:
    monkeypatch.setitem(DATA_SETS._entries, "tiny", SET)


def get(mirror: Mirror, folder: Path, **options) -> tuple[list[Path], list[float]]:
    pauses: list[float] = []
    return fetch("tiny", folder, mirror.url, sleep=pauses.append, **options), pauses


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_set_is_fetched_whole_and_only_once(mirror, tmp_path):
    seen: list[tuple[str, int, int]] = []
    paths, _ = get(mirror, tmp_path / "new", progress=lambda *told: seen.append(told))
    assert paths == [tmp_path / "new" / "tiny.tar"]
    assert paths[0].read_bytes() == CONTENT
    assert seen[-1] == ("tiny.tar", len(CONTENT), len(CONTENT))
    assert left(tmp_path) == ["tiny.tar"]
    get(mirror, tmp_path / "new")
    assert len(mirror.ranges) == 1


def test_what_is_cut_off_goes_on_where_it_stopped(mirror, tmp_path):
    mirror.cuts += [300_000, 200_000]
    paths, pauses = get(mirror, tmp_path)
    assert paths[0].read_bytes() == CONTENT
    assert mirror.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert pauses == [1.0, 2.0]


def test_a_later_call_goes_on_too(mirror, tmp_path):
    (tmp_path / "tiny.tar.part").write_bytes(CONTENT[:1000])
    get(mirror, tmp_path)
    assert mirror.ranges == ["bytes=1000-"]
    assert (tmp_path / "tiny.tar").read_bytes() == CONTENT


def test_a_server_without_ranges_is_read_from_the_start(mirror, tmp_path):
    mirror.honours_ranges = False
    mirror.cuts.append(300_000)
    paths, _ = get(mirror, tmp_path)
    assert paths[0].read_bytes() == CONTENT


def test_a_server_that_tells_no_length_is_no_hindrance(mirror, tmp_path):
    mirror.tells_length = False
    mirror.cuts.append(300_000)
    paths, _ = get(mirror, tmp_path)
    assert paths[0].read_bytes() == CONTENT


def test_another_checksum_is_refused_and_nothing_of_it_stays(mirror, tmp_path):
    mirror.files["/tiny.tar"] = b"x" + CONTENT[1:]
    with pytest.raises(DataSetError, match="has the checksum"):
        get(mirror, tmp_path)
    assert left(tmp_path) == []


def test_a_wrong_part_of_an_earlier_call_is_removed_too(mirror, tmp_path):
    (tmp_path / "tiny.tar.part").write_bytes(b"nonsense")
    with pytest.raises(DataSetError, match="has the checksum"):
        get(mirror, tmp_path)
    assert left(tmp_path) == []
    get(mirror, tmp_path)
    assert left(tmp_path) == ["tiny.tar"]


def test_a_file_that_is_longer_than_it_should_be_is_refused_before_it_fills_the_disk(mirror, tmp_path):
    mirror.files["/tiny.tar"] = CONTENT * 20
    with pytest.raises(DataSetError, match="has the checksum"):
        get(mirror, tmp_path)
    assert left(tmp_path) == []


def test_404_is_told_at_once(mirror, tmp_path):
    mirror.files.clear()
    with pytest.raises(DataSetError, match=r"404.*is the address right"):
        get(mirror, tmp_path)
    assert len(mirror.ranges) == 1


def test_a_passing_fault_is_tried_again(mirror, tmp_path):
    mirror.statuses += [503, 429]
    paths, pauses = get(mirror, tmp_path)
    assert paths[0].read_bytes() == CONTENT
    assert len(pauses) == 2


def test_a_lasting_fault_ends_after_five_attempts_and_keeps_what_came(mirror, tmp_path):
    mirror.cuts += [1000] * 5
    with pytest.raises(DataSetError, match="in 5 attempts"):
        get(mirror, tmp_path)
    assert left(tmp_path) == ["tiny.tar.part"]
    assert (tmp_path / "tiny.tar.part").read_bytes() == CONTENT[:5000]


def test_nobody_there_is_told(tmp_path):
    with pytest.raises(DataSetError, match="in 5 attempts"):
        fetch("tiny", tmp_path, "http://127.0.0.1:9", sleep=lambda seconds: None)


def test_a_folder_serves_as_a_mirror(tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "tiny.tar").write_bytes(CONTENT)
    fetch("tiny", tmp_path / "data", str(tmp_path / "mirror"))
    assert (tmp_path / "data" / "tiny.tar").read_bytes() == CONTENT
    with pytest.raises(DataSetError, match="is the folder right"):
        fetch("nab", tmp_path / "data", str(tmp_path / "mirror"))


def test_single_public_files_are_fetched_and_checked_one_by_one(mirror, tmp_path, monkeypatch):
    files = [
        {"member": f"d/{name}", "path": f"src/{name}", "size_bytes": 3, "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in (("a", b"aaa"), ("b c", b"bbb"))
    ]
    monkeypatch.setattr(
        fetching, "upstream_files", lambda: {"tiny": {"repository": "a/b", "commit": "01234567", "files": files}}
    )
    mirror.files |= {"/a/b/01234567/src/a": b"aaa", "/a/b/01234567/src/b%20c": b"bbb"}
    assert not is_present(SET, tmp_path)
    paths = fetch("tiny", tmp_path, public=mirror.url + "/{repository}/{commit}/{path}", sleep=lambda seconds: None)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["tiny/d/a", "tiny/d/b c"]
    assert is_present(SET, tmp_path)
    assert verify(SET, tmp_path) == "ok"
    paths[0].write_bytes(b"AAA")
    assert "has the checksum" in verify(SET, tmp_path)


def test_without_a_mirror_a_packed_set_says_where_its_parts_are(tmp_path):
    with pytest.raises(DataSetError, match=r"numenta|a/b.*--from"):
        fetch("tiny", tmp_path)


def test_an_unknown_name_is_told(tmp_path):
    with pytest.raises(UnknownName, match="nab"):
        fetch("nav", tmp_path)


def test_verify_tells_ok_absent_and_wrong_apart(mirror, tmp_path):
    assert verify(SET, tmp_path) == "absent"
    get(mirror, tmp_path)
    assert verify(SET, tmp_path) == "ok"
    (tmp_path / "tiny.tar").write_bytes(b"x")
    assert "has the checksum" in verify(SET, tmp_path)
