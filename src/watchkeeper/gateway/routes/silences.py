"""Silences: what people want to hear nothing of for a while."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from watchkeeper.diagnose.silence import Silence
from watchkeeper.gateway import models_incidents as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text

router = APIRouter(prefix="/api/v1/silences", tags=["silences"])


@router.get("", operation_id="listSilences", response_model=models.SilencesAnswer)
async def list_silences(
    gateway: Parts, ended: Annotated[bool, Query(description="Those that ended in the last month too.")] = False
) -> Response:
    """List silences, the one that ends first at the front."""
    now = gateway.now_unix_ns()
    items = gateway.keeper.silences.list(active_only=not ended)
    return JsonResponse({"items": [_shape(item, now) for item in items]})


@router.post("", operation_id="createSilence", response_model=models.SilenceShape, status_code=201)
async def create_silence(gateway: Parts, http: Request, request: models.SilenceRequest) -> Response:
    """Begin a silence; findings that it covers are kept and marked, open no incident and reach nobody."""
    now = gateway.now_unix_ns()
    silence = await gateway.work.queries.run(
        gateway.keeper.silences.add,
        request.matchers.model_dump(),
        by=actor(http, request.by),
        why=request.why,
        until_unix_ns=now + max(1, int(request.duration_s * 1e9)),
    )
    return JsonResponse(_shape(silence, now), status_code=201)


@router.delete("/{silence_id}", operation_id="endSilence", status_code=204, response_class=Response)
async def end_silence(gateway: Parts, silence_id: Annotated[str, Path(max_length=100)]) -> Response:
    """End a silence at once."""
    await gateway.work.queries.run(gateway.keeper.silences.remove, silence_id)
    return Response(status_code=204)


def _shape(silence: Silence, now_unix_ns: int) -> dict[str, Any]:
    shape: dict[str, Any] = times_as_text({**silence.as_dict(), "active": silence.active(now_unix_ns)})
    return shape
