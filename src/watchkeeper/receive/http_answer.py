"""Writes the answers of OTLP over HTTP, in the encoding of the request.

Enters: a message, or an error. Leaves: ASGI events. Does not decide what to answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from google.protobuf.message import Message

from watchkeeper.errors import TooLarge, UnsupportedEncoding, WatchkeeperError
from watchkeeper.receive.status_proto import (
    JSON_TYPE,
    PROTOBUF_TYPE,
    code_of,
    encode,
    retry_after_header,
    retry_after_s,
    status,
    status_of,
)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Answer:
    """The answer to one request; protobuf when the request was, else JSON."""

    def __init__(self, send: Send, content_type: str) -> None:
        self._send = send
        self._content_type = PROTOBUF_TYPE if content_type == PROTOBUF_TYPE else JSON_TYPE

    async def message(self, http_status: int, message: Message, headers: Headers | None = None) -> None:
        """Send a message as the whole answer."""
        await self._write(http_status, encode(message, self._content_type), headers or [])
        await self.end()

    async def error(self, http_status: int, code: int, message: str, headers: Headers | None = None) -> None:
        """Send a google.rpc.Status as the whole answer."""
        await self.message(http_status, status(code, message), headers)

    async def failure(self, error: WatchkeeperError) -> None:
        """Send all of the answer to an error but its end, so that the sender can be listened to before it is closed."""
        await self._write(code_of(error).http, encode(status_of(error), self._content_type), headers_of(error))

    async def end(self) -> None:
        """End the answer."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, http_status: int, body: bytes, headers: Headers) -> None:
        told = [
            (b"content-type", self._content_type.encode("ascii")),
            (b"content-length", str(len(body)).encode("ascii")),
        ]
        await self._send({"type": "http.response.start", "status": http_status, "headers": [*told, *headers]})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


def headers_of(error: WatchkeeperError) -> Headers:
    """Give the headers that go with an error: when to come again, what is known here, how to say who one is."""
    headers: Headers = []
    seconds = retry_after_s(error)
    if seconds is not None:
        headers.append((b"retry-after", retry_after_header(seconds)))
    if code_of(error).http == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UnsupportedEncoding):
        headers.append((error.header.encode("ascii"), error.known.encode("ascii")))
    if isinstance(error, TooLarge):
        headers.append((b"connection", b"close"))
    return headers
