"""Who is at the other end of a connection, as the transport sees it.

Enters: headers or call metadata, the address of the connection, the verified client certificate if there is one.
Leaves: a Peer. Does not decide whether the peer may do anything: receive/tokens.py does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

UNKNOWN_ADDRESS = "unknown"
_BEARER = "bearer "


@dataclass(frozen=True)
class Peer:
    """One end of a connection.

    `protocol` is how the ledger names the way in ("grpc", "http/protobuf", "http/json", "json"); `address` is the IP
    address without a port; `secret` is the bearer token, None when none was sent; `certificate_name` is the name in the
    client certificate that the TLS handshake verified, "" without one.
    """

    protocol: str
    address: str = UNKNOWN_ADDRESS
    secret: str | None = field(default=None, repr=False)
    certificate_name: str = ""


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


def certificate_name(certificate: dict[str, Any] | None) -> str:
    """Give the name in a verified certificate as `ssl.SSLObject.getpeercert()` tells it: common name, else first SAN.

    >>> certificate_name({"subject": ((("commonName", "collector-1"),),)}), certificate_name(None)
    ('collector-1', '')
    """
    if not certificate:
        return ""
    for relative in certificate.get("subject", ()):
        for key, value in relative:
            if key == "commonName" and value:
                return str(value)
    return next((str(value) for _, value in certificate.get("subjectAltName", ()) if value), "")
