"""Who is at the other end of a connection, as the transport sees it.

Enters: headers or call metadata, the address of the connection, the verified client certificate if there is one.
Leaves: a Peer. Does not decide whether the peer may do anything: receive/tokens.py does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

UNKNOWN_ADDRESS = "unknown"
_BEARER = "bearer "


class Certificate(NamedTuple):
    """What a verified certificate says: the name it is known by, all its names, its serial number (0 without one)."""

    name: str = ""
    names: tuple[str, ...] = ()
    serial: int = 0


@dataclass(frozen=True)
class Peer:
    """One end of a connection.

    `protocol` is how the ledger names the way in ("grpc", "http/protobuf", "http/json", "json"); `address` is the IP
    address without a port; `secret` is the bearer token, None when none was sent; `certificate` is what the client
    certificate says that the TLS handshake verified.
    """

    protocol: str
    address: str = UNKNOWN_ADDRESS
    secret: str | None = field(default=None, repr=False)
    certificate: Certificate = field(default_factory=Certificate)

    @property
    def certificate_name(self) -> str:
        """Give the name in the certificate, "" without one."""
        return self.certificate.name


def bearer_secret(authorization: str | None) -> str | None:
    """Give the token of an `Authorization` header; None when the header is missing or of another scheme.

    >>> bearer_secret("Bearer wk_ingest_abc"), bearer_secret("Basic eDp5"), bearer_secret(None)
    ('wk_ingest_abc', None, None)
    """
    if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    return authorization[len(_BEARER) :].strip() or None


def grpc_address(peer: str) -> str:
    """Give the IP address in gRPC's name of a peer.

    >>> grpc_address("ipv4:10.1.2.3:5000"), grpc_address("ipv6:%5B::1%5D:5000"), grpc_address("unix:")
    ('10.1.2.3', '::1', 'unix')
    """
    family, _, rest = peer.partition(":")
    if family not in {"ipv4", "ipv6"}:
        return family or UNKNOWN_ADDRESS
    host, _, _port = unquote(rest).rpartition(":")
    return host.strip("[]") or UNKNOWN_ADDRESS


def certificate_of(told: dict[str, Any] | None) -> Certificate:
    """Read a verified certificate as `ssl.SSLObject.getpeercert()` tells it; the name is the common name, else a SAN.

    >>> certificate_of({"subject": ((("commonName", "node-1"),),), "serialNumber": "0A"})
    Certificate(name='node-1', names=('node-1',), serial=10)
    """
    if not told:
        return Certificate()
    common = [str(value) for row in told.get("subject", ()) for key, value in row if key == "commonName" and value]
    names = tuple(dict.fromkeys([*common, *(str(value) for _, value in told.get("subjectAltName", ()) if value)]))
    return Certificate(names[0] if names else "", names, int(told.get("serialNumber", "0"), 16))
