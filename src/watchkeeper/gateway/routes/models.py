"""Versions of models: list, show, promote, roll back, audit; and a version of what is learned online, made now."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from watchkeeper.app.online_model import ONLINE, OnlineModel
from watchkeeper.gateway import models_versions as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text
from watchkeeper.models.versions import ModelVersions, Version

router = APIRouter(prefix="/api/v1/models", tags=["models"])

AnyName = Annotated[str, Query(max_length=80, description="Only this model.", examples=["logs/default"])]


@router.get("", operation_id="listModels", response_model=models.VersionsAnswer)
async def list_models(gateway: Parts, name: AnyName = "") -> Response:
    """List the versions of all models, or of one, by name and the newest first."""
    versions = await gateway.work.queries.run(gateway.keeper.models.list, name)
    return JsonResponse(
        {"items": [_shape(version) for version in versions], "problems": list(gateway.keeper.models.problems)}
    )


@router.get("/version", operation_id="getModel", response_model=models.VersionShape)
async def get_model(
    gateway: Parts,
    name: Annotated[str, Query(min_length=1, max_length=80, examples=["online"])],
    number: Annotated[int, Query(ge=1, le=2**31 - 1)],
) -> Response:
    """Show one version with all that its card tells."""
    return JsonResponse(_shape(await gateway.work.queries.run(gateway.keeper.models.get, name, number)))


@router.get("/audit", operation_id="getModelAudit", response_model=models.AuditAnswer)
async def get_audit(gateway: Parts, name: AnyName = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """Tell who published, promoted, rolled back or deleted what, when and why, the newest first."""
    entries = await gateway.work.queries.run(gateway.keeper.models.audit, name, limit)
    return JsonResponse({"items": [times_as_text(entry._asdict()) for entry in entries]})


@router.post("/promote", operation_id="promoteModel", response_model=models.VersionShape)
async def promote(gateway: Parts, http: Request, request: models.PromoteRequest) -> Response:
    """Make a version the active one; 409 when its files are damaged."""
    version = await gateway.work.queries.run(
        _owner(gateway, request.name).promote,
        request.name,
        request.number,
        who=actor(http, request.by),
        why=request.why,
    )
    return JsonResponse(_shape(version))


@router.post("/rollback", operation_id="rollbackModel", response_model=models.VersionShape)
async def rollback(gateway: Parts, http: Request, request: models.ActRequest) -> Response:
    """Go back one version; 409 when there is none. What the online detectors learned since is kept as a version."""
    version = await gateway.work.queries.run(
        _owner(gateway, request.name).rollback, request.name, who=actor(http, request.by), why=request.why
    )
    return JsonResponse(_shape(version))


@router.post("/save", operation_id="saveModel", response_model=models.VersionShape, status_code=201)
async def save(gateway: Parts, http: Request, request: models.ActRequest) -> Response:
    """Make a version of what the online detectors have learned by now, and make it the active one."""
    version = await gateway.work.queries.run(
        gateway.keeper.online.save, request.name, who=actor(http, request.by), why=request.why
    )
    return JsonResponse(_shape(version), status_code=201)


def _owner(gateway: Gateway, name: str) -> ModelVersions | OnlineModel:
    return gateway.keeper.online if name == ONLINE else gateway.keeper.models


def _shape(version: Version) -> dict[str, Any]:
    shape: dict[str, Any] = times_as_text(version.as_dict())
    return shape
