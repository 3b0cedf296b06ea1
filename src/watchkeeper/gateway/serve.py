"""Runs the three ports in one process and one event loop: OTLP over gRPC, OTLP over HTTP, page and API.

Ports are bound before anything else, so that a taken one is told at once. SIGINT and SIGTERM end it: no new telemetry,
what was acknowledged is finished, the store is closed. A second signal ends it without waiting for the detectors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from watchkeeper.app.watchkeeper import Watchkeeper
from watchkeeper.errors import SettingError
from watchkeeper.gateway.api import create_api
from watchkeeper.receive.grpc_server import GrpcServer
from watchkeeper.receive.http import http_app
from watchkeeper.receive.tls import server_tls
from watchkeeper.receive.tokens import require_authentication
from watchkeeper.settings import Settings

GRACE_S = 3
LISTEN_BACKLOG = 1024

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handling, which is ours here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: str, port: int, setting: str) -> socket.socket:
    """Bind a listening socket; raises SettingError that names the setting when the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingError(
            f"cannot listen on {address}:{port} ({error.strerror}); is another Watchkeeper or collector running? "
            f"Choose another port with --set {setting}=NUMBER"
        ) from error
    listener.setblocking(False)
    return listener


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
    page = _Server(_configuration(api, tls.page if tls else {}))
    otlp = _Server(_configuration(http_app(keeper.receiver), tls.otlp if tls else {}))
    stopping = _signals()
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


def _configuration(app: Any, tls: dict[str, Any]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        # Else any local sender could tell the ledger another address.
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=75,
        **tls,
    )


def _signals() -> asyncio.Event:
    """Give an event that the first SIGINT or SIGTERM sets; the second ends the process at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping


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
