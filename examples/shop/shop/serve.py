"""Runs one service in the process it was forked into, on the socket that the supervisor opened for it."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import uvicorn

from shop import telemetry
from shop.faults import checked
from shop.layout import Layout
from shop.web import Service

GRACE_S = 2


def run_service(layout: Layout, arguments: dict[str, Any]) -> None:
    """Serve until SIGTERM; `arguments` has name, version and, after a bad deploy, `fault` {seconds, share}."""
    asyncio.run(_serve(layout, arguments))


async def _serve(layout: Layout, arguments: dict[str, Any]) -> None:
    name, version = arguments["name"], arguments["version"]
    told = telemetry.start(name, version, layout.otlp)
    service = Service(name, version, layout, told)
    importlib.import_module(f"shop.services.{name}").build(service)
    for other, listening in layout.sockets.items():
        if other != name:
            listening.close()
    if fault := arguments.get("fault"):
        service.faults.switch_on(checked("bad-deploy", name, fault["seconds"], {"share": fault["share"]}))
    service.log.info("Service %s %s started on port %d", name, version, layout.ports[name])
    tasks = [asyncio.create_task(work()) for work in service.tasks]
    certificates = layout.spread.certificates
    config = uvicorn.Config(
        service.asgi(),
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
        **(certificates.server() if certificates else {}),
    )
    try:
        await uvicorn.Server(config).serve(sockets=[layout.sockets[name]])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await service.client.aclose()
        told.shutdown()
