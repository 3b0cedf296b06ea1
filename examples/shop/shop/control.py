"""The supervisor's API, on loopback: what runs, and faults on and off.

GET /status, GET /faults, POST /faults {kind, service?, seconds?, parameters?}, DELETE /faults?kind&service; for whoever
mends: POST /processes/NAME/restart, POST /services/NAME/rollback.
The command line uses it; so may any test. Pages of a browser are turned away, for a page that somebody else wrote
could otherwise switch faults on.
"""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.middleware.base import RequestResponseEndpoint

from shop.fault_desk import FaultDesk
from shop.faults import KINDS, FaultRefused, checked
from shop.layout import SERVICES, Layout
from shop.load import STATS_FILE
from shop.supervisor import Supervisor


class Wish(BaseModel):
    """A fault that somebody wants."""

    kind: str
    service: str | None = None
    seconds: float | None = None
    parameters: dict[str, float | str] = {}


def control_app(supervisor: Supervisor, desk: FaultDesk) -> FastAPI:
    """Give the API of one shop."""
    app = FastAPI(title="Control of the example shop", openapi_url=None, docs_url=None, redoc_url=None)
    started = time.monotonic()

    @app.middleware("http")
    async def no_browsers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if "origin" in request.headers or request.url.hostname not in ("127.0.0.1", "localhost"):
            return JSONResponse({"detail": "not for browsers"}, 403)
        return await call_next(request)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        return {
            "uptime_s": round(time.monotonic() - started, 1),
            "front": supervisor.layout.front,
            "nginx": supervisor.layout.nginx_port is not None,
            "carts": "redis" if supervisor.layout.redis else "sqlite",
            "services": services(supervisor),
            "processes": {name: child.pid for name, child in supervisor.children.items() if not child.ended.is_set()},
            "usage": supervisor.usage(),
            "load": load_stats(supervisor.layout),
            "faults": desk.running(),
            "truth": str(desk.truth),
        }

    @app.get("/faults")
    async def faults() -> dict[str, Any]:
        kinds = [
            {"kind": kind.name, "help": kind.help, "services": kind.services,
             "parameters": {name: bound.default for name, bound in kind.bounds.items()}}
            for kind in KINDS.values()
        ]  # fmt: skip
        return {"running": desk.running(), "kinds": kinds}

    @app.post("/faults", status_code=201)
    async def switch_on(wish: Wish) -> dict[str, Any]:
        try:
            service = wish.service or desk.usual_service(wish.kind)
            return await desk.switch_on(checked(wish.kind, service, wish.seconds, wish.parameters))
        except FaultRefused as error:
            raise HTTPException(422, str(error)) from error

    @app.delete("/faults")
    async def switch_off(kind: str | None = None, service: str | None = None) -> dict[str, Any]:
        return {"ended": await desk.switch_off(kind, service)}

    @app.post("/processes/{name}/restart")
    async def restart(name: str) -> dict[str, Any]:
        try:
            await supervisor.restart(name)
        except KeyError as error:
            raise HTTPException(404, f"the shop has no process {name!r}") from error
        return {"restarted": name, "pid": supervisor.children[name].pid}

    @app.post("/services/{name}/rollback")
    async def roll_back(name: str) -> dict[str, Any]:
        try:
            return {"rolled_back": name, "version": await supervisor.roll_back(name)}
        except KeyError as error:
            raise HTTPException(409, f"{name!r} runs in the version that it was started in") from error

    return app


def services(supervisor: Supervisor) -> dict[str, dict[str, Any]]:
    """Give each service's process, address and version."""
    return {
        name: {
            "pid": supervisor.children[name].pid,
            "address": supervisor.layout.address(name),
            "version": supervisor.children[name].arguments["version"],
            "restarts": len(supervisor.children[name].restarts),
        }
        for name in SERVICES
        if name in supervisor.children
    }


def load_stats(layout: Layout) -> dict[str, Any]:
    """Give what the load generator counted last; nothing before its first second."""
    try:
        return dict(json.loads((layout.folder / STATS_FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
