"""The disk of the spool is really full: told to programs, waited out, and nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import wait_for
from tests.edge.agent.near_centre import NearCentre
from tests.edge.agent.processes import Edge
from tests.own_mounts import OwnMounts, own_mounts

SIZE_BYTES = 2 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[OwnMounts]:
    place = tmp_path / "disk"
    place.mkdir()
    with own_mounts(f"mount -t tmpfs -o size={SIZE_BYTES} tmpfs '{place}'") as mounts:
        yield mounts


def fill(mounts: OwnMounts, place: Path) -> None:
    mounts.run("sh", "-c", f"cat /dev/zero > '{place}' 2>/dev/null || true")


def test_a_full_disk_refuses_and_recovers(tmp_path: Path, small_disk: OwnMounts) -> None:
    centre = NearCentre(tmp_path / "centre")
    disk, log = tmp_path / "disk", tmp_path / "app.log"
    log.write_text("")
    edge = Edge(
        *(disk / "home", centre.url, "--file", log),
        within=small_disk.within,
        disk_free_bytes_min=0,
        edge_files_from_start=True,
        edge_host_interval_s=0.2,
    )
    assert edge.send(0, 100) == 200
    centre.wait_for(100)
    centre.stop()
    assert edge.send(100, 100) == 200
    fill(small_disk, disk / "ballast")
    with log.open("a") as file:
        file.writelines(f"line {number} end\n" for number in range(1000, 1200))
    acknowledged, refused, first = 200, 0, 200
    while refused < 300:
        status = edge.send(first, 100)
        assert status in {200, 503}
        acknowledged, refused = acknowledged + 100 * (status == 200), refused + 100 * (status == 503)
        first += 100
    assert edge.metric("watchkeeper_edge_refused_records_total", "logs") >= refused
    wait_for(lambda: edge.metric("watchkeeper_edge_dropped_records_total", "metrics") > 0, what="readings are dropped")
    small_disk.run("rm", str(disk / "ballast"))
    centre.start()
    lines = [body for body in centre.wait_for(acknowledged + 200) if body.startswith("line ")]
    assert len(lines) == len(set(lines)) == acknowledged + 200, "each once, those of the file too"
    assert edge.send(first, 10) == 200
    assert edge.stop() == 0
    centre.stop()


def test_the_floor_of_free_space_is_kept(tmp_path: Path, small_disk: OwnMounts) -> None:
    edge = Edge(
        tmp_path / "disk" / "home", "http://127.0.0.1:9", within=small_disk.within, disk_free_bytes_min=SIZE_BYTES
    )
    assert edge.send(0, 10) == 503
    assert "disk_free_bytes_min" not in edge.state()["last_error"], "that is about the centre"
    assert edge.metric("watchkeeper_edge_refused_records_total", "logs") == 10
    assert edge.stop() == 0
