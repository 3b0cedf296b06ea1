"""Why a line of log is judged as it is."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from watchkeeper.gateway import models_versions as models
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text

router = APIRouter(prefix="/api/v1", tags=["models"])


@router.post("/why", operation_id="whyLine", response_model=models.WhyAnswer)
async def why(gateway: Parts, request: models.WhyRequest) -> Response:
    """Tell what a line is to the online detector and to the log models at work; nothing is learned from it."""
    told = await gateway.work.queries.run(
        gateway.keeper.why.explain,
        request.line,
        service=request.service,
        model=request.model,
        resource=request.resource_attributes,
    )
    return JsonResponse(times_as_text(told))
