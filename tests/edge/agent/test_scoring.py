"""Detection on the node: it warns there, and its finding is the same one at the centre."""

from __future__ import annotations

import time
from pathlib import Path

from tests.receive.running import logs_request

from watchkeeper.app.agent_findings import AgentFindings
from watchkeeper.edge.intake import name_node, parse
from watchkeeper.edge.scoring import Scoring
from watchkeeper.receive.decode import decode
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal

SECOND_NS = 10**9


def _requests(start_ns: int, seconds: int, body: str, severity: int = 9) -> list[tuple[int, object]]:
    made = []
    for second in range(seconds):
        request = logs_request(10, body=body, time_unix_ns=start_ns + second * SECOND_NS)
        for record in request.resource_logs[0].scope_logs[0].log_records:
            record.severity_number = severity  # type: ignore[assignment]
        made.append((second, request))
    return made


def test_a_cut_off_node_warns_here_and_its_finding_arrives_later(tmp_path: Path) -> None:
    said: list[str] = []
    kept: list[bytes] = []
    room = False

    def keep(payload: bytes) -> bool:
        if room:
            kept.append(payload)
        return room

    settings = Settings(
        chosen={"home": tmp_path, "detect_warmup_s": 60, "detect_window_s": 5, "finding_close_s": 30}, environment={}
    )
    scoring = Scoring(settings, tmp_path / "learned", keep, node="node-1", say=said.append)
    start = time.time_ns() - 400 * SECOND_NS
    rounds = [*_requests(start, 240, "request served"), *_requests(start + 240 * SECOND_NS, 60, "disk exploded", 17)]
    waiting = iter(rounds)
    ended = 0

    def stopping() -> bool:
        nonlocal ended
        for _, request in waiting:
            name_node(Signal.LOGS, request, "node-1")
            scoring.see(Signal.LOGS, request)  # type: ignore[arg-type]
            return False
        ended += 1
        return ended > 60 or bool(kept)

    def run_until_judged() -> None:
        nonlocal room
        scoring.run(lambda: stopping() or bool(said))
        room = True
        scoring.run(stopping)

    run_until_judged()
    assert any("disk exploded" in line for line in said)
    assert any(sample.name == "watchkeeper_edge_findings_open" and sample.value for sample in scoring.samples())
    assert (tmp_path / "learned" / "patterns").exists()

    arrived: list[Finding] = []
    message = parse(Signal.LOGS, kept[0])
    name_node(Signal.LOGS, message, "node-1")
    batch = decode(Signal.LOGS, "protobuf", message.SerializeToString(), sender="node-1", received_unix_ns=1).batch
    AgentFindings(arrived.extend).observe(Signal.LOGS, batch)
    assert arrived
    assert {finding.entity for finding in arrived} == {"service=cart|node=node-1"}
    assert start < min(finding.first_unix_ns for finding in arrived) < start + 310 * SECOND_NS

    name_node(Signal.LOGS, message, "node-2")
    foreign = decode(Signal.LOGS, "protobuf", message.SerializeToString(), sender="node-2", received_unix_ns=1).batch
    stolen: list[Finding] = []
    AgentFindings(stolen.extend).observe(Signal.LOGS, foreign)
    assert stolen == [], "a node speaks only of itself"


def test_a_disk_that_cannot_be_written_does_not_end_detection(tmp_path: Path) -> None:
    in_the_way = tmp_path / "learned"
    in_the_way.write_text("a file where a folder should be")
    scoring = Scoring(Settings(chosen={"home": tmp_path}, environment={}), in_the_way, lambda _: True, node="node-1")
    scoring.see(Signal.LOGS, logs_request(10))  # type: ignore[arg-type]
    scoring.run(lambda: scoring.not_judged > 0 or scoring._queue.empty())
    assert scoring.failures == 1
    (failed,) = [each for each in scoring.samples() if each.name == "watchkeeper_edge_detection_failures_total"]
    assert failed.value == 1
    in_the_way.unlink()
    scoring.run(lambda: True)
    assert (in_the_way / "patterns").exists()
    assert scoring.failures == 1
