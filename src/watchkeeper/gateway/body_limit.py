"""Bounds the JSON bodies of the API before anything parses them; `POST /logs` bounds its own.

A plain ASGI middleware: it reads such a body whole (a mebibyte at most) and hands it on, or answers 413.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchkeeper.errors import TooLarge
from watchkeeper.gateway.problems import problem_of
from watchkeeper.gateway.security import SAFE_METHODS

JSON_BODY_BYTES_MAX = 1 << 20


class BodyLimit:
    """The middleware."""

    def __init__(self, app: ASGIApp, *, bytes_max: int = JSON_BODY_BYTES_MAX) -> None:
        self._app = app
        self._bytes_max = bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer that its body is too large."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or scope["path"] == "/logs":
            await self._app(scope, receive, send)
            return
        body = b""
        last: Message = {"type": "http.request", "more_body": True}
        while last["type"] == "http.request" and last.get("more_body", False):
            last = await receive()
            body += last.get("body", b"")
            if len(body) > self._bytes_max:
                error = TooLarge(f"the body is larger than {self._bytes_max} bytes; a query is not that long")
                await problem_of(error)(scope, receive, send)
                return
        held: list[Message] = [last if last["type"] != "http.request" else {**last, "body": body}]

        async def replay() -> Message:
            return held.pop() if held else await receive()

        await self._app(scope, replay, send)
