"""The whole program with tokens, TLS and mutual TLS, by real clients on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from tests.e2e.product import PROTOBUF, Product, log_request, watchkeeper

EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    assert watchkeeper("certs", "init", "--folder", folder).returncode == 0
    assert watchkeeper("certs", "issue", "agent-1", "--folder", folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def secure(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(
        tmp_path_factory.mktemp("secure") / "home",
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server.key",
        tls_client_ca=certificates / "ca.pem",
    )
    yield product
    product.stop()


def context(folder: Path, *, client: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if client:
        made.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    return made


def body(text: str) -> bytes:
    return log_request([text]).SerializeToString()


def test_a_client_with_a_certificate_may_send_on_both_ports_and_is_named(secure: Product, certificates: Path) -> None:
    url = f"{secure.endpoints['otlp_http']}/v1/logs"
    answer = httpx.post(
        url, content=body("over http"), headers=PROTOBUF, verify=context(certificates, client="agent-1")
    )
    assert answer.status_code == 200
    credentials = grpc.ssl_channel_credentials(
        (certificates / "ca.pem").read_bytes(),
        (certificates / "agent-1.key").read_bytes(),
        (certificates / "agent-1.pem").read_bytes(),
    )
    with grpc.secure_channel(secure.endpoints["otlp_grpc"], credentials) as channel:
        channel.unary_unary(EXPORT)(body("over grpc"), timeout=10)
    page = httpx.get(f"{secure.url}/ready", verify=context(certificates, client=None))
    assert page.json() == {"ready": True}
    ledger = httpx.get(f"{secure.url}/api/v1/ledger", verify=context(certificates, client=None)).json()["items"]
    assert {(row["sender"], row["protocol"]) for row in ledger} == {("agent-1", "http/protobuf"), ("agent-1", "grpc")}


def test_no_certificate_and_plain_text_are_refused(secure: Product, certificates: Path) -> None:
    url = f"{secure.endpoints['otlp_http']}/v1/logs"
    with pytest.raises(httpx.TransportError):
        httpx.post(url, content=body("x"), headers=PROTOBUF, verify=context(certificates, client=None))
    plain = httpx.post(url.replace("https:", "http:"), content=body("x"), headers=PROTOBUF)
    assert (plain.status_code, "speaks TLS only" in plain.text) == (400, True)
    trusting = grpc.ssl_channel_credentials((certificates / "ca.pem").read_bytes())
    for channel in (
        grpc.secure_channel(secure.endpoints["otlp_grpc"], trusting),
        grpc.insecure_channel(secure.endpoints["otlp_grpc"]),
    ):
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(EXPORT)(body("x"), timeout=5)
        assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def test_once_there_is_a_token_everyone_needs_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = {
        role: watchkeeper("token", "create", role, "--role", role, "--home", home).stdout.split()
        for role in ("ingest", "viewer")
    }
    secrets = {role: next(word for word in words if word.startswith("wk_")) for role, words in made.items()}
    product = Product(home, bind="0.0.0.0")
    try:
        page = product.url.replace("0.0.0.0", "127.0.0.1")
        otlp = product.endpoints["otlp_http"].replace("0.0.0.0", "127.0.0.1")

        def send(headers: dict[str, str]) -> int:
            return httpx.post(f"{otlp}/v1/logs", content=body("x"), headers={**PROTOBUF, **headers}).status_code

        def read(headers: dict[str, str]) -> int:
            return httpx.get(f"{page}/api/v1/status", headers=headers).status_code

        ingest, viewer = ({"authorization": f"Bearer {secrets[role]}"} for role in ("ingest", "viewer"))
        assert (send({}), send(viewer), send(ingest)) == (401, 403, 200)
        assert (read({}), read(ingest), read(viewer)) == (401, 403, 200)
        rows = httpx.get(f"{page}/api/v1/ledger", headers=viewer).json()["items"]
        assert {row["sender"]: row["accepted"] for row in rows}["ingest"] == 1
        assert sum(row["rejected"] for row in rows) == 2
    finally:
        product.stop()
