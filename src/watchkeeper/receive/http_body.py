"""Reads the body of a request from an ASGI server, bounded in size and in time.

Enters: the events of one request. Leaves: its bytes, or an error. Neither decompresses nor decodes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchkeeper.errors import InternalFault, TooLarge
from watchkeeper.receive.outcome import Takes, Taking

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

READ_TIMEOUT_S = 30.0
LINGER_S = 2.0
LINGER_BYTES_MAX = 256 << 20


class Disconnected(Exception):
    """The client went away before its request was whole: there is nobody to answer."""


class BodyReader:
    """Reads bodies for a receiver, whose memory they count towards."""

    def __init__(self, receiver: Takes, *, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._wire_bytes_max = receiver.settings.integer("request_bytes_max")
        self._retry_after_s = receiver.retry_after_s
        self._read_timeout_s = read_timeout_s

    async def read(self, length: int | None, receive: Receive, intake: Taking) -> bytes:
        """Read a body of the length told, None when it is not; raises TooLarge at once, QueueFull, Disconnected."""
        if length is not None and length > self._wire_bytes_max:
            raise self._too_large()
        pieces: list[bytes] = []
        size = 0
        while True:
            piece, more = await self._piece(receive)
            size += len(piece)
            if size > self._wire_bytes_max:
                raise self._too_large()
            intake.hold(len(piece))
            pieces.append(piece)
            if not more:
                return b"".join(pieces) if len(pieces) > 1 else piece

    async def _piece(self, receive: Receive) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(self._read_timeout_s):
                event = await receive()
        except TimeoutError:
            raise InternalFault(
                f"the next piece of the body did not come within {self._read_timeout_s:g} s; send it again",
                retry_after_s=self._retry_after_s,
            ) from None
        if event["type"] == "http.disconnect":
            raise Disconnected
        return event.get("body", b""), event.get("more_body", False)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the request body is larger than {self._wire_bytes_max} bytes (request_bytes_max); send smaller batches"
        )


async def linger(receive: Receive) -> None:
    """Read on for a while and throw it away: closing on a client that still sends would lose it our answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            size = 0
            more = True
            while more and size < LINGER_BYTES_MAX:
                event = await receive()
                size += len(event.get("body", b""))
                more = event["type"] == "http.request" and event.get("more_body", False)
