"""TLS and mutual TLS on both OTLP ports, with real handshakes: who gets in and who does not."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import pytest

from tests.receive.running import PROTOBUF, call, logs_request, serving
from watchkeeper.errors import CertificateError, SettingError
from watchkeeper.receive.certs import CertificateFiles, init_authority, issue
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.http import http_app
from watchkeeper.receive.receiver import Receiver
from watchkeeper.receive.tls import server_tls
from watchkeeper.settings import Settings
from watchkeeper.signals.schema import Signal

BODY = logs_request(3).SerializeToString()
REFUSED_BY_TLS = (httpx.ConnectError, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


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
        with serving(http_app(mutual), **tls.otlp) as http_port:
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


def test_plain_text_is_refused_on_both_ports(ports, store) -> None:
    with pytest.raises(REFUSED_BY_TLS):
        httpx.post(f"http://127.0.0.1:{ports.http}/v1/logs", content=BODY, headers=PROTOBUF)
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel, pytest.raises(grpc.RpcError):
        call(channel, Signal.LOGS, BODY)
    assert store.batches == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("which", ["http", "grpc"])
def test_old_tls_is_refused(certificates, ports, which, version) -> None:
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
    with serving(http_app(receiver), **tls.otlp) as port:
        assert post(certificates, port, None) == 200
        assert post(certificates, port, certificates.foreign) == 200, "a certificate nobody asked for proves nothing"
        assert [row.sender for row in receiver.ledger.rows()] == ["127.0.0.1"]
        receiver.tokens.create("a", "ingest")
        assert post(certificates, port, certificates.client) == 401


def test_the_page_does_not_ask_browsers_for_certificates(certificates, mutual) -> None:
    tls = server_tls(mutual.settings)
    assert tls is not None
    with (
        serving(http_app(mutual), **tls.page) as port,
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
