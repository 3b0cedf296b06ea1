"""Who may call what: one table of roles, and the one dependency that holds every route to it.

Enters: a request. Leaves: nothing, or Unauthorized or Forbidden. A route that the table does not name is refused, so a
new one cannot be open by oversight. Does not check Host and Origin: security.py does.
"""

from __future__ import annotations

from fastapi import Request

from watchkeeper.errors import Forbidden
from watchkeeper.gateway.context import gateway_of
from watchkeeper.receive.peer import UNKNOWN_ADDRESS, Peer, bearer_secret
from watchkeeper.receive.tokens import Role, identify

PAGE_PATH = "/{path:path}"
OPENAPI_PATH = "/openapi.json"

ROLES: dict[tuple[str, str], Role | None] = {
    ("GET", "/health"): None,
    ("GET", "/ready"): None,
    ("GET", "/metrics"): None,
    ("GET", OPENAPI_PATH): None,
    ("GET", PAGE_PATH): None,
    ("POST", "/logs"): Role.INGEST,
    ("GET", "/api/v1/status"): Role.VIEWER,
    ("GET", "/api/v1/ledger"): Role.VIEWER,
    ("GET", "/api/v1/services"): Role.VIEWER,
    ("GET", "/api/v1/logs"): Role.VIEWER,
    ("GET", "/api/v1/logs/histogram"): Role.VIEWER,
    ("GET", "/api/v1/logs/stream"): Role.VIEWER,
    ("GET", "/api/v1/patterns"): Role.VIEWER,
    ("GET", "/api/v1/patterns/{template_id}"): Role.VIEWER,
    ("GET", "/api/v1/findings"): Role.VIEWER,
    ("GET", "/api/v1/findings/{finding_id}"): Role.VIEWER,
    ("GET", "/api/v1/metrics"): Role.VIEWER,
    ("GET", "/api/v1/metrics/series"): Role.VIEWER,
    ("GET", "/api/v1/traces"): Role.VIEWER,
    ("GET", "/api/v1/traces/{trace_id}"): Role.VIEWER,
    ("GET", "/api/v1/settings"): Role.VIEWER,
    ("POST", "/api/v1/sql"): Role.OPERATOR,
    ("POST", "/api/v1/backup"): Role.ADMIN,
    ("GET", "/api/v1/events"): Role.VIEWER,
    ("GET", "/api/v1/tokens"): Role.ADMIN,
    ("POST", "/api/v1/tokens"): Role.ADMIN,
    ("DELETE", "/api/v1/tokens/{name}"): Role.ADMIN,
}
"""The role that each route asks for; None asks for none. docs/api.md shows the same, and a test compares the two."""

STREAMS = frozenset({"/api/v1/events", "/api/v1/logs/stream"})
"""Where the token may stand in the address, for a browser's EventSource cannot send headers."""


async def authorize(request: Request) -> None:
    """Let a request through or raise Unauthorized or Forbidden."""
    path = request.scope["route"].path
    method = "GET" if request.method == "HEAD" else request.method
    if (method, path) not in ROLES:
        raise Forbidden(f"no role is set for {method} {path}")
    role = ROLES[method, path]
    # Ingest is authorized by the receiver, which also keeps the account of what it turns away.
    if role is None or role is Role.INGEST:
        return
    keeper = gateway_of(request).keeper
    identify(keeper.settings, keeper.tokens, peer_of(request, protocol="http"), role)


def peer_of(request: Request, *, protocol: str) -> Peer:
    """Tell who is at the other end, as far as the request says."""
    secret = bearer_secret(request.headers.get("authorization"))
    if secret is None and request.scope["route"].path in STREAMS:
        secret = request.query_params.get("token") or None
    return Peer(protocol=protocol, address=request.client.host if request.client else UNKNOWN_ADDRESS, secret=secret)
