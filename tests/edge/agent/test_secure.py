"""Agents and a centre over mutual TLS: who is refused is told why on both sides; certificates change while they run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.e2e.product import PROTOBUF, log_request, wait_for
from tests.edge.agent.near_centre import NearCentre
from tests.edge.agent.processes import Edge

from watchkeeper.edge.link import Centre, Link
from watchkeeper.receive.certs import init_authority, issue, renew, revoke

# Who: what the agent says of it, and what the centre does.
REFUSED = {
    "nobody": ("asks for a client certificate", "certificate"),
    "foreign": ("does not know the authority", "authority"),
    "expired": ("certificate has expired", "expired"),
    "withdrawn": ("is revoked", "is revoked"),
    "plain": ("speaks TLS only", "plain text"),
    "other-name": ("may send only as itself", "may send only as itself"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "certs"
    init_authority(own)
    issue(own, "server", server=True, names=["127.0.0.1"])
    long_ago = datetime.now(UTC) - timedelta(days=90)
    issue(own, "expired", days=1, now=long_ago)
    for name in ("node-a", "withdrawn", "other-name"):
        issue(own, name)
    init_authority(tmp_path / "foreign")
    issue(tmp_path / "foreign", "foreign")
    revoke(own, [own / "withdrawn.pem"])
    return own


@pytest.fixture
def centre(tmp_path: Path, folder: Path) -> Iterator[NearCentre]:
    made = NearCentre(
        tmp_path / "centre",
        tls_cert=folder / "server.pem",
        tls_key=folder / "server.key",
        tls_client_ca=folder / "ca.pem",
        tls_crl=folder / "revoked.pem",
    )
    yield made
    made.stop()


def agent(tmp_path: Path, centre: NearCentre, who: str, **settings: object) -> Edge:
    own = tmp_path / ("foreign" if who == "foreign" else "certs")
    shown = () if who in {"nobody", "plain"} else ("--cert", own / f"{who}.pem", "--key", own / f"{who}.key")
    url = centre.url.replace("https:", "http:") if who == "plain" else centre.url
    return Edge(tmp_path / f"edge-{who}", url, "--ca", tmp_path / "certs" / "ca.pem", *shown, **settings)


def test_who_is_refused_is_told_why_on_both_sides_and_counted(tmp_path: Path, centre: NearCentre) -> None:
    def start(who: str) -> Edge:
        settings = {"edge_node_name": "node-b"} if who == "other-name" else {}
        return agent(tmp_path, centre, who, **settings)

    with ThreadPoolExecutor(3) as pool:
        edges = dict(zip(REFUSED, pool.map(start, REFUSED), strict=True))
    for edge in edges.values():
        assert edge.send(0, 5) == 200, "the agent takes in all the same"
    for who, (said, _) in REFUSED.items():
        told = wait_for(lambda edge=edges[who]: edge.state()["last_error"], within_s=30, what=f"{who} is refused")
        assert said in told, who
        assert edges[who].metric("watchkeeper_edge_forwarded_records_total", "logs") == 0
    away = " ".join(row.reason for row in centre.receiver.ledger.turned_away_rows())
    rows = {row.sender: row for row in centre.receiver.ledger.rows()}
    for who, (_, seen) in REFUSED.items():
        assert seen in (rows[who].last_error if who in rows else away), who
    assert rows.keys() == {"withdrawn", "other-name"}
    assert min(row.rejected for row in rows.values()) > 0
    assert {row.peer for row in centre.receiver.ledger.turned_away_rows()} == {"127.0.0.1"}
    assert centre.bodies() == []
    for edge in edges.values():
        edge.kill()


@pytest.mark.parametrize(
    ("url", "warned"), [("http://centre:4318", True), ("https://centre:4318", False), ("http://[::1]:4318", False)]
)
def test_plain_text_to_another_machine_is_warned_of(url: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    Link(Centre(url))
    assert ("can be read and changed on the way" in caplog.text) == warned


def test_a_certificate_is_renewed_under_a_running_agent(tmp_path: Path, folder: Path, centre: NearCentre) -> None:
    edge = agent(tmp_path, centre, "node-a")
    assert edge.send(0, 5) == 200
    centre.wait_for(5)
    old = (folder / "node-a.pem").read_bytes()
    renew(folder, "node-a")
    (tmp_path / "old.pem").write_bytes(old)
    revoke(folder, [tmp_path / "old.pem"])
    assert edge.send(5, 5) == 200
    assert len(centre.wait_for(10)) == 10
    assert {row.sender: row.rejected for row in centre.receiver.ledger.rows()} == {"node-a": 0}
    assert edge.stop() == 0


def test_a_program_cannot_shut_its_node_out_by_what_it_says_of_it(tmp_path: Path, centre: NearCentre) -> None:
    edge = agent(tmp_path, centre, "node-a")
    request = log_request(["from elsewhere"])
    for name in ("host.name", "k8s.node.name"):
        told = KeyValue(key=name, value=AnyValue(string_value="node-z"))
        request.resource_logs[0].resource.attributes.append(told)
    answer = httpx.post(
        f"{edge.endpoints['otlp_http']}/v1/logs", content=request.SerializeToString(), headers=PROTOBUF, timeout=60
    )
    assert answer.status_code == 200
    assert centre.wait_for(1) == ["from elsewhere"]
    (told,) = centre.columns("resource_attributes")[0]
    for said in ('"host.name":"node-a"', '"watchkeeper.host.name.said":"node-z"'):
        assert said in told
    assert '"watchkeeper.k8s.node.name.said":"node-z"' in told
    assert '"k8s.node.name"' not in told
    assert edge.stop() == 0
