"""The connection to the centre: one batch posted, one plain answer; nothing is tried twice here.

Enters: a path and the bytes of a request. Leaves: an Answer, or Unreachable. Certificates are read anew when their
files change, so that a renewed one is used without a restart. TLS 1.2 is the least spoken. Not for several threads.
"""

from __future__ import annotations

import gzip
import http.client
import logging
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from watchkeeper.edge.otlp import read_error, read_response
from watchkeeper.edge.sender import retry_after_s
from watchkeeper.errors import CertificateError, SettingError, Unreachable
from watchkeeper.receive.batch_mark import POSITION_HEADER
from watchkeeper.receive.tokens import is_loopback
from watchkeeper.signals.signal import Signal
from watchkeeper.version import __version__

PATHS = {Signal.LOGS: "/v1/logs", Signal.METRICS: "/v1/metrics", Signal.SPANS: "/v1/traces"}
_ANSWER_BYTES_MAX = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Centre:
    """Where the centre is, and what opens it: address, PEM files of the authority, this node's certificate and key."""

    url: str
    ca_file: str = ""
    certificate: str = ""
    key: str = ""
    token: str = field(default="", repr=False)
    timeout_s: float = 30.0

    def parts(self) -> SplitResult:
        """Take the address apart; raises SettingError when it is not of http or https."""
        parts = urlsplit(self.url if "://" in self.url else f"http://{self.url}")
        try:
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            valid = False
        if not valid:
            raise SettingError(f"--to {self.url!r} is no address of a centre; write it as https://centre:4318")
        return parts


class Answer(NamedTuple):
    """What the centre said: HTTP status, why, records told back of a batch that it took, seconds it asks to wait.

    `position` is where the batch's stream is, told of a batch that it took for an old one by its place; 0 else.
    """

    status: int
    message: str
    rejected: int = 0
    retry_after_s: float = 0.0
    position: int = 0


class Link:
    """One connection, kept open. Raises SettingError for an address or a token that cannot be."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._parts = centre.parts()
        if not (centre.token.isascii() and centre.token.isprintable()):
            raise SettingError(
                "the token of the centre holds what no token has: a line end, or no ASCII; look at --token"
            )
        if self._parts.scheme == "http" and not is_loopback(str(self._parts.hostname)):
            _log.warning("%s is not TLS: all that is sent can be read and changed on the way", centre.url)
        self._connection: http.client.HTTPConnection | None = None
        self._files_at: tuple[int, ...] = ()

    def post(self, signal: Signal, payload: bytes) -> Answer:
        """Post one request once; raises Unreachable, or CertificateError for files of ours that cannot be used."""
        if self._connection is not None and self._changed():
            self.close()
        body = gzip.compress(payload, compresslevel=1, mtime=0)
        kept = self._connection is not None
        try:
            try:
                return self._post(signal, body)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection that the other side closed meanwhile tells nothing of the other side.
                self.close()
                if not kept:
                    raise
                return self._post(signal, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"the centre {self._centre.url} does not answer: {_reason(error)}") from error

    def close(self) -> None:
        """Close the connection; the next post opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, signal: Signal, body: bytes) -> Answer:
        connection = self._connection = self._connection or self._connect()
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": f"watchkeeper-edge/{__version__}",
        }
        if self._centre.token:
            headers["Authorization"] = f"Bearer {self._centre.token}"
        connection.request("POST", self._parts.path.rstrip("/") + PATHS[signal], body=body, headers=headers)
        response = connection.getresponse()
        answer = response.read(_ANSWER_BYTES_MAX)
        if response.read(1) or response.getheader("connection", "").lower() == "close":
            self.close()
        kind = response.getheader("content-type", "")
        if 200 <= response.status < 300:
            partial = read_response(answer, kind)
            position = response.getheader(POSITION_HEADER, "")
            known = int(position) if position.isascii() and position.isdigit() else 0
            return Answer(response.status, partial.message, max(0, partial.rejected), position=known)
        wait_s = retry_after_s(response.getheader("retry-after", ""), now_s=time.time())
        return Answer(response.status, read_error(answer, kind), retry_after_s=wait_s)

    def _connect(self) -> http.client.HTTPConnection:
        host, timeout_s = str(self._parts.hostname), self._centre.timeout_s
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, self._parts.port or 4318, timeout=timeout_s)
        self._files_at = self._times()
        try:
            context = ssl.create_default_context(cafile=self._centre.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._centre.certificate:
                context.load_cert_chain(self._centre.certificate, self._centre.key or None)
        except OSError as error:
            raise CertificateError(
                f"a certificate file of this node cannot be used: {error}; check edge_ca, edge_cert, edge_key"
            ) from error
        return http.client.HTTPSConnection(host, self._parts.port or 4318, timeout=timeout_s, context=context)

    def _changed(self) -> bool:
        return self._parts.scheme == "https" and self._times() != self._files_at

    def _times(self) -> tuple[int, ...]:
        named = (self._centre.ca_file, self._centre.certificate, self._centre.key)
        return tuple(_modified_ns(Path(name)) for name in named if name)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _reason(error: Exception) -> str:
    """Say why a connection failed; what TLS says of certificates in plain words."""
    text = str(error)
    said = {
        "CERTIFICATE_REQUIRED": "it asks for a client certificate and this node has none (edge_cert, edge_key)",
        "UNKNOWN_CA": "it does not know the authority that signed this node's certificate",
        "ALERT_CERTIFICATE_EXPIRED": "this node's certificate has expired; renew it with `watchkeeper certs renew`",
        "CERTIFICATE_REVOKED": "this node's certificate is revoked",
        "WRONG_VERSION_NUMBER": "it does not speak TLS there; is the address http://, or the port another?",
        "CERTIFICATE_VERIFY_FAILED": f"its certificate is not to be trusted: {text}; name the authority with edge_ca",
    }
    plain = next((words for mark, words in said.items() if mark in text.upper().replace(" ", "_")), "")
    return plain or getattr(error, "strerror", None) or text or type(error).__name__
