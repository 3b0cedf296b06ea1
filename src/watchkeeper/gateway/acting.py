"""Who it is that acts: the name of the token, else what the request itself says."""

from __future__ import annotations

from fastapi import Request

from watchkeeper.gateway.auth import peer_of
from watchkeeper.gateway.context import gateway_of
from watchkeeper.receive.tokens import Role, identify

UNNAMED = "someone"


def actor(request: Request, said: str) -> str:
    """Give the name under which an act stands in the timeline."""
    keeper = gateway_of(request).keeper
    peer = peer_of(request, protocol="http")
    if peer.secret is not None and keeper.tokens.any():
        return keeper.tokens.check(peer.secret).name
    return " ".join(said.split()) or UNNAMED


def require_ingest(request: Request) -> None:
    """Hold a request to the role ingest, which `authorize` leaves to the receiver; raises Unauthorized, Forbidden."""
    keeper = gateway_of(request).keeper
    identify(keeper.settings, keeper.tokens, peer_of(request, protocol="json"), Role.INGEST)
