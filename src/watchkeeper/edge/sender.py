"""Sends OTLP over HTTP to any collector and does not give up lightly.

Enters: the bytes of an ExportLogsServiceRequest. Leaves: how many records the collector took. What OTLP calls retryable
(429, 502, 503, 504, a broken connection) is tried again after Retry-After or a growing pause; the very same bytes are
sent, so that a collector can recognise them. Every batch ends as taken, told back, or an error: none is lost unsaid.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import math
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from watchkeeper.edge.otlp import read_error, read_response
from watchkeeper.errors import Forbidden, Refused, SettingError, TooLarge, Unauthorized, Unreachable, WatchkeeperError
from watchkeeper.version import __version__

_RETRYABLE = {429, 502, 503, 504}
_PAUSE_MAX_S = 30.0
_RETRY_AFTER_MAX_S = 300.0
_ANSWER_BYTES_MAX = 1 << 20


class Sent(NamedTuple):
    """What became of one batch: `rejected` records were told back, `message` says why; `retries` were needed."""

    accepted: int
    rejected: int
    message: str
    retries: int


@dataclass(frozen=True)
class Target:
    """Where to send: the collector's address (`/v1/logs` is added unless it ends so), headers, and patience.

    `retry_for_s` is how long one batch is tried, once the collector has been reached; `ca_file` is a PEM file of
    authorities to trust besides the system's; `certificate` and `key` are the client's for mutual TLS.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0
    retry_for_s: float = 300.0
    ca_file: str = ""
    certificate: str = ""
    key: str = ""

    def parts(self) -> SplitResult:
        """Take the address apart; raises SettingError when it is not of http or https."""
        url = self.url if "://" in self.url else f"http://{self.url}"
        parts = urlsplit(url)
        try:
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid:
            raise SettingError(f"--to {self.url!r} is no address of a collector; write it as http://127.0.0.1:4318")
        path = parts.path.rstrip("/")
        return parts._replace(path=path if path.endswith("/v1/logs") else f"{path}/v1/logs")


class Sender:
    """One connection to a collector, kept open. Not for several threads at once."""

    def __init__(
        self,
        target: Target,
        *,
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._parts = target.parts()
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._monotonic = monotonic
        self._connection: http.client.HTTPConnection | None = None
        self._reached = False

    @property
    def url(self) -> str:
        """The whole address that is posted to."""
        return self._parts.geturl()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def stop(self) -> None:
        """From another thread: try nothing again any more."""
        self._stopping.set()

    def abort(self) -> None:
        """From another thread: break the request that is on the wire."""
        self.stop()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def send(self, payload: bytes, records: int) -> Sent:
        """Send one batch and wait until it is settled.

        Raises Unreachable when nothing answers (at once if nothing ever did, else after `retry_for_s`), Refused when it
        was still refused then, TooLarge, Unauthorized, Forbidden, and WatchkeeperError for an address that is no
        collector. A batch that the collector calls malformed (400) comes back as rejected.
        """
        body = gzip.compress(payload, compresslevel=1, mtime=0)
        deadline = self._monotonic() + self._target.retry_for_s
        retries = 0
        while True:
            try:
                status, headers, answer = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                failure: WatchkeeperError = self._unreachable(error)
                wait_s = 0.0
                if not self._reached:
                    raise failure from error
            else:
                self._reached = True
                if 200 <= status < 300:
                    return self._settled(headers, answer, records, retries)
                failure, wait_s = self._refusal(status, headers, answer)
                if status == 400:
                    return Sent(0, records, str(failure), retries)
                if status not in _RETRYABLE:
                    raise failure
            pause_s = max(wait_s, min(_PAUSE_MAX_S, 0.25 * 2**retries) * random.uniform(0.5, 1.0))
            if self._stopping.is_set() or self._monotonic() + pause_s > deadline:
                raise failure
            self._sleep(pause_s)
            retries += 1

    def _settled(self, headers: Mapping[str, str], answer: bytes, records: int, retries: int) -> Sent:
        partial = read_response(answer, headers.get("content-type", ""))
        rejected = min(max(partial.rejected, 0), records)
        return Sent(records - rejected, rejected, partial.message, retries)

    def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Post once; a kept connection that the other side has closed meanwhile is opened anew, once."""
        kept = self._connection is not None
        try:
            return self._post_once(body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, http.client.CannotSendRequest):
            self.close()
            if not kept:
                raise
            return self._post_once(body)

    def _post_once(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        if self._connection is None:
            self._connection = self._connect()
        path = self._parts.path + (f"?{self._parts.query}" if self._parts.query else "")
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": f"watchkeeper/{__version__}",
            **self._target.headers,
        }
        self._connection.request("POST", path, body=body, headers=headers)
        response = self._connection.getresponse()
        answer = response.read(_ANSWER_BYTES_MAX)
        if response.read(1):
            self.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, answer

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = str(self._parts.hostname), self._target.timeout_s
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, self._parts.port or 80, timeout=timeout_s)
        try:
            context = ssl.create_default_context()
            if self._target.ca_file:
                context.load_verify_locations(self._target.ca_file)
            if self._target.certificate:
                context.load_cert_chain(self._target.certificate, self._target.key or None)
        except OSError as error:
            raise SettingError(f"a certificate file cannot be used: {error}; name PEM files") from error
        return http.client.HTTPSConnection(host, self._parts.port or 443, timeout=timeout_s, context=context)

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Unreachable(
            f"no collector answers at {self.url}: {reason}; start Watchkeeper with `watchkeeper up`, or name another "
            "collector with --to"
        )

    def _refusal(self, status: int, headers: Mapping[str, str], answer: bytes) -> tuple[WatchkeeperError, float]:
        """Say what a refusal means, and how long the collector asks to wait (0 when it does not say)."""
        text = read_error(answer, headers.get("content-type", ""))
        said = f"{self.url} answered {status}{f': {text}' if text else ''}"
        wait_s = retry_after_s(headers.get("retry-after", ""), now_s=time.time())
        if status in _RETRYABLE:
            return Refused(f"{said}; it kept refusing, try again later", retry_after_s=max(wait_s, 0.1)), wait_s
        if status == 401:
            return Unauthorized(f"{said}; give an ingest token with --token or WATCHKEEPER_TOKEN"), 0.0
        if status == 403:
            return Forbidden(f"{said}; the token must have the role ingest or more"), 0.0
        if status == 413:
            return TooLarge(f"{said}; send smaller batches with --batch"), 0.0
        if status == 400:
            return WatchkeeperError(said), 0.0
        return WatchkeeperError(f"{said}; is that address an OTLP/HTTP collector?"), 0.0


def retry_after_s(header: str, *, now_s: float) -> float:
    """Read a Retry-After header, seconds or a date, as seconds from now; 0 when there is none, 300 at the most.

    >>> retry_after_s("3", now_s=0.0), retry_after_s("", now_s=0.0), retry_after_s("soon", now_s=0.0)
    (3.0, 0.0, 0.0)
    """
    text = header.strip()
    if not text:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now_s
        except ValueError:
            return 0.0
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), _RETRY_AFTER_MAX_S)
