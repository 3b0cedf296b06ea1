"""Puts the HTTP API together: routes, roles, errors, guards, compression and the page.

Enters: the running program. Leaves: a FastAPI application; `api.state.gateway` holds its parts. Call
`api.state.gateway.close()` when the server is to stop, so that open event streams end at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from watchkeeper.gateway import openapi, problems
from watchkeeper.gateway.application import WatchkeeperLike
from watchkeeper.gateway.auth import OPENAPI_PATH, allowed_methods, authorize
from watchkeeper.gateway.body_limit import BodyLimit
from watchkeeper.gateway.context import Gateway
from watchkeeper.gateway.page import STATIC_FOLDER, page_router
from watchkeeper.gateway.prometheus import gateway_families
from watchkeeper.gateway.routes import (
    alerts,
    changes,
    explain,
    feedback,
    findings,
    forecast,
    incidents,
    ingest,
    logs,
    metrics,
    models,
    scoreboard,
    session,
    silences,
    system,
    topology,
    traces,
    training_gateway,
    training_jobs,
    why,
)
from watchkeeper.gateway.security import Security
from watchkeeper.version import __version__

GZIP_BYTES_MIN = 1_000
GZIP_LEVEL = 4


def create_api(
    keeper: WatchkeeperLike, *, now_unix_ns: Callable[[], int] = time.time_ns, static_folder: Path = STATIC_FOLDER
) -> FastAPI:
    """Make the API and page of a running program."""
    api = FastAPI(
        title="Watchkeeper",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        dependencies=[Depends(authorize)],
        middleware=[
            Middleware(Security, settings=keeper.settings),
            Middleware(BodyLimit),
            Middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=GZIP_LEVEL),
        ],
    )
    api.state.gateway = gateway = Gateway(keeper, now_unix_ns)
    keeper.metric_sources.append(partial(gateway_families, gateway.work, gateway.streams))
    problems.install(api, allowed_methods)
    openapi.install(api)
    api.include_router(system.router)
    for topic in (logs, findings, incidents, explain, changes, silences, alerts, metrics, forecast, traces, topology):
        api.include_router(topic.router)
    api.include_router(feedback.router)
    api.include_router(training_gateway.router)
    api.include_router(training_gateway.lists_router)
    api.include_router(training_jobs.router)
    api.include_router(scoreboard.router)
    api.include_router(models.router)
    api.include_router(why.router)
    api.include_router(session.router)
    api.include_router(ingest.router)
    api.include_router(page_router(static_folder))
    return api
