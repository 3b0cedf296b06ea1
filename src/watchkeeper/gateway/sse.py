"""Server-sent events: streams that end with their client, are bounded in number, and end promptly with the server.

Enters: an asynchronous iterator of Events. Leaves: `text/event-stream`, with a comment every 15 s of silence.
What a slow client misses is for the source to count and to tell as an event of its own; nothing here queues.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watchkeeper.errors import QueueFull, Refused

STREAMS_MAX = 64
HEARTBEAT_S = 15.0
POLL_S = 0.2
RETRY_MS = 2000


class Event(NamedTuple):
    """One event: its name, and data that is written as JSON."""

    name: str
    data: Any

    def encode(self) -> bytes:
        """Write the event; JSON has no line breaks, so one `data` line holds it."""
        return b"event: %s\ndata: %s\n\n" % (self.name.encode(), orjson.dumps(self.data))


Events = AsyncGenerator[Event | None, None]
"""What a stream sends; None gives the stream a moment to notice that it should end."""


class Streams:
    """The open streams of one gateway."""

    def __init__(self, *, streams_max: int = STREAMS_MAX, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.open = 0
        self.closing = False
        self.heartbeat_s = heartbeat_s
        self._streams_max = streams_max

    def response(self, events: Events) -> EventStream:
        """Make the response that sends these events; raises QueueFull when too many are open, Refused when ending."""
        if self.closing:
            raise Refused("the server is stopping", retry_after_s=2.0)
        if self.open >= self._streams_max:
            raise QueueFull(f"{self.open} streams are open already; close one, or ask again later", retry_after_s=5.0)
        return EventStream(self, events)

    def close(self) -> None:
        """End every stream within a poll's time, and refuse new ones. May be called from any thread."""
        self.closing = True


class EventStream(Response):
    """The response of one stream. Its generator is closed however the stream ends."""

    media_type = "text/event-stream"

    def __init__(self, streams: Streams, events: Events) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client goes, the source ends or the server stops."""
        self._streams.open += 1
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.open -= 1
            for task in (sending, leaving):
                task.cancel()
            for task in (sending, leaving):
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task
            await self._events.aclose()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await _send(send, b"retry: %d\n\n" % RETRY_MS)
        clock = asyncio.get_running_loop().time
        quiet_since = clock()
        async for event in self._events:
            if self._streams.closing:
                break
            if event is not None:
                await _send(send, event.encode())
                quiet_since = clock()
            elif clock() - quiet_since >= self._streams.heartbeat_s:
                await _send(send, b": still here\n\n")
                quiet_since = clock()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
