"""A client of the HTTP API for the commands: one method a verb, and errors that say what to do.

Enters: a Connection. Leaves: parsed JSON, or the events of a stream, reconnected when it breaks. Raises Unreachable,
Unauthorized, Forbidden, NotFound, QueryError or WatchkeeperError. Prints nothing.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import orjson

from watchkeeper.cli.options import Connection
from watchkeeper.errors import (
    Forbidden,
    NotFound,
    QueryError,
    SettingError,
    Unauthorized,
    Unreachable,
    WatchkeeperError,
)
from watchkeeper.version import __version__

_TIMEOUT_S = 60.0
_STREAM_SILENCE_S = 60.0
_RECONNECT_MAX_S = 10.0


class Event(NamedTuple):
    """One server-sent event: its name and its data, parsed."""

    name: str
    data: Any


class Client:
    """Talks to one server; use it as a context manager."""

    def __init__(self, connection: Connection, *, sleep: Callable[[float], None] = time.sleep) -> None:
        server = connection.server if "://" in connection.server else f"http://{connection.server}"
        headers = {"User-Agent": f"watchkeeper/{__version__}", "Accept": "application/json"}
        if connection.token:
            headers["Authorization"] = f"Bearer {connection.token}"
        self._server = server.rstrip("/")
        self._sleep = sleep
        try:
            self._http = httpx.Client(
                base_url=self._server, headers=headers, timeout=_TIMEOUT_S, trust_env=False, verify=_trusted()
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise SettingError(f"--server {server!r} is no address: {error}; as in http://127.0.0.1:8080") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: object) -> None:
        self._http.close()

    def get(self, path: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Get JSON; parameters that are None or "" are left out."""
        return self._json("GET", path, params=_filled(parameters))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Post JSON and get JSON."""
        return self._json("POST", path, content=orjson.dumps(body), headers={"Content-Type": "application/json"})

    def delete(self, path: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Delete what stands there; gives the answer's JSON, None when there is none."""
        try:
            response = self._http.delete(path, params=_filled(parameters))
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise self._refusal(response)
        return orjson.loads(response.content) if response.content else None

    def events(self, path: str, parameters: Mapping[str, object] | None = None) -> Iterator[Event]:
        """Give the events of a stream without end; a broken stream is taken up again after a growing pause.

        Raises Unreachable only when the first connection fails.
        """
        failures = 0
        connected = False
        while True:
            try:
                for event in self._stream(path, parameters):
                    connected, failures = True, 0
                    if event is not None:
                        yield event
            except Unreachable:
                if not connected:
                    raise
            self._sleep(min(_RECONNECT_MAX_S, 0.5 * 2**failures))
            failures = min(failures + 1, 6)

    def _stream(self, path: str, parameters: Mapping[str, object] | None) -> Iterator[Event | None]:
        """Give the events of one connection; None first, to say that it stands."""
        timeout = httpx.Timeout(_TIMEOUT_S, read=_STREAM_SILENCE_S)
        headers = {"Accept": "text/event-stream"}
        try:
            with self._http.stream(
                "GET", path, params=_filled(parameters), headers=headers, timeout=timeout
            ) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refusal(response)
                yield None
                yield from parse_events(response.iter_lines())
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _json(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if not response.is_success:
            raise self._refusal(response)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise WatchkeeperError(f"{self._server}{path} did not answer in JSON; is that a Watchkeeper?") from error

    def _unreachable(self, error: httpx.TransportError) -> WatchkeeperError:
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            return SettingError(f"--server {self._server!r} is no address of a server: {error}")
        reason = str(error) or type(error).__name__
        return Unreachable(
            f"no Watchkeeper answers at {self._server}: {reason}; start it with `watchkeeper up`, or name another with "
            "--server or WATCHKEEPER_SERVER"
        )

    def _refusal(self, response: httpx.Response) -> WatchkeeperError:
        detail = _detail(response)
        where = f"{self._server}: " if response.status_code >= 500 else ""
        if response.status_code == 401:
            return Unauthorized(f"{detail}; give a token with --token or WATCHKEEPER_TOKEN")
        if response.status_code == 403:
            return Forbidden(f"{detail}; use a token of a higher role with --token or WATCHKEEPER_TOKEN")
        if response.status_code == 404:
            return NotFound(detail)
        if response.status_code in {400, 422}:
            return QueryError(detail)
        if response.status_code == 503:
            return Unreachable(f"{where}{detail}; try again in a moment")
        return WatchkeeperError(f"{where}{detail} ({response.status_code})")


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Read server-sent events; comments and ids are passed over, data that is no JSON too."""
    name = "message"
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line:
            with contextlib.suppress(orjson.JSONDecodeError):
                yield Event(name, orjson.loads("\n".join(data)))
            name, data = "message", []


def _trusted() -> ssl.SSLContext | bool:
    """Give what a server's certificate is checked against: the file that SSL_CERT_FILE names, where it does."""
    file = os.environ.get("SSL_CERT_FILE")
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise SettingError(f"SSL_CERT_FILE = {file!r} holds no certificates in PEM form: {error}") from error


def _detail(response: httpx.Response) -> str:
    """Give what a problem document says, else the status in words."""
    try:
        problem = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        problem = None
    if isinstance(problem, dict):
        said = problem.get("detail") or problem.get("title")
        if said:
            return said if isinstance(said, str) else orjson.dumps(said).decode()
    return f"the server answered {response.status_code} {response.reason_phrase}"


def _filled(parameters: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (parameters or {}).items() if value not in (None, "", 0)}
