"""TLS in front of the gRPC server: the same gate as that of HTTP, and then bytes handed through on loopback.

Enters: TLS connections. Leaves: plain ones to the inner port, and for each of them who is at its far end, by the port
that it comes from. gRPC's own TLS can neither tell why it refused someone nor take a renewed certificate or a revoked
one in, and it does not say who was refused. The inner port serves only connections that the gate made.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from watchkeeper.receive.peer import Certificate, certificate_of
from watchkeeper.receive.tls_files import TlsContexts
from watchkeeper.receive.tls_gate import TlsGate, TurnedAway

LOOPBACK = "127.0.0.1"

log = logging.getLogger(__name__)


class FarEnd(NamedTuple):
    """Who is at the far end of a connection: address and certificate."""

    address: str
    certificate: Certificate


class GrpcGate:
    """Runs an event loop in a thread of its own; `far_end` may be called from any thread."""

    def __init__(self, listener: socket.socket, inner_port: int, contexts: TlsContexts, away: TurnedAway) -> None:
        self._listener = listener
        self._inner_port = inner_port
        self._known: dict[int, FarEnd] = {}
        self._loop = asyncio.new_event_loop()
        self._gate = TlsGate(contexts, self._connection, away)
        self._thread = threading.Thread(target=self._run, name="otlp-grpc-gate", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def refuse_new(self) -> None:
        """Accept no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._gate.close)

    def stop(self) -> None:
        """End the connections; the gate cannot be started again."""
        if not self._thread.is_alive():
            self._loop.close()
            self._listener.close()
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._listener.close()

    def far_end(self, port: int) -> FarEnd | None:
        """Give who is behind a connection from that port of loopback; None when the gate did not make it."""
        return self._known.get(port)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._gate.start, self._listener)
        try:
            self._loop.run_forever()
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _connection(self) -> asyncio.Protocol:
        return _Outer(self._inner_port, self._known)


class _Side(asyncio.Protocol):
    """One side of a connection; what it reads the other writes, no faster than that can."""

    other: _Side | None = None
    transport: asyncio.Transport | None = None

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()


class _Outer(_Side):
    """The side of the client; connects the inner one, and reads nothing before that is known by its port."""

    def __init__(self, inner_port: int, known: dict[int, FarEnd]) -> None:
        self._inner_port = inner_port
        self._known = known
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        assert self.transport is not None
        outer = self.transport
        facts = FarEnd(outer.get_extra_info("peername")[0], certificate_of(outer.get_extra_info("peercert")))
        inner = _Inner(lambda port: self._known.pop(port, None))
        try:
            made, _ = await asyncio.get_running_loop().create_connection(lambda: inner, LOOPBACK, self._inner_port)
        except OSError as error:
            log.warning("the inner gRPC port does not answer: %s", error)
            outer.close()
            return
        inner.port = made.get_extra_info("sockname")[1]
        self._known[inner.port] = facts
        inner.other, self.other = self, inner
        if outer.is_closing():
            made.close()
        else:
            outer.resume_reading()


class _Inner(_Side):
    """The side of the gRPC server."""

    def __init__(self, forget: Callable[[int], Any]) -> None:
        self._forget = forget
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._forget(self.port)
        super().connection_lost(error)
