"""TLS and mutual TLS on both OTLP ports, with real handshakes: who gets in and who does not."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import psutil
import pytest

from tests.receive.running import PROTOBUF, call, failure, logs_request, serving
from watchkeeper.edge.link import Centre, Link
from watchkeeper.errors import CertificateError, SettingError, Unreachable
from watchkeeper.receive.certs import CertificateFiles, due, init_authority, issue, renew, revoke, show
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.http import http_app
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tls import server_tls
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal

BODY = logs_request(3).SerializeToString()
REFUSED_BY_TLS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


REASONS = {
    "nobody": "showed no client certificate",
    "expired": "has expired",
    "not_yet": "not valid yet",
    "foreign": "not trusted here",
    "server": "not for a client",
}


class Ports(NamedTuple):
    http: int
    grpc: int


class Certificates(NamedTuple):
    authority: CertificateFiles
    server: CertificateFiles
    client: CertificateFiles
    expired: CertificateFiles
    not_yet: CertificateFiles
    foreign: CertificateFiles


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    ours, other = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("other")
    now = datetime.now(UTC)
    authority = init_authority(ours, now=now - timedelta(days=100))
    init_authority(other)
    return Certificates(
        authority=authority,
        server=issue(ours, "server", server=True, names=["127.0.0.1"]),
        client=issue(ours, "collector-1"),
        expired=issue(ours, "expired", days=5, now=now - timedelta(days=50)),
        not_yet=issue(ours, "not-yet", now=now + timedelta(days=5)),
        foreign=issue(other, "collector-1"),
    )


@pytest.fixture
def mutual(certificates: Certificates, make_receiver: Callable[..., Receiver]) -> Receiver:
    return make_receiver(
        tls_cert=certificates.server.certificate,
        tls_key=certificates.server.key,
        tls_client_ca=certificates.authority.certificate,
    )


@pytest.fixture
def ports(mutual: Receiver) -> Iterator[Ports]:
    tls = server_tls(mutual.settings)
    assert tls is not None
    server = GrpcServer(mutual, mutual.settings)
    grpc_port = server.start()
    try:
        with serving(http_app(mutual), tls.otlp, turned_away=partial(mutual.turned_away, "http")) as http_port:
            yield Ports(http_port, grpc_port)
    finally:
        server.stop(1)


def context(certificates: Certificates, own: CertificateFiles | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(certificates.authority.certificate))
    if own is not None:
        made.load_cert_chain(own.certificate, own.key)
    return made


def post(certificates: Certificates, port: int, own: CertificateFiles | None) -> int:
    with httpx.Client(verify=context(certificates, own)) as client:
        return client.post(f"https://127.0.0.1:{port}/v1/logs", content=BODY, headers=PROTOBUF).status_code


def export(certificates: Certificates, port: int, own: CertificateFiles | None) -> bytes:
    credentials = grpc.ssl_channel_credentials(
        certificates.authority.certificate.read_bytes(),
        own.key.read_bytes() if own else None,
        own.certificate.read_bytes() if own else None,
    )
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        return call(channel, Signal.LOGS, BODY)


def test_a_client_of_our_authority_is_let_in_and_counted_by_its_name(certificates, ports, mutual, store) -> None:
    assert post(certificates, ports.http, certificates.client) == 200
    assert export(certificates, ports.grpc, certificates.client) == b""
    assert store.rows(Signal.LOGS) == 3, "the second is a duplicate of the first: the same sender by whatever port"
    assert [(row.sender, row.protocol, row.accepted, row.deduplicated) for row in mutual.ledger.rows()] == [
        ("collector-1", "grpc", 0, 3),
        ("collector-1", "http/protobuf", 3, 0),
    ]


@pytest.mark.parametrize("who", ["nobody", "expired", "not_yet", "foreign", "server"])
def test_all_others_are_refused_on_both_ports(certificates, ports, mutual, store, who) -> None:
    own = None if who == "nobody" else getattr(certificates, who)
    with pytest.raises(REFUSED_BY_TLS):
        post(certificates, ports.http, own)
    with pytest.raises(grpc.RpcError) as refused:
        export(certificates, ports.grpc, own)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert store.batches == []
    assert mutual.ledger.rows() == []
    said = {(row.peer, row.protocol) for row in mutual.ledger.turned_away_rows() if REASONS[who] in row.reason}
    assert said == {("127.0.0.1", "http"), ("127.0.0.1", "grpc")}


def test_plain_text_is_refused_on_both_ports(ports, mutual, store) -> None:
    answer = httpx.post(f"http://127.0.0.1:{ports.http}/v1/logs", content=BODY, headers=PROTOBUF)
    assert (answer.status_code, "speaks TLS" in answer.text) == (400, True)
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel, pytest.raises(grpc.RpcError):
        call(channel, Signal.LOGS, BODY)
    assert store.batches == []
    away = {(row.protocol, row.reason) for row in mutual.ledger.turned_away_rows()}
    assert away == {(port, "it sent plain text to a port that speaks TLS") for port in ("http", "grpc")}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("which", ["http", "grpc"])
def test_old_tls_is_refused(certificates, ports, mutual, which, version) -> None:
    old = context(certificates, certificates.client)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", getattr(ports, which)), timeout=10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(plain, server_hostname="127.0.0.1")
    assert [row.reason for row in mutual.ledger.turned_away_rows()] == ["it speaks TLS older than 1.2"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(certificates, ports, version) -> None:
    new = context(certificates, certificates.client)
    new.minimum_version = new.maximum_version = version
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            new.set_alpn_protocols(["h2"] if port == ports.grpc else ["http/1.1"])
            with new.wrap_socket(plain, server_hostname="127.0.0.1") as secured:
                assert secured.version() == version.name.replace("_", ".")


def test_a_client_does_not_trust_a_server_of_another_authority(certificates, ports) -> None:
    with httpx.Client(verify=ssl.create_default_context()) as client, pytest.raises(httpx.ConnectError):
        client.get(f"https://127.0.0.1:{ports.http}/health")


def test_tls_without_client_certificates_takes_anyone_and_still_asks_for_tokens(
    certificates, make_receiver, store
) -> None:
    receiver = make_receiver(tls_cert=certificates.server.certificate, tls_key=certificates.server.key)
    tls = server_tls(receiver.settings)
    assert tls is not None
    with serving(http_app(receiver), tls.otlp) as port:
        assert post(certificates, port, None) == 200
        assert post(certificates, port, certificates.foreign) == 200, "a certificate nobody asked for proves nothing"
        assert [row.sender for row in receiver.ledger.rows()] == ["127.0.0.1"]
        receiver.tokens.create("a", "ingest")
        assert post(certificates, port, certificates.client) == 401


def test_the_page_does_not_ask_browsers_for_certificates(certificates, mutual) -> None:
    tls = server_tls(mutual.settings)
    assert tls is not None
    with (
        serving(http_app(mutual), tls.page) as port,
        httpx.Client(verify=context(certificates, None)) as client,
    ):
        assert client.get(f"https://127.0.0.1:{port}/health").status_code == 200


def settings(**chosen) -> Settings:
    return Settings(chosen={"home": "/nowhere", **chosen}, environment={})


def test_tls_is_off_without_settings() -> None:
    assert server_tls(settings()) is None


def test_settings_that_cannot_be_are_told_with_the_fix(certificates, tmp_path: Path) -> None:
    pair = {"tls_cert": certificates.server.certificate, "tls_key": certificates.server.key}
    with pytest.raises(SettingError, match="tls_key is not set"):
        server_tls(settings(tls_cert=pair["tls_cert"]))
    with pytest.raises(SettingError, match="tls_cert is not set"):
        server_tls(settings(tls_client_ca=certificates.authority.certificate))
    with pytest.raises(CertificateError, match=r"missing\.pem"):
        server_tls(settings(**{**pair, "tls_cert": tmp_path / "missing.pem"}))
    with pytest.raises(CertificateError, match="tls_key"):
        server_tls(settings(**{**pair, "tls_key": certificates.client.key}))
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(CertificateError, match=r"rubbish\.pem"):
        server_tls(settings(**pair, tls_client_ca=rubbish))
    with pytest.raises(CertificateError, match=r"rubbish\.pem"):
        server_tls(settings(tls_cert=rubbish, tls_key=pair["tls_key"]))


ALERTS = {
    "nobody": "asks for a client certificate",
    "expired": "certificate has expired",
    "foreign": "does not know the authority",
}


def link(certificates: Certificates, port: int, own: CertificateFiles | None, scheme: str = "https") -> Link:
    files = (str(own.certificate), str(own.key)) if own else ("", "")
    return Link(Centre(f"{scheme}://127.0.0.1:{port}", str(certificates.authority.certificate), *files))


@pytest.mark.parametrize("who", list(ALERTS))
def test_an_agent_that_is_refused_is_told_why(certificates, ports, who) -> None:
    own = None if who == "nobody" else getattr(certificates, who)
    with pytest.raises(Unreachable, match=ALERTS[who]):
        link(certificates, ports.http, own).post(Signal.LOGS, BODY)


def test_an_agent_that_speaks_plain_text_is_told_so(certificates, ports) -> None:
    answer = link(certificates, ports.http, None, "http").post(Signal.LOGS, BODY)
    assert answer.status == 400
    assert "speaks TLS only" in answer.message


class Own(NamedTuple):
    """An authority of one test, with a running receiver."""

    folder: Path
    receiver: Receiver
    ports: Ports


@pytest.fixture
def own(tmp_path: Path, make_receiver: Callable[..., Receiver]) -> Iterator[Own]:
    folder = tmp_path / "certs"
    authority = init_authority(folder)
    server = issue(folder, "server", server=True, names=["127.0.0.1"])
    issue(folder, "node-1")
    made = make_receiver(
        tls_cert=server.certificate,
        tls_key=server.key,
        tls_client_ca=authority.certificate,
        tls_crl=revoke(folder, ()),
    )
    tls = server_tls(made.settings)
    assert tls is not None
    rpc = GrpcServer(made, made.settings)
    port = rpc.start()
    try:
        with serving(http_app(made), tls.otlp) as http_port:
            yield Own(folder, made, Ports(http_port, port))
    finally:
        rpc.stop(1)


def node(own: Own, name: str) -> tuple[httpx.Client, grpc.Channel]:
    verify = ssl.create_default_context(cafile=str(own.folder / "ca.pem"))
    verify.load_cert_chain(own.folder / f"{name}.pem", own.folder / f"{name}.key")
    credentials = grpc.ssl_channel_credentials(
        *((own.folder / file).read_bytes() for file in ("ca.pem", f"{name}.key", f"{name}.pem"))
    )
    client = httpx.Client(verify=verify, base_url=f"https://127.0.0.1:{own.ports.http}")
    return client, grpc.secure_channel(f"127.0.0.1:{own.ports.grpc}", credentials)


def test_a_revoked_certificate_counts_at_once_on_connections_that_are_open(own) -> None:
    client, channel = node(own, "node-1")
    with client, channel:
        assert client.post("/v1/logs", content=BODY, headers=PROTOBUF).status_code == 200
        call(channel, Signal.LOGS, BODY)
        revoke(own.folder, [own.folder / "node-1.pem"])
        answer = client.post("/v1/logs", content=BODY, headers=PROTOBUF)
        assert answer.status_code == 403
        assert b"is revoked" in answer.content
        told = failure(channel, Signal.LOGS, BODY)
        assert told.code is grpc.StatusCode.PERMISSION_DENIED
        assert told.status is not None
        assert "is revoked" in told.status.message
    rows = {(row.sender, row.protocol): row for row in own.receiver.ledger.rows()}
    assert {key: row.rejected for key, row in rows.items()} == {
        ("node-1", "http/protobuf"): 1,
        ("node-1", "grpc"): 1,
    }


def test_a_list_of_another_authority_lets_nobody_back_in(own, tmp_path: Path) -> None:
    client, channel = node(own, "node-1")
    revoke(own.folder, [own.folder / "node-1.pem"])
    with client, channel:
        assert client.post("/v1/logs", content=BODY, headers=PROTOBUF).status_code == 403
        init_authority(tmp_path / "other")
        (own.folder / "revoked.pem").write_bytes(revoke(tmp_path / "other", ()).read_bytes())
        assert client.post("/v1/logs", content=BODY, headers=PROTOBUF).status_code == 403


def test_renewed_certificates_are_taken_up_without_a_restart(own) -> None:
    def serial(port: int) -> int:
        verify = ssl.create_default_context(cafile=str(own.folder / "ca.pem"))
        verify.load_cert_chain(own.folder / "node-1.pem", own.folder / "node-1.key")
        verify.set_alpn_protocols(["h2"] if port == own.ports.grpc else ["http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            verify.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            return int(str((secured.getpeercert() or {})["serialNumber"]), 16)

    before = [serial(port) for port in own.ports]
    files = (str(own.folder / name) for name in ("ca.pem", "node-1.pem", "node-1.key"))
    agent = Link(Centre(f"https://127.0.0.1:{own.ports.http}", *files))
    assert agent.post(Signal.LOGS, BODY).status == 200
    assert due(own.folder, timedelta(days=1)) == []
    assert due(own.folder, timedelta(days=1000)) == ["node-1", "server"]
    old = own.folder / "old.pem"
    old.write_bytes((own.folder / "node-1.pem").read_bytes())
    for name in ("server", "node-1"):
        renew(own.folder, name)
    after = [serial(port) for port in own.ports]
    assert len({*before, *after}) == 2
    assert int(show(own.folder / "server.pem").serial, 16) == after[0] == after[1]
    revoke(own.folder, [old])
    assert agent.post(Signal.LOGS, BODY).status == 200, "the agent took its new certificate up"
    agent.close()


@pytest.mark.parametrize("attribute", ["host.name", "k8s.node.name"])
def test_a_node_speaks_only_as_itself(own, attribute) -> None:
    def said(value: str) -> bytes:
        request = logs_request(2)
        request.resource_logs[0].resource.attributes.add(key=attribute).value.string_value = value
        body: bytes = request.SerializeToString()
        return body

    client, channel = node(own, "node-1")
    with client, channel:
        assert client.post("/v1/logs", content=said("node-1"), headers=PROTOBUF).status_code == 200
        answer = client.post("/v1/logs", content=said("node-2"), headers=PROTOBUF)
        assert answer.status_code == 403
        assert b"may send only as itself" in answer.content
        assert failure(channel, Signal.LOGS, said("node-2")).code is grpc.StatusCode.PERMISSION_DENIED
    rows = {row.protocol: row for row in own.receiver.ledger.rows()}
    assert (rows["http/protobuf"].accepted, rows["http/protobuf"].rejected, rows["grpc"].rejected) == (2, 2, 2)
    assert rows["grpc"].sender == "node-1"


def test_nobody_comes_in_by_the_inner_port_of_grpc(own) -> None:
    found = [
        connection.laddr.port
        for connection in psutil.Process().net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port not in own.ports
    ]
    codes = set()
    for port in found:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            codes.add(failure(channel, Signal.LOGS, BODY).code)
    assert grpc.StatusCode.UNAUTHENTICATED in codes
    assert own.receiver.ledger.rows() == []
