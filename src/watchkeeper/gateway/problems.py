"""Errors as the API tells them: `application/problem+json` (RFC 9457) with title, status and a detail that helps.

Enters: any error of Watchkeeper's tree, of the request's validation, or of routing. Leaves: a response. What is none of
these is a fault of ours: logged here, counted, and told without its insides.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from watchkeeper.errors import (
    Conflict,
    DuplicateName,
    Forbidden,
    InternalFault,
    MalformedTelemetry,
    MissingExtra,
    NotFound,
    QueryError,
    QueueFull,
    Refused,
    SettingError,
    StoreError,
    TooLarge,
    Unauthorized,
    UnsupportedEncoding,
    WatchkeeperError,
)
from watchkeeper.gateway.shapes import JsonResponse

PROBLEM_TYPE = "application/problem+json"

_STATUS: tuple[tuple[type[WatchkeeperError], int], ...] = (
    (QueryError, 400),
    (UnsupportedEncoding, 415),
    (MalformedTelemetry, 400),
    (SettingError, 400),
    (DuplicateName, 409),
    (Conflict, 409),
    (MissingExtra, 409),
    (StoreError, 409),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (TooLarge, 413),
    (QueueFull, 429),
    (Refused, 503),
)

log = logging.getLogger(__name__)


def problem(status: int, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> Response:
    """Make a problem response; `more` are further members, such as the position in a query."""
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JsonResponse(content, status_code=status, headers=headers, media_type=PROBLEM_TYPE)


def problem_of(error: WatchkeeperError) -> Response:
    """Make the response of an error of the tree."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if isinstance(error, Refused):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="watchkeeper"'
    if isinstance(error, UnsupportedEncoding):
        headers[error.header] = error.known
    if isinstance(error, QueryError) and error.position is not None:
        more["position"] = error.position
    if status == 500 or isinstance(error, InternalFault):
        log.error("a request failed: %s", error, exc_info=error)
    return problem(status, str(error), headers=headers, **more)


def install(api: FastAPI, allowed_methods: Callable[[str], str]) -> None:
    """Make every error of the API a problem; `allowed_methods` gives the header Allow of a path."""

    async def _of_routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _routing_problem(request, error, allowed_methods)

    api.add_exception_handler(WatchkeeperError, _of_ours)
    api.add_exception_handler(RequestValidationError, _of_validation)
    api.add_exception_handler(HTTPException, _of_routing)
    api.add_exception_handler(Exception, _of_fault)


async def _of_ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, WatchkeeperError)
    return problem_of(error)


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = [f"{'.'.join(map(str, each['loc'][1:])) or each['loc'][0]}: {each['msg']}" for each in error.errors()[:10]]
    return problem(400, "; ".join(said))


def _routing_problem(request: Request, error: HTTPException, allowed_methods: Callable[[str], str]) -> Response:
    path = request.url.path
    detail, headers = str(error.detail), dict(error.headers or {})
    if error.status_code == 404:
        detail = f"there is nothing at {path[:200]!r}; /openapi.json lists what there is"
    elif error.status_code == 405:
        allowed = allowed_methods(path)
        detail = f"{request.method} is not answered at {path[:200]!r}; it takes {allowed}"
        headers = {"Allow": allowed}
    return problem(error.status_code, detail, headers=headers)


async def _of_fault(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, f"a fault of Watchkeeper, which its log tells about: {type(error).__name__}")
