"""Finishes the OpenAPI document: the problems each operation can answer with, its role, and how a token is sent.

Enters: the document that FastAPI makes of the routes. Leaves: the one that is served. What is said of errors comes from
the table of roles and the shape of each operation, so that it cannot be forgotten for a new route.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from watchkeeper.gateway.auth import ROLES
from watchkeeper.gateway.models import LogEntry, Problem
from watchkeeper.gateway.problems import PROBLEM_TYPE
from watchkeeper.receive.tokens import Role

DESCRIPTION = (
    "Watchkeeper keeps watch over running systems. Times are Unix nanoseconds as decimal text. Errors are "
    "`application/problem+json`. Once a token is set up, send `Authorization: Bearer TOKEN`; an event stream takes "
    "`?token=` too."
)

_MEANINGS = {
    400: "The request cannot be read: a parameter, a query, a body.",
    401: "A token is needed, or the one sent is not known.",
    403: "The role of the token does not allow it, or Host or Origin are not this machine's.",
    404: "There is nothing of that name or id.",
    409: "There is one of that name already, or its state does not allow it.",
    413: "The body is too large.",
    415: "The Content-Type or Content-Encoding is not known here.",
    429: "Too much at once; retry after the seconds of Retry-After.",
    503: "Not now; retry after the seconds of Retry-After.",
}
_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_ACTS = ("acknowledge", "resolve", "reopen", "merge", "split", "explain")
_CONFLICTS = frozenset(
    {
        ("POST", "/api/v1/tokens"),
        *(("POST", f"/api/v1/models/{act}") for act in ("promote", "rollback", "save")),
        ("POST", "/api/v1/backup"),
        ("POST", "/api/v1/feedback/rounds"),
        ("POST", "/api/v1/feedback/rollback"),
        ("POST", "/api/v1/feedback"),
        ("POST", "/model/train"),
        ("PUT", "/model/current_status"),
        ("POST", "/api/v1/watchlists/{name}/train"),
        ("POST", "/api/v1/training/jobs"),
        ("POST", "/api/v1/training/jobs/{job_id}/cancel"),
        *(("POST", f"/api/v1/incidents/{{incident_id}}/{act}") for act in _ACTS),
    }
)
_NAMED_IN_THE_REQUEST = frozenset(
    {
        ("POST", "/api/v1/feedback"),
        ("GET", "/api/v1/models/version"),
        *(("POST", f"/api/v1/models/{act}") for act in ("promote", "rollback", "save")),
        ("POST", "/api/v1/why"),
    }
)
_UNLIMITED = frozenset({"/health", "/ready", "/openapi.json"})


def install(api: FastAPI) -> None:
    """Make the API serve the finished document; it is made once, on first use."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = finished(
                get_openapi(title=api.title, version=api.version, description=DESCRIPTION, routes=api.routes)
            )
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def finished(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document what is said in this module; changes and gives it."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, definitions = models_json_schema(
        [(Problem, "serialization"), (LogEntry, "validation")], ref_template="#/components/schemas/{model}"
    )
    schemas.update(definitions["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "query": {"type": "apiKey", "in": "query", "name": "token"},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _finish(operation, method.upper(), path)
    return document


def _finish(operation: dict[str, Any], method: str, path: str) -> None:
    role = ROLES[method, path]
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(_statuses(operation, method, path, role)):
        responses.setdefault(
            str(status), {"description": _MEANINGS[status], "content": {PROBLEM_TYPE: {"schema": _REFERENCE}}}
        )
    if role is not None:
        operation["x-role"] = role.value
        # An empty requirement beside the others: without any token set up, nobody is asked.
        operation["security"] = [{}, {"bearer": []}]
        if path.endswith(("/events", "/stream")):
            operation["security"].append({"query": []})


def _statuses(operation: dict[str, Any], method: str, path: str, role: Role | None) -> set[int]:
    statuses = {400, 403} | ({503} if path != "/health" else set())
    if role is not None:
        statuses |= {401}
    if path not in _UNLIMITED:
        statuses |= {429}
    named = any(each.get("in") == "path" for each in operation.get("parameters", []))
    if named or (method, path) in _NAMED_IN_THE_REQUEST:
        statuses |= {404}
    if "requestBody" in operation:
        statuses |= {413, 415}
    if (method, path) in _CONFLICTS:
        statuses |= {409}
    return statuses
