"""Forecasts of metrics that fill something up: their band, and when they reach their limit."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from watchkeeper.detect.metrics.capacity import fills, is_share
from watchkeeper.detect.metrics.forecast import forecast
from watchkeeper.detect.metrics.sources import About
from watchkeeper.gateway import models_explain as models
from watchkeeper.gateway.context import Asked, Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.store.reads import metrics as reads
from watchkeeper.store.reads.base import SECOND_NS, TimeRange

router = APIRouter(prefix="/api/v1", tags=["metrics"])

SERIES_MAX = 8
POINTS_MIN = 12


@router.get("/metrics/forecast", operation_id="forecastMetric", response_model=models.ForecastAnswer)
async def forecast_metric(
    gateway: Parts,
    asked: Asked,
    name: Annotated[str, Query(min_length=1, max_length=1000, examples=["system.filesystem.utilization"])],
    service: Annotated[str, Query(max_length=1000)] = "",
    group_by: Annotated[str, Query(max_length=500, description="As for the series.")] = "",
) -> Response:
    """Forecast a gauge that fills something up, for half as long as the range: at most 8 series with enough points."""
    within = asked.read(gateway.now_unix_ns())
    groups = tuple(dict.fromkeys(part.strip() for part in group_by.split(",") if part.strip()))
    request = reads.SeriesRequest(name=name, service=service, aggregation="", group_by=groups)
    answer = await gateway.shared.get(
        ("forecast", asked, request), lambda: gateway.work.queries.run(_answer, gateway, request, within)
    )
    return JsonResponse(answer)


def _answer(gateway: Gateway, request: reads.SeriesRequest, within: TimeRange) -> dict[str, Any]:
    told = reads.metric_series(gateway.keeper.store, request, within)
    about = About(request.name, told["unit"], told["kind"], "", request.service, "")
    none = {"name": request.name, "is_capacity": False, "unit": told["unit"], "items": []}
    if told["kind"] != "gauge" or not fills(about):
        return none
    horizon_s = max(1.0, within.width_ns / SECOND_NS / 2)
    lines = [line for line in told["items"] if len(line["values"]) >= POINTS_MIN][:SERIES_MAX]
    return {**none, "is_capacity": True, "items": [_line(line, about, horizon_s) for line in lines]}


def _line(series: dict[str, Any], about: About, horizon_s: float) -> dict[str, Any]:
    values = np.array(series["values"], np.float64)
    limit = None
    if is_share(about):
        limit = 1.0 if about.unit == "1" or (about.unit != "%" and float(values.max()) <= 1.0) else 100.0
    ahead = forecast(np.array(series["times_unix_ns"], np.int64), values, limit=limit, horizon_s=horizon_s)
    return {
        "labels": series["labels"],
        "limit": limit,
        "is_trend": ahead.is_trend,
        "slope_per_s": ahead.slope_per_s,
        "times_unix_ns": [str(at) for at in ahead.times_unix_ns.tolist()],
        "low": ahead.low.tolist(),
        "mid": ahead.mid.tolist(),
        "high": ahead.high.tolist(),
        "time_to_limit_s": ahead.time_to_limit_s,
        "earliest_s": ahead.earliest_s,
        "latest_s": ahead.latest_s,
    }
