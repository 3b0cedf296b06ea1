"""Listening sockets, and the HTTP server on them that leaves signals to its owner.

Enters: an address, an ASGI application, what TLS needs. Leaves: a bound socket; a server. Ports are bound before
anything else is started, so that a taken one is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from watchkeeper.errors import SettingError
from watchkeeper.receive.tls import PeerCertificateProtocol
from watchkeeper.receive.tls_files import TlsContexts
from watchkeeper.receive.tls_gate import TlsGate, TurnedAway

GRACE_S = 3
LISTEN_BACKLOG = 1024

log = logging.getLogger(__name__)


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


def stop_signals() -> asyncio.Event:
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


class HttpServer(uvicorn.Server):
    """uvicorn's server without its own signal handling, which is its owner's here."""

    def __init__(self, app: Any, tls: TlsContexts | None = None, *, turned_away: TurnedAway | None = None) -> None:
        self._tls = tls
        self._turned_away = turned_away or (lambda address, reason: log.info("%s is turned away: %s", address, reason))
        self._gates: list[TlsGate] = []
        super().__init__(
            uvicorn.Config(
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
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, behind a gate when there is TLS."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        for listener in sockets or ():
            gate = TlsGate(self._tls, self._protocol, self._turned_away)
            gate.start(listener)
            self._gates.append(gate)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and end what is under way."""
        for gate in self._gates:
            gate.close()
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        config = self.config
        return PeerCertificateProtocol(
            config=config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield
