"""Who may call what: one table of roles, and the one dependency that holds every route to it.

Enters: a request. Leaves: nothing, or Unauthorized or Forbidden. A route that the table does not name is refused, so a
new one cannot be open by oversight. What is posted to the API must be JSON, which no form of another site can send.
Does not check Host and Origin: security.py does.
"""

from __future__ import annotations

from fastapi import Request
from starlette.routing import compile_path

from watchkeeper.errors import Forbidden, UnsupportedEncoding
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
    ("GET", "/api/v1/incidents"): Role.VIEWER,
    ("POST", "/api/v1/incidents/preview"): Role.VIEWER,
    ("GET", "/api/v1/incidents/{incident_id}"): Role.VIEWER,
    ("GET", "/api/v1/incidents/{incident_id}/report"): Role.VIEWER,
    ("POST", "/api/v1/incidents/{incident_id}/acknowledge"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/resolve"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/reopen"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/note"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/merge"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/split"): Role.OPERATOR,
    ("POST", "/api/v1/incidents/{incident_id}/explain"): Role.OPERATOR,
    ("POST", "/api/v1/explain"): Role.VIEWER,
    ("POST", "/changes"): Role.INGEST,
    ("GET", "/api/v1/changes"): Role.VIEWER,
    ("POST", "/api/v1/changes"): Role.OPERATOR,
    ("GET", "/api/v1/changes/{change_id}"): Role.VIEWER,
    ("GET", "/api/v1/silences"): Role.VIEWER,
    ("POST", "/api/v1/silences"): Role.OPERATOR,
    ("DELETE", "/api/v1/silences/{silence_id}"): Role.OPERATOR,
    ("GET", "/api/v1/feedback"): Role.VIEWER,
    ("POST", "/api/v1/feedback"): Role.OPERATOR,
    ("DELETE", "/api/v1/feedback/{entry_id}"): Role.OPERATOR,
    ("GET", "/api/v1/feedback/questions"): Role.VIEWER,
    ("POST", "/api/v1/feedback/preview"): Role.VIEWER,
    ("GET", "/api/v1/feedback/rounds"): Role.VIEWER,
    ("POST", "/api/v1/feedback/rounds"): Role.OPERATOR,
    ("POST", "/api/v1/feedback/rollback"): Role.OPERATOR,
    ("POST", "/api/v1/alerts/alertmanager"): Role.INGEST,
    ("GET", "/api/v1/scoreboard"): Role.VIEWER,
    ("GET", "/api/v1/session"): Role.VIEWER,
    ("POST", "/api/v1/why"): Role.VIEWER,
    ("GET", "/api/v1/models"): Role.VIEWER,
    ("GET", "/api/v1/models/version"): Role.VIEWER,
    ("GET", "/api/v1/models/audit"): Role.VIEWER,
    ("POST", "/api/v1/models/promote"): Role.OPERATOR,
    ("POST", "/api/v1/models/rollback"): Role.OPERATOR,
    ("POST", "/api/v1/models/save"): Role.OPERATOR,
    ("GET", "/api/v1/metrics"): Role.VIEWER,
    ("GET", "/api/v1/metrics/series"): Role.VIEWER,
    ("GET", "/api/v1/metrics/forecast"): Role.VIEWER,
    ("GET", "/api/v1/traces"): Role.VIEWER,
    ("GET", "/api/v1/traces/{trace_id}"): Role.VIEWER,
    ("GET", "/api/v1/topology"): Role.VIEWER,
    ("GET", "/api/v1/settings"): Role.VIEWER,
    ("POST", "/api/v1/sql"): Role.OPERATOR,
    ("POST", "/api/v1/backup"): Role.ADMIN,
    ("GET", "/api/v1/events"): Role.VIEWER,
    ("GET", "/api/v1/training/jobs"): Role.VIEWER,
    ("POST", "/api/v1/training/jobs"): Role.OPERATOR,
    ("GET", "/api/v1/training/jobs/{job_id}"): Role.VIEWER,
    ("GET", "/api/v1/training/jobs/{job_id}/log"): Role.VIEWER,
    ("GET", "/api/v1/training/jobs/{job_id}/stream"): Role.VIEWER,
    ("POST", "/api/v1/training/jobs/{job_id}/cancel"): Role.OPERATOR,
    ("GET", "/api/v1/workloads"): Role.VIEWER,
    ("GET", "/api/v1/watchlists"): Role.VIEWER,
    ("GET", "/api/v1/watchlists/{name}"): Role.VIEWER,
    ("PUT", "/api/v1/watchlists/{name}"): Role.OPERATOR,
    ("DELETE", "/api/v1/watchlists/{name}"): Role.OPERATOR,
    ("POST", "/api/v1/watchlists/{name}/edit"): Role.OPERATOR,
    ("POST", "/api/v1/watchlists/{name}/train"): Role.OPERATOR,
    ("POST", "/model/train"): Role.OPERATOR,
    ("GET", "/model/status"): Role.VIEWER,
    ("PUT", "/model/current_status"): Role.OPERATOR,
    ("GET", "/model/training_parameters"): Role.VIEWER,
    ("GET", "/workload_aggregation/{cluster_id}"): Role.VIEWER,
    ("GET", "/gpu_info"): Role.VIEWER,
    ("GET", "/ai/settings"): Role.VIEWER,
    ("PUT", "/ai/settings"): Role.ADMIN,
    ("DELETE", "/ai/settings"): Role.ADMIN,
    ("GET", "/api/v1/tokens"): Role.ADMIN,
    ("POST", "/api/v1/tokens"): Role.ADMIN,
    ("DELETE", "/api/v1/tokens/{name}"): Role.ADMIN,
}
"""The role that each route asks for; None asks for none. docs/api.md shows the same, and a test compares the two."""

