"""The whole program from outside: real process, real sockets, real signals."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.product import FREE_PORTS, PROTOBUF, Product, command, environment, log_request, wait_for, watchkeeper

KILLS = 8


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    running = Product(tmp_path / "home")
    yield running
    if running.process.poll() is None:
        running.stop()


def test_it_is_ready_soon_listens_on_loopback_only_and_stays_small(product: Product) -> None:
    process = psutil.Process(product.process.pid)
    listening = {
        item.laddr.ip.removeprefix("::ffff:")
        for item in process.net_connections(kind="inet")
        if item.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert product.ready_after_s < 10, "far over the 3 s that docs/measurements.md tells, noise included"
    assert process.memory_info().rss < 300 * 2**20
    assert product.get("/ready") == {"ready": True}


def test_what_is_sent_can_be_read_mined_and_counted(product: Product) -> None:
    answer = product.send_logs([f"order {number} placed for user u{number}" for number in range(50)])
    assert answer.status_code == 200
    assert product.sql("SELECT count(*) FROM logs") == [[50]]
    wait_for(lambda: product.get("/api/v1/patterns")["items"], what="a pattern")
    pattern = product.get("/api/v1/patterns")["items"][0]
    assert pattern["count"] == 50
    assert "<*>" in pattern["template"]
    rows = product.get("/api/v1/ledger")["items"]
    assert [(row["signal"], row["accepted"]) for row in rows] == [("logs", 50)]


def test_a_new_error_after_warm_up_is_a_finding_with_its_line(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", detect_warmup_s=60, detect_window_s=5)
    try:
        start = 1_700_000_000_000_000_000
        for second in range(180):
            bodies = [f"GET /items/{number + second} took {number} ms" for number in range(20)]
            product.send_logs(bodies, time_unix_ns=start + second * 10**9)
        assert product.get("/api/v1/findings")["items"] == []
        for second in range(180, 200):
            product.send_logs(
                [f"card refused by bank {number}" for number in range(10)],
                severity_number=17,
                time_unix_ns=start + second * 10**9,
            )
        found = wait_for(lambda: product.get("/api/v1/findings")["items"], what="a finding")
        lines = [
            evidence["text"] for finding in found for evidence in finding["evidence"] if evidence["kind"] == "line"
        ]
        assert any("card refused by bank" in line for line in lines)
        assert {finding["service"] for finding in found} == {"cart"}
    finally:
        product.stop()


def test_learned_state_and_data_survive_a_restart(tmp_path: Path) -> None:
    product = Product(tmp_path / "home")
    product.send_logs(["cache warmed in 5 ms"] * 7)
    before = wait_for(lambda: product.get("/api/v1/patterns")["items"], what="a pattern")
    assert product.stop() == 0
    product.start()
    try:
        after = product.get("/api/v1/patterns")["items"]
        assert [(item["template_id"], item["template"], item["count"]) for item in after] == [
            (item["template_id"], item["template"], item["count"]) for item in before
        ]
        assert product.get("/api/v1/ledger")["items"][0]["accepted"] == 7
    finally:
        product.stop()


def test_a_backup_of_a_running_one_restores_data_and_learned_state(product: Product, tmp_path: Path) -> None:
    product.send_logs(["cache warmed in 5 ms"] * 7)
    before = wait_for(lambda: product.get("/api/v1/patterns")["items"], what="a pattern")
    archive, home = tmp_path / "copy.tar", tmp_path / "restored"
    assert watchkeeper("backup", archive, "--home", product.home, "--server", product.url).returncode == 0
    assert watchkeeper("backup", archive, "--home", product.home, "--server", product.url).returncode == 1, "it exists"
    assert watchkeeper("restore", archive, "--home", home).returncode == 0
    restored = Product(home)
    try:
        assert restored.sql("SELECT count(*) FROM logs") == [[7]]
        after = restored.get("/api/v1/patterns")["items"]
        assert [(item["template"], item["count"]) for item in after] == [
            (item["template"], item["count"]) for item in before
        ]
    finally:
        restored.stop()


@pytest.mark.slow
def test_kills_at_random_moments_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    product = Product(tmp_path / "home", segment_age_s=0.3, wal_file_bytes_max=50_000)
    dice = random.Random(7)
    acknowledged: set[str] = set()
    try:
        for kill in range(KILLS):
            stop = threading.Event()
            senders = [
                threading.Thread(target=send_until, args=(product, stop, f"{kill}-{sender}", acknowledged))
                for sender in range(3)
            ]
            for sender in senders:
                sender.start()
            stop.wait(dice.uniform(0.05, 1.0))
            product.kill()
            product.start()
            stop.wait(0.3)
            stop.set()
            for sender in senders:
                sender.join()
        stored = [row[0] for row in product.sql("SELECT body FROM logs")]
        assert len(stored) == len(set(stored)), "a record is stored twice"
        assert acknowledged <= set(stored), "an acknowledged record is lost"
        assert len(acknowledged) > 100
    finally:
        product.stop()


def send_until(product: Product, stop: threading.Event, name: str, acknowledged: set[str]) -> None:
    """Send batches until told to stop; one that was not answered is sent again, the same bytes, as an SDK would."""
    number = 0
    while not stop.is_set():
        bodies = [f"{name}-{number}-{line}" for line in range(5)]
        content = log_request(bodies).SerializeToString()
        while not stop.is_set():
            try:
                url = f"{product.endpoints['otlp_http']}/v1/logs"
                if httpx.post(url, content=content, headers=PROTOBUF, timeout=5).status_code == 200:
                    acknowledged.update(bodies)
                    break
            except httpx.TransportError:
                stop.wait(0.02)
        number += 1


def run_up(home: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command({"home": home, **FREE_PORTS, **settings}),
        capture_output=True,
        text=True,
        timeout=30,
        env=environment(),
        check=False,
    )


def test_a_taken_port_is_told_with_the_setting_to_change(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_up(tmp_path, otlp_http_port=taken.getsockname()[1])
    assert done.returncode == 2
    assert "--set otlp_http_port=NUMBER" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_refuses_to_listen_beyond_loopback_without_authentication(tmp_path: Path) -> None:
    done = run_up(tmp_path, bind="0.0.0.0")
    assert done.returncode == 2
    assert "insecure" in done.stderr
    assert "token" in done.stderr


def test_a_second_one_on_the_same_home_is_told_who_holds_it(product: Product) -> None:
    done = run_up(product.home)
    assert done.returncode == 1
    assert str(product.process.pid) in done.stderr


def test_the_module_can_be_run_and_tells_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watchkeeper.cli.main", "--version"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.startswith("watchkeeper ")
