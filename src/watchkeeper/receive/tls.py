"""TLS and mutual TLS of the three ports, from the settings tls_cert, tls_key and tls_client_ca.

Enters: paths of PEM files. Leaves: what uvicorn and gRPC are to be given. With a client authority the two OTLP ports
take only clients whose certificate it signed, and the name in that certificate reaches the receiver; the page and the
API do not ask browsers for certificates. TLS 1.2 is the least spoken. receive/certs.py makes certificates, not this.
"""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watchkeeper.errors import CertificateError, SettingError
from watchkeeper.receive.peer import certificate_name
from watchkeeper.settings import Settings


class ServerTls(NamedTuple):
    """What each server is given: keyword arguments of `uvicorn.Config` for page and OTLP/HTTP, credentials for gRPC."""

    page: dict[str, Any]
    otlp: dict[str, Any]
    grpc: grpc.ServerCredentials


class PeerCertificateProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that tells the application whose certificate the handshake verified.

    It does so in the way of the ASGI TLS extension: `scope["extensions"]["tls"]["client_cert_name"]`.
    """

    _client_name = ""

    def connection_made(self, transport: Any) -> None:
        """Remember the name in the client's certificate; asked once a connection, not once a request."""
        super().connection_made(transport)
        self._client_name = certificate_name(transport.get_extra_info("peercert"))

    def on_message_begin(self) -> None:
        """Put the name into the scope of the request that begins."""
        super().on_message_begin()
        self.scope["extensions"] = {"tls": {"client_cert_name": self._client_name or None}}


def server_tls(settings: Settings) -> ServerTls | None:
    """Make what the servers need; None when TLS is off. Raises SettingError, CertificateError."""
    cert, key, client_ca = (settings.text(name) for name in ("tls_cert", "tls_key", "tls_client_ca"))
    if not cert and not key and not client_ca:
        return None
    if not cert or not key:
        missing = "tls_cert" if not cert else "tls_key"
        raise SettingError(
            f"TLS needs both tls_cert and tls_key, and {missing} is not set; `watchkeeper certs init` makes them"
        )
    cert_path, key_path = settings.path("tls_cert"), settings.path("tls_key")
    ca_path = settings.path("tls_client_ca") if client_ca else None
    chain, private, authority = _read(cert_path), _read(key_path), _read(ca_path) if ca_path else None
    for ca in (None, ca_path):  # A damaged file is to be told now, by its name, and not by uvicorn or gRPC later.
        server_context(cert_path, key_path, ca)
    page = {"ssl_context_factory": partial(_make_context, cert_path, key_path, None)}
    otlp = {
        "ssl_context_factory": partial(_make_context, cert_path, key_path, ca_path),
        "http": PeerCertificateProtocol,
        "ws": "none",
    }
    credentials = grpc.ssl_server_credentials(
        [(private, chain)], root_certificates=authority, require_client_auth=authority is not None
    )
    return ServerTls(page, otlp, credentials)


def server_context(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """Make a server's context; with `client_ca`, clients must show a certificate that it signed.

    Raises CertificateError when a file is not what it should be, or the key is not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(
            f"tls_cert {cert} and tls_key {key} are no PEM certificate and its key: {error}; make them anew with "
            "`watchkeeper certs`"
        ) from error
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(f"tls_client_ca {client_ca} holds no PEM certificate: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _make_context(cert: Path, key: Path, client_ca: Path | None, config: Config, default: Any) -> ssl.SSLContext:
    """Answer uvicorn's `ssl_context_factory`; its own default would allow what the settings forbid."""
    return server_context(cert, key, client_ca)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be read ({error.strerror}); check tls_cert, tls_key, tls_client_ca"
        ) from error
