"""Traces: a list of summaries, and all spans of one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from watchkeeper.errors import NotFound
from watchkeeper.gateway import models
from watchkeeper.gateway.context import Asked, Parts
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.store.reads import traces as reads

router = APIRouter(prefix="/api/v1", tags=["traces"])


@router.get("/traces", operation_id="listTraces", response_model=models.TracesAnswer)
async def list_traces(
    gateway: Parts,
    asked: Asked,
    service: Annotated[str, Query(max_length=1000, description="A service with a span in the trace.")] = "",
    operation: Annotated[
        str, Query(max_length=1000, description="Exact name of a span; of that service if both are given.")
    ] = "",
    min_duration_ms: Annotated[float, Query(ge=0, le=1e12, allow_inf_nan=False)] = 0,
    status: Annotated[Literal["", "ok", "error"], Query(description="Without or with a span that failed.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the traces that have a span in the range, the latest begun first."""
    chosen = reads.TraceFilter(service, operation, min_duration_ms, status)
    within = asked.read(gateway.now_unix_ns())
    items = await gateway.work.queries.run(reads.list_traces, gateway.keeper.store, chosen, within, limit=limit)
    return JsonResponse({"items": items})


@router.get("/traces/{trace_id}", operation_id="getTrace", response_model=models.Trace)
async def get_trace(gateway: Parts, trace_id: Annotated[str, Path(max_length=64)]) -> Response:
    """Show all spans of a trace, however old."""
    found = await gateway.work.queries.run(reads.one_trace, gateway.keeper.store, trace_id, gateway.now_unix_ns())
    if found is None:
        raise NotFound(f"there is no trace {trace_id[:64]!r}; spans are deleted after spans_days_max")
    return JsonResponse(found)
