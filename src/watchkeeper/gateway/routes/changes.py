"""Changes: deploys, configuration, scaling and feature flags, as people and pipelines tell them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from watchkeeper.app.changes import change_dict
from watchkeeper.diagnose.changes import change_id
from watchkeeper.diagnose.window import Change
from watchkeeper.errors import NotFound
from watchkeeper.gateway import models_incidents as models
from watchkeeper.gateway.acting import actor, require_ingest
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text
from watchkeeper.store.reads.times import parse_time

router = APIRouter(tags=["changes"])

_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"model": models.ChangeShape, "description": "It was kept before."}}


@router.post(
    "/changes", operation_id="sendChange", response_model=models.ChangeShape, status_code=201, responses=_ANSWERS
)
async def send_change(gateway: Parts, http: Request, request: models.ChangeRequest) -> Response:
    """Take in a change from a pipeline; 201, or 200 when it was known already."""
    require_ingest(http)
    return await _keep(gateway, http, request)


@router.post(
    "/api/v1/changes",
    operation_id="createChange",
    response_model=models.ChangeShape,
    status_code=201,
    responses=_ANSWERS,
)
async def create_change(gateway: Parts, http: Request, request: models.ChangeRequest) -> Response:
    """Keep a change; 201, or 200 when it was known already."""
    return await _keep(gateway, http, request)


@router.get("/api/v1/changes", operation_id="listChanges", response_model=models.ChangesAnswer)
async def list_changes(
    gateway: Parts,
    asked: Asked,
    kind: Annotated[Literal["", "deploy", "config", "scale", "flag", "other"], Query()] = "",
    node: Annotated[str, Query(max_length=500, examples=["service:cart"])] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str, Query(max_length=300, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """List changes, newest first."""
    within = asked.read(gateway.now_unix_ns()) if asked.given() else None
    items, next_cursor = await gateway.work.queries.run(
        gateway.keeper.changes.list,
        kind=kind or None,
        node=node or None,
        from_unix_ns=within.from_unix_ns if within else None,
        to_unix_ns=within.to_unix_ns if within else None,
        limit=limit,
        cursor=cursor or None,
    )
    return JsonResponse({"items": [times_as_text(change_dict(item)) for item in items], "next_cursor": next_cursor})


@router.get("/api/v1/changes/{change_id}", operation_id="getChange", response_model=models.ChangeShape)
async def get_change(gateway: Parts, change_id: Annotated[str, Path(max_length=200)]) -> Response:
    """Show one change."""
    change = await gateway.work.queries.run(gateway.keeper.changes.get, change_id)
    if change is None:
        raise NotFound(f"there is no change {change_id[:100]!r}")
    return JsonResponse(times_as_text(change_dict(change)))


async def _keep(gateway: Gateway, http: Request, request: models.ChangeRequest) -> Response:
    now = gateway.now_unix_ns()
    node = request.node or (f"service:{request.service}" if request.service else "")
    at = parse_time(request.time, now) if request.time else now
    by = actor(http, request.by)
    change = Change(
        id=request.id or change_id(request.kind, node, request.title, at),
        kind=request.kind,
        node=node,
        title=request.title,
        time_unix_ns=at,
        source=request.source or by,
        attributes={**request.attributes, "by": by},
    )

    def keep() -> tuple[Change, bool]:
        new = gateway.keeper.changes.put([change])
        return (change, True) if new else (gateway.keeper.changes.get(change.id) or change, False)

    kept, new = await gateway.work.queries.run(keep)
    return JsonResponse(times_as_text(change_dict(kept)), status_code=201 if new else 200)
