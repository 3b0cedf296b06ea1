"""What an agent acknowledged reaches the centre once, whatever dies, is cut off or is full. Real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.product import wait_for
from tests.edge.agent.processes import Centre, Edge, free_port

DISTINCT = "SELECT count(*), count(DISTINCT body) FROM logs WHERE body LIKE 'line %'"


@pytest.fixture
def port() -> int:
    return free_port()


def assert_each_once(centre: Centre, rows: int) -> None:
    centre.wait_for(rows)
    assert centre.sql(DISTINCT) == [[rows, rows]]


def test_both_ends_are_killed_again_and_again(tmp_path: Path, port: int) -> None:
    edge = Edge(tmp_path / "edge", f"http://127.0.0.1:{port}")
    assert [edge.send(first, 100) for first in range(0, 1000, 100)] == [200] * 10
    edge.kill()
    edge.start()
    assert edge.send(900, 100) == 200, "the same request again, for its answer may have been lost"
    # With a window this short only the place in the stream tells a batch that comes again.
    centre = Centre(tmp_path / "centre", port, dedup_window_s=0.001)
    assert edge.send(1000, 50) == 200
    wait_for(lambda: centre.count() > 0, within_s=60)
    centre.kill()
    assert edge.send(1050, 50) == 200
    edge.kill()
    centre.start()
    edge.start()
    assert edge.send(1100, 50) == 200
    assert_each_once(centre, 1150)
    assert edge.stop() == 0
    assert centre.stop() == 0


def test_a_full_spool_refuses_and_both_sides_count_it(tmp_path: Path, port: int) -> None:
    edge = Edge(tmp_path / "edge", f"http://127.0.0.1:{port}", edge_spool_bytes_max=65_536, edge_host_interval_s=0.2)
    taken = refused = first = 0
    while refused < 300:
        status = edge.send(first, 100)
        assert status in {200, 429}
        taken, refused, first = taken + 100 * (status == 200), refused + 100 * (status == 429), first + 100
    wait_for(lambda: edge.metric("watchkeeper_edge_dropped_records_total", "metrics") > 0, within_s=60)
    assert edge.metric("watchkeeper_edge_refused_records_total", "logs") == refused

    def kept() -> bool:
        totals = json.loads((tmp_path / "edge" / "edge" / "places.json").read_text(encoding="utf-8"))["left_out"]
        return bool(totals["logs"]["refused"] == refused and totals["metrics"]["dropped"])

    wait_for(kept, within_s=60, what="the totals on disk, where they are after a second")
    edge.kill()
    edge.start()
    centre = Centre(tmp_path / "centre", port)
    assert_each_once(centre, taken)
    wait_for(lambda: centre.ledger("agent/").keys() >= {"logs", "metrics"}, within_s=60)
    assert centre.ledger("agent/")["logs"]["refused"] == refused
    assert centre.ledger("agent/")["metrics"]["dropped"] > 0
    assert edge.send(first, 100) == 200, "there is room again"
    edge.stop()
    centre.stop()


def test_a_clock_that_is_off_by_an_hour_changes_nothing(tmp_path: Path, port: int) -> None:
    edge = Edge(tmp_path / "edge", f"http://127.0.0.1:{port}", clock_shift_s=-3600.0)
    centre = Centre(tmp_path / "centre", port)
    assert [edge.send(0, 200), edge.send(200, 200)] == [200, 200]
    assert_each_once(centre, 400)
    edge.kill()
    edge.start()
    assert edge.send(200, 200) == 200
    assert edge.send(400, 10) == 200
    assert_each_once(centre, 410)
    edge.stop()
    centre.stop()


class Network:
    """A network namespace with one wire to this one."""

    def __init__(self) -> None:
        self.name = f"wk{uuid.uuid4().hex[:6]}"
        self.here, self.there = f"{self.name}a", f"{self.name}b"
        self.number = 16 + os.getpid() % 200
        _ip("netns", "add", self.name)
        _ip("link", "add", self.here, "type", "veth", "peer", "name", self.there, "netns", self.name)
        _ip("addr", "add", f"10.213.{self.number}.1/24", "dev", self.here)
        _ip("link", "set", self.here, "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("addr", "add", f"10.213.{self.number}.2/24", "dev", self.there),
            ("link", "set", self.there, "up"),
        ):
            _ip("-n", self.name, *words)

    @property
    def address(self) -> str:
        return f"10.213.{self.number}.1"

    def set(self, state: str) -> None:
        _ip("link", "set", self.here, state)

    def close(self) -> None:
        _ip("netns", "del", self.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    try:
        made = Network()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine makes no network namespace: {error.stderr.decode().strip()}")
    yield made
    made.close()


def test_a_network_cut_in_mid_batch(tmp_path: Path, port: int, network: Network) -> None:
    centre = Centre(tmp_path / "centre", port, bind="0.0.0.0", insecure=True)
    centre.endpoints["http"] = centre.endpoints["http"].replace("0.0.0.0", "127.0.0.1")
    log = tmp_path / "app.log"
    log.write_text("")
    within = ("ip", "netns", "exec", network.name)
    edge = Edge(
        tmp_path / "edge",
        f"http://{network.address}:{port}",
        *("--file", log),
        within=within,
        edge_files_from_start=True,
        edge_batch_records_max=10,
    )
    with log.open("a") as file:
        file.writelines(f"line {number} end\n" for number in range(2000))
    wait_for(lambda: centre.count() > 0, within_s=60)
    network.set("down")
    with log.open("a") as file:
        file.writelines(f"line {number} end\n" for number in range(2000, 3000))
    # The agent goes on taking in while it is cut off: its place in the file moves, the centre's count does not.
    wait_for(lambda: _place(tmp_path) == log.stat().st_size, within_s=60)
    cut_off = centre.count()
    network.set("up")
    assert_each_once(centre, 3000)
    assert cut_off < 3000
    edge.stop()
    centre.stop()


def _place(folder: Path) -> int:
    import json

    try:
        files = json.loads((folder / "edge" / "edge" / "files.json").read_bytes())["files"]
    except FileNotFoundError:
        return -1
    return max((row["upto"] for row in files), default=-1)
