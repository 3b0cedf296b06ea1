"""Incidents: pages of them, single ones with their findings and reports, what people do to them, and a preview."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from watchkeeper.diagnose.incident import Incident
from watchkeeper.errors import NotFound
from watchkeeper.gateway import models_incidents as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, finding_shape, incident_shape, times_as_text
from watchkeeper.store.reads.times import parse_range

router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])

FINDINGS_SHOWN_MAX = 300
IncidentId = Annotated[str, Path(max_length=100)]
_REPORTS = {"markdown": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8"}


@router.get("", operation_id="listIncidents", response_model=models.IncidentsAnswer)
async def list_incidents(
    gateway: Parts,
    asked: Asked,
    state: Annotated[
        Literal["", "live", "open", "acknowledged", "resolved", "merged"],
        Query(description="Only those in this state; `live` stands for open and acknowledged."),
    ] = "",
    severity: Annotated[Literal["", "info", "warning", "critical"], Query()] = "",
    service: Annotated[str, Query(max_length=1000)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """List incidents, latest opened first; with `from` or `to`, those that went on at some moment of the range."""
    within = asked.read(gateway.now_unix_ns()) if asked.given() else None
    items, next_cursor = await gateway.work.queries.run(
        gateway.keeper.incidents.store.list,
        state=state or None,
        severity=severity or None,
        service=service or None,
        from_unix_ns=within.from_unix_ns if within else None,
        to_unix_ns=within.to_unix_ns if within else None,
        limit=limit,
        cursor=cursor or None,
    )
    return JsonResponse({"items": [times_as_text(item.summary()) for item in items], "next_cursor": next_cursor})


@router.post("/preview", operation_id="previewIncidents", response_model=models.PreviewAnswer)
async def preview(gateway: Parts, request: models.PreviewRequest) -> Response:
    """Tell how many incidents there would have been with other settings, from the findings that are kept."""
    within = parse_range(request.start, request.end, gateway.now_unix_ns())
    outcome = await gateway.work.sql.run(
        gateway.keeper.incidents.preview, request.settings, within.from_unix_ns, within.to_unix_ns
    )
    return JsonResponse(times_as_text(outcome))


@router.get("/{incident_id}", operation_id="getIncident", response_model=models.IncidentShape)
async def get_incident(gateway: Parts, incident_id: IncidentId) -> Response:
    """Show one incident with its findings."""
    return JsonResponse(await gateway.work.queries.run(_whole, gateway, incident_id))


@router.get(
    "/{incident_id}/report",
    operation_id="getReport",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {}, "text/html": {}}, "description": "The report."}},
)
async def report(
    gateway: Parts,
    incident_id: IncidentId,
    form: Annotated[Literal["markdown", "html"], Query(alias="format")] = "markdown",
) -> Response:
    """Give the root-cause report of an incident; 404 with the reason before there is one."""
    incident = await gateway.work.queries.run(gateway.keeper.incidents.get, incident_id)
    text = incident.diagnosis.get(f"report_{form}")
    if not text:
        raise NotFound(f"incident {incident.id} has no report yet; POST to its /explain, or wait for the diagnosis")
    return Response(str(text), headers={"Content-Type": _REPORTS[form]})


@router.post("/{incident_id}/acknowledge", operation_id="acknowledgeIncident", response_model=models.IncidentShape)
async def acknowledge(gateway: Parts, http: Request, incident_id: IncidentId, request: models.ActRequest) -> Response:
    """Tell that somebody is at it."""
    return await _act(gateway, incident_id, "acknowledge", by=actor(http, request.by), text=request.text)


@router.post("/{incident_id}/resolve", operation_id="resolveIncident", response_model=models.IncidentShape)
async def resolve(gateway: Parts, http: Request, incident_id: IncidentId, request: models.ActRequest) -> Response:
    """Tell that it is over."""
    return await _act(gateway, incident_id, "resolve", by=actor(http, request.by), text=request.text)


@router.post("/{incident_id}/reopen", operation_id="reopenIncident", response_model=models.IncidentShape)
async def reopen(gateway: Parts, http: Request, incident_id: IncidentId, request: models.ActRequest) -> Response:
    """Tell that it is not over."""
    return await _act(gateway, incident_id, "reopen", by=actor(http, request.by), text=request.text)


@router.post("/{incident_id}/note", operation_id="noteIncident", response_model=models.IncidentShape)
async def note(gateway: Parts, http: Request, incident_id: IncidentId, request: models.NoteRequest) -> Response:
    """Add a remark to the timeline."""
    return await _act(gateway, incident_id, "note", by=actor(http, request.by), text=request.text)


@router.post("/{incident_id}/merge", operation_id="mergeIncidents", response_model=models.IncidentShape)
async def merge(gateway: Parts, http: Request, incident_id: IncidentId, request: models.MergeRequest) -> Response:
    """Let this incident take over the findings of others."""
    by = actor(http, request.by)
    return await _act(gateway, incident_id, "merge", others=request.incidents, by=by, text=request.text)


@router.post("/{incident_id}/split", operation_id="splitIncident", response_model=models.SplitAnswer)
async def split(gateway: Parts, http: Request, incident_id: IncidentId, request: models.SplitRequest) -> Response:
    """Take findings out into a new incident."""

    def divide() -> dict[str, Any]:
        old, new = gateway.keeper.incidents.split(incident_id, request.findings, by=by, text=request.text)
        return {"incident": _shape(gateway, old), "new": _shape(gateway, new)}

    by = actor(http, request.by)
    return JsonResponse(await gateway.work.queries.run(divide))


@router.post("/{incident_id}/explain", operation_id="explainIncident", response_model=dict[str, Any])
async def explain(gateway: Parts, incident_id: IncidentId, request: models.ActRequest) -> Response:
    """Diagnose an incident now and give the diagnosis; 409 where nothing can explain it."""
    return JsonResponse(times_as_text(await gateway.work.sql.run(gateway.keeper.incidents.explain, incident_id)))


async def _act(gateway: Gateway, incident_id: str, name: str, **said: Any) -> Response:
    def act() -> dict[str, Any]:
        return _shape(gateway, getattr(gateway.keeper.incidents, name)(incident_id, **said))

    return JsonResponse(await gateway.work.queries.run(act))


def _whole(gateway: Gateway, incident_id: str) -> dict[str, Any]:
    return _shape(gateway, gateway.keeper.incidents.get(incident_id))


def _shape(gateway: Gateway, incident: Incident) -> dict[str, Any]:
    kept = (gateway.keeper.findings.get(each) for each in incident.finding_ids[:FINDINGS_SHOWN_MAX])
    return {**incident_shape(incident), "findings": [finding_shape(finding) for finding in kept if finding is not None]}
