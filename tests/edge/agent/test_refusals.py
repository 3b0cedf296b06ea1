"""What is too large, what the centre can never take, a centre that asks to wait: told, counted, and nothing stuck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from tests.e2e.product import PROTOBUF, log_request, wait_for
from tests.edge.agent.near_centre import NearCentre
from tests.edge.agent.processes import Edge
from tests.receive.running import failure, logs_request

from watchkeeper.signals.signal import Signal


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[NearCentre]:
    made = NearCentre(tmp_path / "centre", request_decompressed_bytes_max=20_000)
    yield made
    made.stop()


def post(edge: Edge, content: bytes) -> httpx.Response:
    return httpx.post(f"{edge.endpoints['otlp_http']}/v1/logs", content=content, headers=PROTOBUF, timeout=60)


def test_what_can_never_be_taken_is_set_aside_and_holds_nothing_up(tmp_path: Path, centre: NearCentre) -> None:
    edge = Edge(tmp_path / "edge", centre.url, edge_spool_bytes_max=65_536, edge_batch_age_s=1)
    poison = log_request(["poison " + "x" * 30_000, "poison too"]).SerializeToString()
    assert [edge.send(0, 10), post(edge, poison).status_code, edge.send(10, 10)] == [200, 200, 200]
    assert centre.wait_for(20) == sorted(f"line {number} end" for number in range(20))
    assert edge.metric("watchkeeper_edge_dead_letters_records_total", "logs") == 2
    assert edge.metric("watchkeeper_edge_forwarded_records_total", "logs") == 20
    wait_for(lambda: any(row.protocol.startswith("agent/") for row in centre.receiver.ledger.rows()))
    assert centre.ledger("agent/").dropped == 2, "the centre knows how many records it will never have"
    assert centre.ledger("http/").accepted == 20
    assert "request_decompressed_bytes_max" in centre.ledger("http/").last_error
    letters = tmp_path / "edge" / "edge" / "dead-letters"
    (letter,) = letters.glob("*.pb")
    assert b"poison too" in letter.read_bytes()
    assert '"status": 413' in letter.with_suffix(".json").read_text()

    too_large = log_request(["x" * 70_000]).SerializeToString()
    answer = post(edge, too_large)
    assert (answer.status_code, "edge_spool_bytes_max" in answer.text) == (413, True)
    assert "retry-after" not in answer.headers
    with grpc.insecure_channel(edge.endpoints["otlp_grpc"]) as channel:
        told = failure(channel, Signal.LOGS, too_large)
    assert (told.code, told.retry_s) == (grpc.StatusCode.RESOURCE_EXHAUSTED, None)
    assert edge.metric("watchkeeper_edge_rejected_records_total", "logs") == 2
    assert edge.metric("watchkeeper_edge_refused_records_total", "logs") == 0
    assert edge.stop() == 0


def test_a_centre_that_asks_to_wait_is_waited_for_and_one_signal_does_not_hold_up_another(
    tmp_path: Path, centre: NearCentre
) -> None:
    centre.stop()
    centre.start(disk_free_bytes_min=2**60, retry_after_s=1)
    edge = Edge(tmp_path / "edge", centre.url, edge_host_interval_s=0.2)
    assert edge.send(0, 10) == 200
    failed = "watchkeeper_edge_attempts_failed_total"
    wait_for(lambda: edge.metric(failed) >= 2, within_s=30, what="two attempts")
    told = edge.state()
    assert "503" in told["last_error"]
    assert "disk_free_bytes_min" in told["last_error"]
    assert told["centre"]["reached"]
    for signal in (Signal.LOGS, Signal.METRICS):
        assert centre.ledger("http/", signal).refused > 0, "each signal is tried by itself"
    centre.stop()
    centre.start()
    assert centre.wait_for(10) == sorted(f"line {number} end" for number in range(10))
    assert edge.metric("watchkeeper_edge_dead_letters_records_total", "logs") == 0
    assert edge.stop() == 0


def test_both_ports_take_programs_in_and_the_spool_is_nobody_elses(tmp_path: Path, centre: NearCentre) -> None:
    edge = Edge(tmp_path / "edge", centre.url, "--debug")
    request = logs_request(1, body="over grpc\x1b[31m").SerializeToString()
    with grpc.insecure_channel(edge.endpoints["otlp_grpc"]) as channel:
        channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")(request, timeout=30)
    assert post(edge, b"no protobuf at all").status_code == 400
    assert edge.send(0, 1) == 200
    assert centre.wait_for(2) == ["line 0 end", "over grpc\x1b[31m 0"]
    spool = tmp_path / "edge" / "edge" / "spool"
    for place in (spool, spool / "logs"):
        assert place.stat().st_mode & 0o077 == 0
    assert [file.stat().st_mode & 0o077 for file in spool.rglob("*.wal")] == [0]
    edge.process.terminate()
    printed = edge.process.communicate(timeout=60)[0].splitlines()
    assert [line.split(" ", 2)[2] for line in printed] == [
        r"cart - over grpc\x1b[31m 0",
        "cart - line 0 end",
    ], "control characters are made visible"
