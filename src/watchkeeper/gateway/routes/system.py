"""The program itself: health, state, ledger, services, settings, tokens, SQL, and the live feed of the page."""

from __future__ import annotations

import time
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from watchkeeper.gateway import models, models_status, prometheus
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.live import page_events, shared_status
from watchkeeper.gateway.problems import problem
from watchkeeper.gateway.shapes import JsonResponse, sql_shape, times_as_text
from watchkeeper.store.reads.base import TimeRange
from watchkeeper.store.reads.services import list_services

router = APIRouter(tags=["system"])


@router.get("/health", operation_id="health", response_model=models_status.Health)
async def health() -> Response:
    """Tell that the process lives."""
    return JsonResponse({"status": "ok"})


@router.get("/ready", operation_id="ready", response_model=models_status.Readiness)
async def ready(gateway: Parts) -> Response:
    """Tell whether telemetry is taken; 503 with the reason while it is not."""
    taken, reason = gateway.keeper.ready
    return JsonResponse({"ready": True}) if taken else problem(503, reason, ready=False, headers={"Retry-After": "1"})


@router.get(
    "/metrics",
    operation_id="prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus text, format 0.0.4."}},
)
async def metrics(gateway: Parts) -> Response:
    """Give the state of Watchkeeper as Prometheus text."""

    async def make() -> str:
        return await gateway.work.live.run(prometheus.exposition, gateway.keeper)

    return Response(await gateway.shared.get("prometheus", make), headers={"Content-Type": prometheus.CONTENT_TYPE})


@router.get("/api/v1/status", operation_id="getStatus", response_model=models_status.Status)
async def status(gateway: Parts) -> Response:
    """Show the state of everything, at most a second old."""
    return JsonResponse(await shared_status(gateway))


@router.get("/api/v1/ledger", operation_id="getLedger", response_model=models_status.LedgerAnswer)
async def ledger(gateway: Parts) -> Response:
    """Show what became of every record that was sent, by sender, signal and protocol."""
    book = gateway.keeper.ledger
    rows = [times_as_text(row._asdict()) for row in book.rows()]
    away = [times_as_text(row._asdict()) for row in book.turned_away_rows()]
    return JsonResponse({"items": rows, "turned_away": away})


@router.get("/api/v1/services", operation_id="listServices", response_model=models.ServicesAnswer)
async def services(gateway: Parts, asked: Asked) -> Response:
    """List the services that sent anything in the range, or have an open finding."""
    within = asked.read(gateway.now_unix_ns())

    async def make() -> list[dict[str, Any]]:
        return await gateway.work.queries.run(_services, gateway, within)

    return JsonResponse({"items": await gateway.shared.get(("services", asked), make)})


def _services(gateway: Gateway, within: TimeRange) -> list[dict[str, Any]]:
    items = list_services(gateway.keeper.store, within)
    findings = gateway.keeper.findings.open_by_service()
    for item in items:
        item["findings_open"] = findings.get(item["service"], 0)
    return items


@router.get("/api/v1/settings", operation_id="listSettings", response_model=models.SettingsAnswer)
async def settings(gateway: Parts) -> Response:
    """List every setting in force, and where its value came from."""
    return JsonResponse({"items": gateway.keeper.settings.table()})


@router.post("/api/v1/sql", operation_id="runSql", response_model=models.SqlAnswer)
async def sql(gateway: Parts, request: models.SqlRequest) -> Response:
    """Run one reading statement over the tables logs, metrics and spans."""
    rows_max = min(
        request.rows_max or gateway.keeper.settings.integer("query_rows_max"),
        gateway.keeper.settings.integer("query_rows_max"),
    )
    begun = time.perf_counter()
    table = await gateway.work.sql.run(
        gateway.keeper.store.sql,
        request.query,
        rows_max=rows_max + 1,
        timeout_s=gateway.keeper.settings.number("query_timeout_s"),
    )
    shape = await gateway.work.sql.run(sql_shape, table, rows_max)
    return JsonResponse({**shape, "elapsed_ms": round((time.perf_counter() - begun) * 1e3, 3)})


@router.post("/api/v1/backup", operation_id="makeBackup", response_model=models.BackupAnswer)
async def backup(gateway: Parts, request: models.BackupRequest) -> Response:
    """Write a verified copy of everything stored to a new folder or tar file on the server's machine."""
    report = await gateway.work.sql.run(gateway.keeper.backup, FilePath(request.target))
    return JsonResponse({"target": str(report.target), "files": report.files, "bytes": report.bytes})


@router.get(
    "/api/v1/events",
    operation_id="followEvents",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(gateway: Parts) -> Response:
    """Follow the state, the findings and the incidents.

    Server-sent events: `status` (Status, every second), `finding` (Finding) and `incident` (IncidentSummary), each
    when it opens, changes or closes.
    """
    return gateway.streams.response(page_events(gateway))


@router.get("/api/v1/tokens", operation_id="listTokens", response_model=models.TokensAnswer)
async def list_tokens(gateway: Parts) -> Response:
    """List tokens, without their secrets."""
    tokens = await gateway.work.queries.run(gateway.keeper.tokens.list)
    return JsonResponse({"items": [times_as_text(token._asdict()) for token in tokens]})


@router.post(
    "/api/v1/tokens",
    operation_id="createToken",
    response_model=models.NewToken,
    status_code=201,
)
async def create_token(gateway: Parts, request: models.TokenRequest) -> Response:
    """Make a token; its secret is shown this once. The first token turns authentication on."""
    secret = await gateway.work.queries.run(
        gateway.keeper.tokens.create, request.name, request.role, request.expires_days
    )
    return JsonResponse({"name": request.name, "role": request.role, "secret": secret}, status_code=201)


@router.delete("/api/v1/tokens/{name}", operation_id="revokeToken", status_code=204, response_class=Response)
async def revoke_token(gateway: Parts, name: Annotated[str, Path(max_length=64)]) -> Response:
    """Revoke a token; whoever uses it is out within a second."""
    await gateway.work.queries.run(gateway.keeper.tokens.revoke, name)
    return Response(status_code=204)
