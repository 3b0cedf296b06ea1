"""Runs the three ports in one process and one event loop: OTLP over gRPC, OTLP over HTTP, page and API.

Ports are bound before anything else, so that a taken one is told at once. SIGINT and SIGTERM end it: no new telemetry,
what was acknowledged is finished, the store is closed. A second signal ends it without waiting for the detectors.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial

from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.gateway.api import create_api
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.http import http_app
from watchkeeper.receive.listen import GRACE_S, HttpServer, bind, stop_signals
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import require_authentication
from watchkeeper.settings import Settings

log = logging.getLogger(__name__)


async def serve(settings: Settings, on_ready: Callable[[Watchkeeper], None]) -> None:
    """Run until a signal comes; `on_ready` is called once telemetry is taken and `endpoints` is filled.

    Raises SettingError for a taken port or a setting that cannot be, StoreError when the store cannot be opened.
    """
    address = settings.text("bind")
    http_socket = bind(address, settings.integer("http_port"), "http_port")
    otlp_socket = bind(address, settings.integer("otlp_http_port"), "otlp_http_port")
    with http_socket, otlp_socket:
        keeper = Watchkeeper(settings)
        try:
            require_authentication(settings, keeper.tokens)
            await _run(keeper, http_socket, otlp_socket, on_ready)
        finally:
            await asyncio.to_thread(keeper.stop)


async def _run(
    keeper: Watchkeeper,
    http_socket: socket.socket,
    otlp_socket: socket.socket,
    on_ready: Callable[[Watchkeeper], None],
) -> None:
    settings = keeper.settings
    tls = server_tls(settings)
    grpc = GrpcServer(keeper.receiver, settings)
    api = create_api(keeper)
    page = HttpServer(api, tls.page if tls else None)
    otlp = HttpServer(
        http_app(keeper.receiver, keeper.remote_write),
        tls.otlp if tls else None,
        turned_away=partial(keeper.receiver.turned_away, "http"),
    )
    stopping = stop_signals()
    keeper.start()
    port = grpc.start()
    keeper.endpoints.update(_endpoints(settings, http_socket, otlp_socket, port))
    tasks = [
        asyncio.create_task(page.serve([http_socket])),
        asyncio.create_task(otlp.serve([otlp_socket])),
    ]
    try:
        while not (page.started and otlp.started):
            await asyncio.sleep(0.01)
            for task in tasks:
                if task.done():
                    task.result()
        on_ready(keeper)
        await stopping.wait()
        log.info("stopping: finishing what was acknowledged")
    finally:
        api.state.gateway.close()
        page.should_exit = otlp.should_exit = True
        await asyncio.to_thread(grpc.stop, GRACE_S)
        await asyncio.gather(*tasks, return_exceptions=True)


def _endpoints(
    settings: Settings, http_socket: socket.socket, otlp_socket: socket.socket, grpc_port: int
) -> dict[str, str]:
    address = settings.text("bind")
    shown = f"[{address}]" if ":" in address else address
    scheme = "https" if settings.text("tls_cert") else "http"
    return {
        "http": f"{scheme}://{shown}:{http_socket.getsockname()[1]}",
        "otlp_http": f"{scheme}://{shown}:{otlp_socket.getsockname()[1]}",
        "otlp_grpc": f"{shown}:{grpc_port}",
    }
