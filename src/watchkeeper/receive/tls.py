"""TLS and mutual TLS of the three ports, from the settings tls_cert, tls_key and tls_client_ca.

Enters: paths of PEM files. Leaves: contexts that follow the files. With a client authority the two OTLP ports take only
clients whose certificate it signed, and what that certificate says reaches the receiver; the page and the API do not
ask browsers for certificates. TLS 1.2 is the least spoken. receive/certs.py makes certificates, not this.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watchkeeper.errors import CertificateError, SettingError
from watchkeeper.receive.peer import Certificate, certificate_of
from watchkeeper.receive.tls_files import Followed, TlsContexts
from watchkeeper.receive.tls_gate import GateContext
from watchkeeper.settings import Settings


class ServerTls(NamedTuple):
    """The contexts of the page, which asks nobody for a certificate, and of the two OTLP ports; they follow files."""

    page: TlsContexts
    otlp: TlsContexts
    grpc: TlsContexts


class PeerCertificateProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that tells the application whose certificate the handshake verified.

    It does so where the ASGI TLS extension has its own: `scope["extensions"]["tls"]["client_certificate"]`.
    """

    _certificate = Certificate()

    def connection_made(self, transport: Any) -> None:
        """Remember the client's certificate; asked once a connection, not once a request."""
        super().connection_made(transport)
        self._certificate = certificate_of(transport.get_extra_info("peercert"))

    def on_message_begin(self) -> None:
        """Put it into the scope of the request that begins."""
        super().on_message_begin()
        self.scope["extensions"] = {"tls": {"client_certificate": self._certificate}}


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
    files = [path for path in (cert_path, key_path, ca_path) if path is not None]
    for path in files:
        _check_readable(path)
    page = Followed(files[:2], lambda: server_context(cert_path, key_path, None))
    otlp = Followed(files, lambda: server_context(cert_path, key_path, ca_path))
    grpc = Followed(files, lambda: server_context(cert_path, key_path, ca_path, protocol="h2"))
    return ServerTls(page, otlp, grpc)


def server_context(cert: Path, key: Path, client_ca: Path | None, *, protocol: str = "http/1.1") -> ssl.SSLContext:
    """Make a server's context; with `client_ca`, clients must show a certificate that it signed.

    Raises CertificateError when a file is not what it should be, or the key is not the certificate's.
    """
    context = GateContext(ssl.PROTOCOL_TLS_SERVER)
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
    context.set_alpn_protocols([protocol])
    return context


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be read ({error.strerror}); check tls_cert, tls_key, tls_client_ca"
        ) from error
