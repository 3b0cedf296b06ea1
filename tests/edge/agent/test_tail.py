"""Files are followed through rotation, truncation and restarts; each line once, stack traces whole."""

from __future__ import annotations

import errno
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.edge.intake import parse
from watchkeeper.edge.tail import Tail
from watchkeeper.signals.signal import Signal


class Follower:
    """A Tail on a clock of its own; `bodies` are what it kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_s = 0.0
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.bodies: list[str] = []
        self.times: list[str] = []
        self.severities: list[str] = []
        self.payloads: list[bytes] = []
        self.room = True
        self.killed = False
        self.restart()

    def restart(self) -> None:
        self.tail = Tail(
            (str(self.folder / "*.log*"),),
            self.folder / "places.json",
            self.keep,
            monotonic=lambda: self.now_s,
            now_unix_ns=lambda: int(self.now.timestamp()) * 10**9,
        )

    def keep(self, payload: bytes) -> bool:
        self.payloads.append(payload)
        if self.killed:
            raise SystemExit
        if self.room:
            message = parse(Signal.LOGS, payload)
            for group in message.resource_logs:  # type: ignore[attr-defined]
                for record in group.scope_logs[0].log_records:
                    self.bodies.append(record.body.string_value)
                    self.severities.append(record.severity_text)
                    moment = datetime.fromtimestamp(record.time_unix_nano // 10**9, UTC)
                    self.times.append(moment.isoformat(" ") if record.time_unix_nano else "")
        return self.room

    def settle(self) -> list[str]:
        """Let time pass until nothing more is read; gives what was read since."""
        self.bodies.clear()
        for _ in range(8):
            self.now_s += 2.0
            self.tail.step()
        return list(self.bodies)


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    made = Follower(tmp_path)
    made.settle()
    return made


def write(file: Path, *lines: str) -> None:
    with file.open("a") as opened:
        opened.writelines(f"{line}\n" for line in lines)


def test_new_lines_are_read_once_and_across_restarts(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, "one", "two")
    assert follower.settle() == ["one", "two"]
    assert follower.settle() == []
    follower.tail.close()
    write(file, "three")
    follower.restart()
    assert follower.settle() == ["three"]


def test_what_was_there_before_the_first_look_ever_is_not_imported(tmp_path: Path) -> None:
    write(tmp_path / "old.log", "history")
    follower = Follower(tmp_path)
    assert follower.settle() == []
    write(tmp_path / "old.log", "news")
    assert follower.settle() == ["news"]


def test_a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_start(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, "one")
    assert follower.settle() == ["one"]
    write(file, "two")
    file.rename(follower.folder / "app.log.1")
    write(file, "three")
    assert sorted(follower.settle()) == ["three", "two"]
    write(file, "four")
    file.rename(follower.folder / "away")
    assert follower.settle() == ["four"], "one that left the pattern is read to its end too"


def test_a_rotated_file_that_is_compressed_is_not_read_again(
    follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    file, packed = follower.folder / "app.log", follower.folder / "app.log.1.gz"
    write(file, "one", "two")
    assert follower.settle() == ["one", "two"]
    data = gzip.compress(file.read_bytes())
    for part in (data[:10], data[10:]):
        with packed.open("ab") as opened:
            opened.write(part)
        assert follower.settle() == []
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"{packed} is compressed and not read; `watchkeeper replay` takes it"]  # once
    file.unlink()
    write(file, "three")
    assert follower.settle() == ["three"]


def test_a_truncated_file_is_read_from_its_start(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, "a long first line", "another")
    assert len(follower.settle()) == 2
    file.write_text("new\n")
    assert follower.settle() == ["new"]


def test_a_stack_trace_is_one_record_also_when_it_comes_in_two_writes(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, "started", "Traceback (most recent call last):", '  File "a.py", line 1, in <module>')
    follower.bodies.clear()
    follower.tail.step()
    write(file, "ValueError: bad")
    bodies = follower.settle()
    assert bodies[0] == "started"
    assert bodies[1].endswith("ValueError: bad")
    assert len(bodies) == 2


def test_a_line_without_its_end_waits_for_it(follower: Follower) -> None:
    file = follower.folder / "app.log"
    with file.open("a") as opened:
        opened.write("half a ")
    assert follower.settle() == []
    write(file, "line")
    assert follower.settle() == ["half a line"]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the zone of this process, as of the node that the agent runs on."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


def test_times_without_a_year_or_a_date_are_of_the_day_on_which_they_are_read(
    follower: Follower, zone: Callable[[str], None]
) -> None:
    zone("UTC")
    for days in (0, 3, 400):
        follower.times.clear()
        follower.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC) + timedelta(days=days)
        stamp = follower.now - timedelta(seconds=2)
        write(follower.folder / "a.log", f"{stamp:%b %d %H:%M:%S} node app[7]: after {days} days")
        write(follower.folder / "b.log", f"{stamp:%H:%M:%S} INFO after {days} days")
        follower.settle()
        assert follower.times == [stamp.isoformat(" ")] * 2


def test_times_without_a_zone_are_those_of_the_node(follower: Follower, zone: Callable[[str], None]) -> None:
    zone("CET-1")
    write(follower.folder / "app.log", "2026-11-23 12:59:58 INFO here", "2026-11-23T11:59:59Z INFO there")
    follower.settle()
    assert follower.times == ["2026-11-23 11:59:58+00:00", "2026-11-23 11:59:59+00:00"]


def test_a_piece_that_was_begun_before_a_kill_is_the_very_same_after_it(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, *(f"2026-11-23 11:59:{second:02d} INFO line {second}" for second in range(60)))
    follower.settle()
    follower.killed = True
    write(file, "no time here", "11:59:59 and no date", "Nov 23 11:59:59 node app: no year")
    follower.payloads.clear()
    with pytest.raises(SystemExit):
        follower.settle()
    follower.tail.close()
    follower.killed = False
    follower.now += timedelta(days=400)
    file.rename(follower.folder / "app.log.1")
    follower.restart()
    follower.settle()
    assert len(follower.payloads) == 2
    assert follower.payloads[0] == follower.payloads[1], "the spool knows it by its content"
    write(follower.folder / "app.log.1", "2026-11-23 12:00:00 INFO news")
    assert follower.settle() == ["news"]


def test_a_banner_does_not_decide_how_a_file_is_read(follower: Follower) -> None:
    file = follower.folder / "app.log"
    write(file, "Welcome to the shop")
    assert follower.settle() == ["Welcome to the shop"]
    for number in range(4):
        said = {"timestamp": "2026-11-23T11:00:00Z", "level": "error", "message": f"out of stock {number}"}
        write(file, json.dumps(said))
        follower.settle()
    assert follower.bodies == ["out of stock 3"]
    assert follower.severities[-1] == "error"


def test_what_is_not_followed_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("watchkeeper.edge.tail.FILES_MAX", 2)
    monkeypatch.setattr("os.open", refusing(tmp_path / "b.log"))
    follower = Follower(tmp_path)
    follower.settle()
    assert [record.getMessage() for record in caplog.records] == [
        f"no file is there yet that {str(tmp_path / '*.log*')!r} names"
    ]
    caplog.clear()
    for name in ("a.log", "b.log", "c.log"):
        write(tmp_path / name, "one")
    assert follower.settle() == ["one"]
    assert [record.getMessage() for record in caplog.records] == [
        f"more than 2 files are named; those after {tmp_path / 'b.log'} are not followed",
        f"{tmp_path / 'b.log'} cannot be followed: Permission denied; it is tried again and again",
    ]


def refusing(file: Path) -> Callable[..., int]:
    """Give an `open` that refuses a file as the system does to a user without the right (root has it always)."""
    plain = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **more: Any) -> int:
        if str(path) == str(file) and flags & os.O_CLOEXEC and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return plain(path, flags, mode, **more)

    return refuse


def test_while_there_is_no_room_the_file_waits_and_the_same_piece_comes_again(follower: Follower) -> None:
    file = follower.folder / "app.log"
    follower.room = False
    write(file, "one")
    assert follower.settle() == []
    follower.tail.close()
    follower.restart()
    write(file, "two")
    follower.room = True
    assert follower.settle() == ["one", "two"]