_JSON = "application/json"
_PATHS = {path: compile_path(path)[0] for _, path in ROLES}

STREAMS = frozenset({"/api/v1/events", "/api/v1/logs/stream", "/api/v1/training/jobs/{job_id}/stream"})
"""Where the token may stand in the address, for a browser's EventSource cannot send headers."""


async def authorize(request: Request) -> None:
    """Let a request through or raise Unauthorized or Forbidden."""
    path = request.scope["route"].path
    method = "GET" if request.method == "HEAD" else request.method
    if (method, path) not in ROLES:
        raise Forbidden(f"no role is set for {method} {path}")
    if method in {"POST", "PUT"} and path != "/logs":
        _require_json(request)
    role = ROLES[method, path]
    # Ingest is authorized where it arrives, which also keeps the account of what it turns away.
    if role is None or role is Role.INGEST:
        return
    keeper = gateway_of(request).keeper
    identify(keeper.settings, keeper.tokens, peer_of(request, protocol="http"), role)


def allowed_methods(path: str) -> str:
    """Give the methods that a path answers, as the header Allow lists them.

    >>> allowed_methods("/api/v1/tokens"), allowed_methods("/api/v1/tokens/ci")
    ('GET, POST', 'DELETE')
    """
    return ", ".join(sorted(_methods(path) or {"GET", "HEAD"}))


def is_api_path(path: str) -> bool:
    """Tell whether a path is answered by a route of the API, by whatever method."""
    return bool(_methods(path))


def _methods(path: str) -> set[str]:
    # A path written out in the table is that route, though another's parameter would match it too.
    matches = [path] if path in _PATHS else [known for known, form in _PATHS.items() if form.match(path)]
    return {method for method, known in ROLES if known != PAGE_PATH and known in matches}


def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _JSON:
        raise UnsupportedEncoding(
            f"the Content-Type {content_type[:100]!r} is not taken here; send {_JSON}",
            header="Accept-Post",
            known=_JSON,
        )


def peer_of(request: Request, *, protocol: str) -> Peer:
    """Tell who is at the other end, as far as the request says."""
    secret = bearer_secret(request.headers.get("authorization"))
    if secret is None and request.scope["route"].path in STREAMS:
        secret = request.query_params.get("token") or None
    return Peer(protocol=protocol, address=request.client.host if request.client else UNKNOWN_ADDRESS, secret=secret)
