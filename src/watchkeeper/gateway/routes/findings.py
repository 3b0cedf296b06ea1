"""Findings: pages of them, and single ones with their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from watchkeeper.errors import NotFound
from watchkeeper.gateway import models
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, finding_shape
from watchkeeper.signals.finding import Finding

router = APIRouter(prefix="/api/v1", tags=["findings"])


@router.get("/findings", operation_id="listFindings", response_model=models.FindingsAnswer)
async def list_findings(
    gateway: Parts,
    asked: Asked,
    state: Annotated[Literal["", "open", "closed"], Query(description="Only those that go on, or that ended.")] = "",
    service: Annotated[str, Query(max_length=1000)] = "",
    kind: Annotated[str, Query(max_length=200, examples=["log.template.unseen"])] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of the page before.")] = "",
) -> Response:
    """List findings, latest opened first; with `from` or `to`, those that were open at some moment of the range."""
    within = asked.read(gateway.now_unix_ns()) if asked.given() else None
    items, next_cursor = await gateway.work.queries.run(
        gateway.keeper.findings.list,
        state=state or None,
        service=service or None,
        kind=kind or None,
        from_unix_ns=within.from_unix_ns if within else None,
        to_unix_ns=within.to_unix_ns if within else None,
        limit=limit,
        cursor=cursor or None,
    )
    return JsonResponse({"items": await _shapes(gateway, items), "next_cursor": next_cursor})


@router.get("/findings/{finding_id}", operation_id="getFinding", response_model=models.FindingShape)
async def get_finding(gateway: Parts, finding_id: Annotated[str, Path(max_length=100)]) -> Response:
    """Show one finding."""
    finding = await gateway.work.queries.run(gateway.keeper.findings.get, finding_id)
    if finding is None:
        raise NotFound(f"there is no finding {finding_id[:100]!r}; old ones are deleted after findings_days_max")
    (shape,) = await _shapes(gateway, [finding])
    return JsonResponse(shape)


async def _shapes(gateway: Gateway, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Give findings as the API shows them, each with the incident that it belongs to."""
    homes = await gateway.work.queries.run(gateway.keeper.incidents.store.homes, [finding.id for finding in findings])
    return [{**finding_shape(finding), "incident_id": homes.get(finding.id, "")} for finding in findings]
