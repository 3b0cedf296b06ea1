"""The journal, with a real systemd-journald and the real journalctl, over rotation, a kill and a restart."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import wait_for
from tests.edge.agent.near_centre import NearCentre
from tests.edge.agent.processes import Edge
from tests.own_mounts import OwnMounts, own_mounts

from watchkeeper.edge.journal import Journal, journal_record

JOURNALD = Path("/lib/systemd/systemd-journald")
CONFIGURATION = "[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitBurst=0\\n"


class Journald:
    """A journal daemon with a /run of its own."""

    def __init__(self, mounts: OwnMounts) -> None:
        self.mounts = mounts
        wait_for(lambda: Path(mounts.path("/run/systemd/journal/stdout")).exists(), what="the daemon's socket")

    def write(self, *lines: str, service: str = "payments", priority: str = "warning") -> None:
        command = ("systemd-cat", f"--identifier={service}", f"--priority={priority}")
        self.mounts.run(*command, input="".join(f"{line}\n" for line in lines).encode())
        last = lines[-1].encode()
        wait_for(lambda: last in self.mounts.run("journalctl", "--output=cat", "--no-pager", "--all", "--lines=20"))

    def rotate(self) -> None:
        """Begin a new file, and keep the old one."""
        self.mounts.run("journalctl", "--rotate")


@pytest.fixture
def journald() -> Iterator[Journald]:
    if not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("systemd-journald is not installed (Debian: apt-get install systemd)")
    if not Path("/etc/machine-id").exists() or not Path("/etc/machine-id").read_text().strip():
        pytest.skip("the machine has no /etc/machine-id, by which journald names its folder")
    script = f"""mount -t tmpfs tmpfs /run
        mkdir -p /run/systemd/journal /run/log/journal /run/systemd/journald.conf.d
        printf '{CONFIGURATION}' > /run/systemd/journald.conf.d/test.conf
        if [ -d /var/log/journal ]; then mount -t tmpfs tmpfs /var/log/journal; fi
        {JOURNALD} > /dev/null 2>&1 &"""
    with own_mounts(script) as mounts:
        yield Journald(mounts)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[NearCentre]:
    made = NearCentre(tmp_path / "centre")
    yield made
    made.stop()


def test_entries_come_once_over_rotation_and_kills(tmp_path: Path, journald: Journald, centre: NearCentre) -> None:
    journald.write("before the agent's first start")
    edge = Edge(tmp_path / "edge", centre.url, "--journal", within=journald.mounts.within)
    wait_for((tmp_path / "edge" / "edge" / "journal.json").exists, what="the place in the journal")
    journald.write("line 0", "line 1" + " long" * 2000)
    assert len(centre.wait_for(2)) == 2
    severity, resource, attributes = centre.columns("severity_text", "resource_attributes", "attributes")
    assert severity == ["WARNING", "WARNING"]
    assert '"service.name":"payments"' in resource[0].replace(" ", "")
    assert "process.pid" in attributes[0]
    assert max(map(len, centre.bodies())) > 10_000, "a long line is whole"
    edge.kill()
    journald.write(*(f"line {number}" for number in range(2, 1200)))
    journald.rotate()
    journald.write("line 1200")
    edge.start()
    wait_for(lambda: len(centre.bodies("line %")) > 2, within_s=60, what="the first of what came meanwhile")
    edge.kill()
    edge.start()
    centre.wait_for(1201, "line %")
    journald.write("line 1201")
    found = centre.wait_for(1202, "line %")
    assert sorted(line.split()[1] for line in found) == sorted(map(str, range(1202))), "each once"
    assert edge.stop() == 0


def test_a_journalctl_that_ends_is_started_again(tmp_path: Path, journald: Journald, centre: NearCentre) -> None:
    edge = Edge(tmp_path / "edge", centre.url, "--journal", within=journald.mounts.within)
    place = tmp_path / "edge" / "edge" / "journal.json"
    wait_for(place.exists, what="the place in the journal")
    journald.write("one")
    centre.wait_for(1)
    children = Path(f"/proc/{edge.process.pid}/task")
    (follower,) = {int(pid) for task in children.iterdir() for pid in (task / "children").read_text().split()}
    assert os.getpgid(follower) != os.getpgid(edge.process.pid), "Ctrl-C in a terminal does not reach it"
    subprocess.run(["kill", "-9", str(follower)], check=True)
    wait_for(lambda: "ended by itself" in edge.state()["last_error"], what="the fault")
    journald.write("two")
    assert centre.wait_for(2) == ["one", "two"]
    assert edge.stop() == 0


class Entries:
    """Kept batches; `fail` makes the next one be lost with the process, after it was durable."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.killed = False

    def keep(self, payload: bytes) -> bool:
        self.kept.append(payload)
        if self.killed:
            raise SystemExit
        return True


def test_a_batch_that_was_begun_before_a_kill_is_the_very_same_after_it(tmp_path: Path) -> None:
    def row(number: int) -> str:
        cursor = f"s=1;i={number};b=2;m=3;t={1000 + number:x};x=4"
        return f'{{"MESSAGE": "m{number}", "__CURSOR": "{cursor}", "__REALTIME_TIMESTAMP": "{1000 + number}"}}'

    written = tmp_path / "rows"
    place = tmp_path / "journal.json"
    place.write_text('{"schema_version": 1, "cursor": "s=1;i=0;b=2;m=3;t=3e8;x=4"}')
    reader = ("sh", "-c", 'cat "$0"', str(written))
    entries = Entries()
    entries.killed = True
    written.write_text("\n".join(map(row, range(1, 4))) + "\n")
    with pytest.raises(SystemExit):
        Journal(place, entries.keep, command=reader).run(lambda _: None)
    entries.killed = False
    # More has come meanwhile, and all is read at once.
    written.write_text("\n".join(map(row, range(1, 8))) + "\n")
    again = Journal(place, entries.keep, command=reader)
    with pytest.raises(Exception, match="ended by itself"):
        again.run(lambda _: None)
    assert len(entries.kept) == 3
    assert entries.kept[0] == entries.kept[1], "the spool knows it by its content"
    assert entries.kept[2].count(b"m") >= 4


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ('{"MESSAGE": [104, 105, 255], "__CURSOR": "c", "PRIORITY": "9"}', "hi\ufffd"),
        ('{"MESSAGE": ["one", [116, 119, 111]], "__CURSOR": "c", "PRIORITY": ["3", "4"]}', "one\ntwo"),
        ('{"MESSAGE": "x", "__CURSOR": "c", "_SOURCE_REALTIME_TIMESTAMP": "soon"}', "x"),
    ],
)
def test_odd_fields_are_read_all_the_same(line: str, body: str) -> None:
    read = journal_record(line)
    assert read is not None
    assert (read[0].body, read[0].severity_text, read[0].time_unix_ns) == (body, "INFO", 0)
