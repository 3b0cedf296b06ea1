"""A connection to NATS that is kept, from a thread of its own: a server that is away is tried again, ever more slowly.

Enters: an address, and what is to be done with each new connection. Leaves: a running client for those who ask through
`run`, and the state of the connection in words. Watchkeeper starts, runs and stops whether the server is there or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from watchkeeper.errors import Unreachable, WatchkeeperError
from watchkeeper.receive.nats_address import NatsAddress, nats_errors

if TYPE_CHECKING:
    from nats.aio.client import Client

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5
ASK_TIMEOUT_S = 10.0
PAUSE_FIRST_S = 0.25
PAUSE_S_MAX = 30.0
CLOSE_TIMEOUT_S = 3.0
AGAIN_S = 0

log = logging.getLogger(__name__)


class NatsLink:
    """Keeps one connection; `start` before use, `stop` after."""

    def __init__(self, address: NatsAddress, *, pause_s_max: float = PAUSE_S_MAX) -> None:
        self._address, self._pause_s_max = address, pause_s_max
        self._prepare: list[Callable[[Client], Awaitable[None]]] = []
        self._told: list[Callable[[], None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="training-nats", daemon=True)
        self._stopping = asyncio.Event()
        self._client: Client | None = None
        self.problem = ""
        self.connections = 0

    def on_connected(
        self, prepare: Callable[[Client], Awaitable[None]], told: Callable[[], None] | None = None
    ) -> None:
        """Prepare each new connection in the link's loop, then tell in its thread; before `start`."""
        self._prepare.append(prepare)
        if told is not None:
            self._told.append(told)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self.problem = f"NATS at {self._address.shown} is not connected yet"
        self._thread.start()

    def stop(self) -> None:
        """Close the connection and end the thread."""
        if not self._thread.is_alive():
            self._loop.close()
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    @property
    def connected(self) -> bool:
        """Tell whether the server is there now."""
        client = self._client
        return client is not None and bool(client.is_connected)

    def status(self) -> dict[str, Any]:
        """Give the state as plain data."""
        return {
            "servers": self._address.shown,
            "state": "connected" if self.connected else "connecting",
            "problem": self.problem,
            "connections": self.connections,
        }

    @property
    def payload_bytes_max(self) -> int:
        """Give the largest message that the server takes; a mebibyte before the first connection."""
        client = self._client
        return int(client.max_payload) if client is not None and client.max_payload else 1 << 20

    def run(self, ask: Callable[[Client], Awaitable[T]], *, timeout_s: float = ASK_TIMEOUT_S) -> T:
        """Ask the server for something, from another thread; raises Unreachable when it is away or too slow."""
        client = self._client
        if client is None or not client.is_connected or self._loop.is_closed():
            raise Unreachable(self.problem or f"NATS at {self._address.shown} is not connected")
        asked: Future[T] = asyncio.run_coroutine_threadsafe(_awaited(ask, client), self._loop)
        try:
            return asked.result(timeout_s)
        except nats_errors() as error:
            asked.cancel()
            raise Unreachable(f"NATS at {self._address.shown} does not answer: {_said(error)}") from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._keep_connected())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    async def _keep_connected(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            lost = asyncio.Event()
            try:
                client = await self._connect(lost)
            except Exception as error:
                # The boundary: what is no NATS server can make the client raise anything, and this thread must go on.
                if not isinstance(error, (WatchkeeperError, OSError)):
                    log.warning("connecting to NATS failed oddly", exc_info=True)
                self.problem = f"NATS at {self._address.shown} cannot be reached: {_said(error)}"
                pause_s = min(self._pause_s_max, PAUSE_FIRST_S * 2**failures)
                failures = min(failures + 1, 10)
                # Not all at the same moment, when many lost the same server.
                await _first_of(self._stopping, timeout_s=pause_s * random.uniform(0.5, 1.0))
                continue
            failures = 0
            self._client, self.problem = client, ""
            self.connections += 1
            for told in self._told:
                told()
            await _first_of(self._stopping, lost)
            self._client = None
            self.problem = f"the connection to NATS at {self._address.shown} is lost; it is tried again"
            await _closed(client)

    async def _connect(self, lost: asyncio.Event) -> Client:
        from nats.aio.client import Client

        client = Client()
        reasons: list[str] = []

        async def closed() -> None:
            lost.set()

        async def fault(error: Exception) -> None:
            log.debug("NATS: %s", error)
            reasons[:] = [_said(error)]

        try:
            await asyncio.wait_for(
                client.connect(
                    **self._address.options(),
                    name="watchkeeper",
                    allow_reconnect=False,
                    # A server is given up after its second refusal; the pauses between are made here.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=AGAIN_S,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    closed_cb=closed,
                    disconnected_cb=closed,
                    error_cb=fault,
                ),
                2 * CONNECT_TIMEOUT_S,
            )
            for prepare in self._prepare:
                await prepare(client)
        except nats_errors() as error:
            await _closed(client)
            raise Unreachable(reasons[0] if reasons else _said(error)) from error
        except BaseException:
            await _closed(client)
            raise
        return client


async def _awaited(ask: Callable[[Client], Awaitable[T]], client: Client) -> T:
    return await ask(client)


async def _first_of(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    waits = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def _closed(client: Client) -> None:
    with contextlib.suppress(*nats_errors()):
        await asyncio.wait_for(client.close(), CLOSE_TIMEOUT_S)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
