"""The training gateway over HTTP: the paths of its specification; beside them watchlists and workloads for the page.

The handlers are those that NATS clients call, too: training/gateway.py.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from watchkeeper.gateway import models_training as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.training import requests
from watchkeeper.training.ai_settings import AiSettings
from watchkeeper.training.counts import WORKLOADS_MAX
from watchkeeper.training.workloads import NAME_CHARACTERS_MAX

router = APIRouter(tags=["training gateway"])
lists_router = APIRouter(prefix="/api/v1", tags=["watchlists"])

Cluster = Annotated[str, Path(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=r"\S", examples=["local"])]
Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["default"])]
Match = Annotated[
    str,
    Query(
        max_length=800, description="`deployment`, `namespace/deployment`, `cluster/namespace/deployment`; `*`, `?`."
    ),
]


@router.post("/model/train", operation_id="trainModel", response_model=models.DecisionAnswer)
async def train(gateway: Parts, http: Request, request: requests.TrainRequest) -> Response:
    """Submit the default watchlist: what was not trained yet trains, removals only update, an empty list resets."""
    return await _run(gateway, gateway.keeper.training_gateway.train, request.model_dump(), who=actor(http, ""))


@router.get("/model/status", operation_id="getModelStatus", response_model=models.ModelStatus)
async def model_status(gateway: Parts) -> Response:
    """Tell status, stage and statistics of the default watchlist's model."""
    return await _run(gateway, gateway.keeper.training_gateway.model_status)


@router.put("/model/current_status", operation_id="putModelStatus", response_model=models.Nothing)
async def put_model_status(gateway: Parts, http: Request, request: requests.StatusReport) -> Response:
    """Take in the status that a remote trainer reports; refused while a training runs here."""
    handler = gateway.keeper.training_gateway.put_model_status
    return await _run(gateway, handler, request.model_dump(exclude_unset=True), who=actor(http, "a remote trainer"))


@router.get("/model/training_parameters", operation_id="getTrainingParameters", response_model=models.ParametersAnswer)
async def training_parameters(gateway: Parts) -> Response:
    """Give the watchlist that was last submitted."""
    return await _run(gateway, gateway.keeper.training_gateway.training_parameters)


@router.get(
    "/workload_aggregation/{cluster_id}",
    operation_id="getWorkloadAggregation",
    response_model=models.AggregationAnswer,
)
async def workload_aggregation(gateway: Parts, cluster_id: Cluster) -> Response:
    """Count the log lines of a cluster's workloads over the last hour."""
    return await _run(gateway, gateway.keeper.training_gateway.workload_aggregation, {"cluster_id": cluster_id})


@router.get("/gpu_info", operation_id="getGpuInfo", response_model=models.GpuAnswer)
async def gpu_info(gateway: Parts) -> Response:
    """List the GPUs of the cluster, one item for each kind on each node."""
    return JsonResponse(await gateway.work.outside.run(gateway.keeper.training_gateway.gpu_info))


@router.get("/ai/settings", operation_id="getAiSettings", response_model=models.AiSettingsAnswer)
async def get_settings(gateway: Parts) -> Response:
    """Give the settings of the training gateway, and how the object store is."""
    return JsonResponse(await gateway.work.outside.run(gateway.keeper.training_gateway.get_settings))


@router.put("/ai/settings", operation_id="putAiSettings", response_model=models.AiSettingsAnswer)
async def put_settings(gateway: Parts, request: AiSettings) -> Response:
    """Replace the settings of the training gateway as a whole."""
    handler = gateway.keeper.training_gateway.put_settings
    return JsonResponse(await gateway.work.outside.run(handler, request.model_dump()))


@router.delete("/ai/settings", operation_id="deleteAiSettings", response_model=models.AiSettingsDeleted)
async def delete_settings(
    gateway: Parts,
    http: Request,
    purge_model_training_data: Annotated[
        bool, Query(description="Reset every watchlist as well: models, learned templates and statuses.")
    ] = False,
) -> Response:
    """Go back to the default settings."""
    data = {"purge_model_training_data": purge_model_training_data}
    handler = gateway.keeper.training_gateway.delete_settings
    return JsonResponse(await gateway.work.outside.run(handler, data, who=actor(http, "")))


@lists_router.get("/workloads", operation_id="listWorkloads", response_model=models.WorkloadsAnswer)
async def list_workloads(
    gateway: Parts, match: Match = "", limit: Annotated[int, Query(ge=1, le=WORKLOADS_MAX)] = 1_000
) -> Response:
    """List the workloads that sent logs in the last hour, the busiest first, and in which watchlists each is."""
    return await _run(gateway, gateway.keeper.watchlists.workloads, match=match, limit=limit)


@lists_router.get("/watchlists", operation_id="listWatchlists", response_model=models.WatchlistsAnswer)
async def list_watchlists(gateway: Parts) -> Response:
    """List all watchlists, the default one first, with the status of each one's model."""
    return await _run(gateway, gateway.keeper.watchlists.all)


@lists_router.get("/watchlists/{name}", operation_id="getWatchlist", response_model=models.WatchlistShape)
async def get_watchlist(gateway: Parts, name: Name) -> Response:
    """Give one watchlist."""
    return await _run(gateway, gateway.keeper.watchlists.get, name)


@lists_router.put("/watchlists/{name}", operation_id="chooseWatchlist", response_model=models.WatchlistShape)
async def choose_watchlist(gateway: Parts, name: Name, request: requests.ChooseRequest) -> Response:
    """Set what a watchlist is to hold, without submitting it; makes the list where it is missing."""
    return await _run(gateway, gateway.keeper.watchlists.choose, name, request.model_dump())


@lists_router.post("/watchlists/{name}/edit", operation_id="editWatchlist", response_model=models.EditedWatchlist)
async def edit_watchlist(gateway: Parts, name: Name, request: requests.EditRequest) -> Response:
    """Add workloads to a watchlist and take others from it, by wildcards, without submitting it."""
    return await _run(gateway, gateway.keeper.watchlists.edit, name, request.model_dump())


@lists_router.post("/watchlists/{name}/train", operation_id="trainWatchlist", response_model=models.DecisionAnswer)
async def train_watchlist(gateway: Parts, http: Request, name: Name, request: requests.ListTrainRequest) -> Response:
    """Submit a watchlist, by the rules of `POST /model/train`; what is chosen in it, where no items are given."""
    return await _run(gateway, gateway.keeper.watchlists.train, name, request.model_dump(), who=actor(http, ""))


@lists_router.delete("/watchlists/{name}", operation_id="removeWatchlist", status_code=204, response_class=Response)
async def remove_watchlist(gateway: Parts, http: Request, name: Name) -> Response:
    """Reset a watchlist, its models included, and forget it."""
    await gateway.work.queries.run(gateway.keeper.watchlists.remove, name, who=actor(http, ""))
    return Response(status_code=204)


async def _run(gateway: Parts, handler: Any, *given: Any, **named: Any) -> Response:
    return JsonResponse(await gateway.work.queries.run(handler, *given, **named))
