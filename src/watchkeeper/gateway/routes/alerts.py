"""Alerts of a user's own rules, as Alertmanager sends them to a webhook."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from watchkeeper.gateway import models_incidents as models
from watchkeeper.gateway.acting import require_ingest
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.receive.alertmanager import findings_from_webhook

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


@router.post("/alertmanager", operation_id="sendAlerts", response_model=models.AlertsAnswer)
async def alertmanager(gateway: Parts, http: Request, payload: models.AlertmanagerPayload) -> Response:
    """Take in a webhook of Alertmanager (version 4): a firing alert is an open finding, a resolved one a closed one."""
    require_ingest(http)
    findings = findings_from_webhook(payload.model_dump(), gateway.now_unix_ns())
    await gateway.work.ingest.run(gateway.keeper.publish, findings)
    return JsonResponse({"findings": len(findings)})
