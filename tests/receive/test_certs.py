"""The private authority: files, their protection, and that strict verifiers take what it signs."""

from __future__ import annotations

import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from typer.testing import CliRunner

from watchkeeper.cli.certs import app
from watchkeeper.errors import CertificateError, NotFound
from watchkeeper.receive.certs import init_authority, issue, show

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_files_are_made_and_keys_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    files = [init_authority(folder), issue(folder, "server", server=True), issue(folder, "collector-1")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for made in files:
        assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
        assert made.certificate.read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert made.key.read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_a_strict_verifier_takes_a_server_for_all_its_names_and_no_other(tmp_path: Path) -> None:
    authority = load(init_authority(tmp_path).certificate)
    made = issue(tmp_path, "watch.example", server=True, names=["10.1.2.3", "::1", "*.nodes.example"])
    verifier = PolicyBuilder().store(Store([authority]))
    for name in (x509.DNSName("watch.example"), x509.DNSName("n7.nodes.example")):
        assert verifier.build_server_verifier(name).verify(load(made.certificate), [])
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_server_verifier(x509.DNSName("other.example")).verify(load(made.certificate), [])
    with pytest.raises(x509.verification.VerificationError):
        verifier.build_client_verifier().verify(load(made.certificate), [])
    client = load(issue(tmp_path, "collector-1").certificate)
    assert verifier.build_client_verifier().verify(client, []).subjects == [x509.DNSName("collector-1")]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_takes_them_under_its_strict_rules(tmp_path: Path) -> None:
    authority = init_authority(tmp_path).certificate
    server, client = issue(tmp_path, "server", server=True, names=["127.0.0.1"]), issue(tmp_path, "c1")
    for certificate, purpose in ((server.certificate, "sslserver"), (client.certificate, "sslclient")):
        command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", authority, certificate]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr


def test_python_takes_them_under_its_strict_rules(tmp_path: Path) -> None:
    authority, made = init_authority(tmp_path), issue(tmp_path, "server", server=True, names=["127.0.0.1"])
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.certificate, made.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    done: set[ssl.SSLObject] = set()
    for _ in range(6):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {client, server}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = init_authority(tmp_path)
    before = first.key.read_bytes()
    with pytest.raises(CertificateError, match=r"ca\.pem exists"):
        init_authority(tmp_path)
    assert first.key.read_bytes() == before
    issue(tmp_path, "a")
    with pytest.raises(CertificateError, match=r"a\.pem exists"):
        issue(tmp_path, "a", server=True)


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden", "a b", "ca", "revoked", "é", "a" * 65])
def test_names_that_cannot_be_files_are_refused(tmp_path: Path, name) -> None:
    init_authority(tmp_path)
    with pytest.raises(CertificateError):
        issue(tmp_path, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_without_an_authority_the_fix_is_told(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="certs init"):
        issue(tmp_path, "a")
    (tmp_path / "ca.pem").write_text("rubbish")
    (tmp_path / "ca.key").write_text("rubbish")
    with pytest.raises(CertificateError, match="cannot be read"):
        issue(tmp_path, "a")


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    init_authority(tmp_path, days=30, now=NOW)
    made = issue(tmp_path, "a", days=365, now=NOW + timedelta(days=10))
    assert show(made.certificate).not_after == NOW + timedelta(days=30)
    with pytest.raises(CertificateError, match="expired"):
        issue(tmp_path, "b", now=NOW + timedelta(days=31))
    with pytest.raises(CertificateError, match="0 days"):
        issue(tmp_path, "b", days=0, now=NOW)


def test_two_authorities_have_different_names(tmp_path: Path) -> None:
    one, two = init_authority(tmp_path / "1"), init_authority(tmp_path / "2")
    assert show(one.certificate).name != show(two.certificate).name


def test_show_tells_what_a_certificate_says(tmp_path: Path) -> None:
    authority = init_authority(tmp_path, now=NOW)
    facts = show(issue(tmp_path, "watch", server=True, names=["127.0.0.1"], days=10, now=NOW).certificate)
    assert (facts.name, facts.usage, facts.names) == ("CN=watch", ("server",), ("watch", "127.0.0.1"))
    assert facts.issuer == show(authority.certificate).name
    assert facts.not_before <= NOW < facts.not_after == NOW + timedelta(days=10)
    assert show(authority.certificate).usage == ("authority",)
    with pytest.raises(CertificateError, match="no certificate"):
        show(authority.key)


def test_the_command_line(tmp_path: Path) -> None:
    folder = str(tmp_path / "certs")
    run = CliRunner()
    made = run.invoke(app, ["init", "--folder", folder, "--name", "watch.example"])
    assert made.exit_code == 0, made.output
    assert f'tls_client_ca = "{folder}/ca.pem"' in made.output
    assert {"localhost", "127.0.0.1", "::1", "watch.example"} <= set(show(tmp_path / "certs" / "server.pem").names)
    issued = run.invoke(app, ["issue", "collector-1", "--folder", folder, "--days", "9"])
    assert issued.output.split() == [f"{folder}/collector-1.pem", f"{folder}/collector-1.key"]
    shown = run.invoke(app, ["show", "--folder", folder])
    assert shown.exit_code == 0
    assert "CN=collector-1" in shown.output
    assert "8 days left" in shown.output
    wrong = run.invoke(app, ["init", "--folder", f"{folder}-2", "--name", "https://watch.example"])
    assert "'https://watch.example' is neither a host name nor an IP address" in str(wrong.exception)
    assert not (tmp_path / "certs-2").exists(), "nothing is left half made"
    again = run.invoke(app, ["init", "--folder", folder])
    assert isinstance(again.exception, CertificateError)
    empty = run.invoke(app, ["show", "--folder", str(tmp_path / "none")])
    assert isinstance(empty.exception, NotFound)
