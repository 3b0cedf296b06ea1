"""Metrics: which there are, and their course."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from watchkeeper.gateway import models
from watchkeeper.gateway.context import Asked, Parts
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.store.reads import metrics as reads
from watchkeeper.store.reads.times import parse_duration

router = APIRouter(prefix="/api/v1", tags=["metrics"])

Aggregation = Literal["", "avg", "min", "max", "sum", "last", "count", "rate", "p50", "p90", "p95", "p99"]


@router.get("/metrics", operation_id="listMetrics", response_model=models.MetricsAnswer)
async def list_metrics(
    gateway: Parts,
    asked: Asked,
    query: Annotated[str, Query(max_length=1000, description="Text that the name or description contains.")] = "",
    service: Annotated[str, Query(max_length=1000)] = "",
) -> Response:
    """List the metrics with a point in the range."""
    within = asked.read(gateway.now_unix_ns())
    items = await gateway.shared.get(
        ("metrics", asked, query, service),
        lambda: gateway.work.queries.run(
            reads.list_metrics, gateway.keeper.store, within, query=query, service=service
        ),
    )
    return JsonResponse({"items": items})


@router.get("/metrics/series", operation_id="readSeries", response_model=models.SeriesAnswer)
async def series(
    gateway: Parts,
    asked: Asked,
    name: Annotated[str, Query(min_length=1, max_length=1000, examples=["http.server.request.duration"])],
    service: Annotated[str, Query(max_length=1000)] = "",
    step: Annotated[
        str,
        Query(
            pattern=r"^(\d{1,9}(ms|[smhdw]))?$",
            description="Length of a step; chosen for 300 points if left out or too short.",
            examples=["30s"],
        ),
    ] = "",
    agg: Annotated[
        Aggregation, Query(description="What to make of the points of a step; the usual one of the kind if left out.")
    ] = "",
    group_by: Annotated[
        str,
        Query(
            max_length=500,
            description="Names of attributes, comma-separated; `service` and `entity` too.",
            examples=["service,http.route"],
        ),
    ] = "",
) -> Response:
    """Give the course of a metric: at most 50 series of 300 points.

    Counters give rates with resets told apart; percentiles are of the merged buckets of all histograms in a series.
    """
    request = reads.SeriesRequest(
        name=name,
        service=service,
        aggregation=agg,
        group_by=tuple(dict.fromkeys(part.strip() for part in group_by.split(",") if part.strip())),
        step_ns=parse_duration(step) if step else 0,
    )
    within = asked.read(gateway.now_unix_ns())
    answer = await gateway.shared.get(
        ("series", asked, request),
        lambda: gateway.work.queries.run(reads.metric_series, gateway.keeper.store, request, within),
    )
    return JsonResponse(answer)
