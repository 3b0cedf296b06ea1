"""Training jobs: begin one, list them, look at one, follow its log and progress, cancel it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from watchkeeper.gateway import models_training_jobs as models
from watchkeeper.gateway.acting import actor
from watchkeeper.gateway.context import Gateway, Parts
from watchkeeper.gateway.shapes import JsonResponse, times_as_text
from watchkeeper.gateway.sse import POLL_S, Event, Events
from watchkeeper.store.reads.times import parse_range
from watchkeeper.training.jobs import Job

router = APIRouter(prefix="/api/v1/training/jobs", tags=["training"])

JobId = Annotated[str, Path(max_length=100)]


@router.get("", operation_id="listTrainingJobs", response_model=models.TrainingJobsAnswer)
async def list_jobs(
    gateway: Parts,
    name: Annotated[str, Query(max_length=100, description="Only of this model, such as logs/default.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List training jobs, the newest first."""
    jobs = await gateway.work.queries.run(gateway.keeper.training.jobs.list, name=name, limit=limit)
    return JsonResponse({"items": [_shape(job) for job in jobs]})


@router.post("", operation_id="startTrainingJob", response_model=models.TrainingJob, status_code=201)
async def start_job(gateway: Parts, request: models.StartRequest) -> Response:
    """Begin to train the log model of a watchlist, whatever was trained before; 409 while one is being trained."""
    span: dict[str, int] = {}
    if request.start or request.end:
        within = parse_range(request.start, request.end, gateway.now_unix_ns())
        span = {"from_unix_ns": within.from_unix_ns, "until_unix_ns": within.to_unix_ns - 1}
    chosen = request.workloads
    workloads = None if chosen is None else [each.workload() for each in chosen]
    job = await gateway.work.queries.run(
        gateway.keeper.training.begin, request.watchlist, workloads, parameters=request.parameters, **span
    )
    return JsonResponse(_shape(job), status_code=201)


@router.get("/{job_id}", operation_id="getTrainingJob", response_model=models.TrainingJob)
async def get_job(gateway: Parts, job_id: JobId) -> Response:
    """Show one job."""
    return JsonResponse(_shape(await gateway.work.queries.run(gateway.keeper.training.jobs.get, job_id)))


@router.post("/{job_id}/cancel", operation_id="cancelTrainingJob", response_model=models.TrainingJob)
async def cancel_job(gateway: Parts, http: Request, job_id: JobId, request: models.CancelRequest) -> Response:
    """End a job at once; no part of its model stays. 409 when it has ended."""
    said = f": {request.text}" if request.text else ""
    why = f"cancelled by {actor(http, request.by)}{said}"
    job = await gateway.work.queries.run(gateway.keeper.training.jobs.cancel, job_id, why=why)
    return JsonResponse(_shape(job))


@router.get("/{job_id}/log", operation_id="getTrainingLog", response_model=models.JobLog)
async def job_log(
    gateway: Parts, job_id: JobId, offset: Annotated[int, Query(ge=0, le=2**40, description="From this byte on.")] = 0
) -> Response:
    """Give the log of a job, whole lines from a byte on."""
    return JsonResponse(await gateway.work.queries.run(_log, gateway, job_id, offset))


@router.get(
    "/{job_id}/stream",
    operation_id="followTrainingJob",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def follow_job(gateway: Parts, job_id: JobId) -> Response:
    """Follow a job until it ends.

    Server-sent events: `job` (TrainingJob) at once and after each change, `log` `{text, offset, ended}`, at last `end`.
    """
    await gateway.work.queries.run(gateway.keeper.training.jobs.get, job_id)
    return gateway.streams.response(_events(gateway, job_id))


async def _events(gateway: Gateway, job_id: str) -> Events:
    before: dict[str, Any] = {}
    offset = 0
    while True:
        job, told = await gateway.work.live.run(_look, gateway, job_id, offset)
        if told["text"]:
            offset = told["offset"]
            yield Event("log", told)
        if job != before:
            before = job
            yield Event("job", job)
        if told["ended"] and not told["text"]:
            yield Event("end", {})
            return
        yield None
        await asyncio.sleep(POLL_S)


def _look(gateway: Gateway, job_id: str, offset: int) -> tuple[dict[str, Any], dict[str, Any]]:
    return _shape(gateway.keeper.training.jobs.get(job_id)), _log(gateway, job_id, offset)


def _log(gateway: Gateway, job_id: str, offset: int) -> dict[str, Any]:
    jobs = gateway.keeper.training.jobs
    ended = not jobs.get(job_id).running  # before the log is read, so that nothing is missed
    text, following = jobs.log(job_id, offset=offset)
    return {"text": text, "offset": following, "ended": ended}


def _shape(job: Job) -> dict[str, Any]:
    shape: dict[str, Any] = times_as_text(job.as_dict())
    return {name: value for name, value in shape.items() if name not in {"pid", "process_start"}}
