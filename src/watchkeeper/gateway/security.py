"""What guards every request before any route sees it, and the headers of every answer.

- Host: on loopback only names of this machine are answered, so that a web page cannot reach Watchkeeper by pointing a
  name of its own at 127.0.0.1 (DNS rebinding).
- Origin: what changes something must not come from another site's page (auth.py asks for JSON as well).

A plain ASGI middleware: it buffers nothing, so streams pass through.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watchkeeper.errors import Forbidden, MalformedTelemetry, WatchkeeperError
from watchkeeper.gateway.problems import problem_of
from watchkeeper.receive.tokens import is_loopback
from watchkeeper.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Security:
    """The middleware; `settings` say where Watchkeeper is bound and by which names it may be reached."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._loopback = is_loopback(settings.text("bind"))
        self._names = frozenset(name.strip().lower() for name in settings.text("host_names").split(",") if name.strip())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self._check(scope)
        except WatchkeeperError as error:
            await problem_of(error)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not host:
            raise MalformedTelemetry("the request has no Host header")
        if not self._known_host(_name_of(host)):
            raise Forbidden(
                f"the Host {host[:100]!r} is not known here; call it localhost, or name it with --set host_names=NAME"
            )
        if scope["method"] in SAFE_METHODS:
            return
        self._check_origin(headers, host)

    def _known_host(self, name: str) -> bool:
        if name in self._names:
            return True
        return is_loopback(name) if self._loopback else not self._names or is_loopback(name)

    def _check_origin(self, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None:
            parts = urlsplit(origin) if origin.count("://") == 1 else None
            same = parts is not None and (parts.netloc.lower() == host.lower() or _name_of(parts.netloc) in self._names)
            if not same:
                raise Forbidden(f"a page of {origin[:100]!r} may not change anything here")
        elif headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden("a page of another site may not change anything here")


def _name_of(netloc: str) -> str:
    """Give the name in a Host header or an Origin without its port, lower-case; "" when there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""
