"""OTLP over HTTP as a bare ASGI application: POST /v1/logs, /v1/metrics, /v1/traces, and GET /health.

Enters: requests in protobuf or JSON, plain, gzip, zstd or deflate, whole or chunked. Leaves: the answers that the OTLP
specification asks for, in the encoding of the request; a fault of ours is 503, for a retry can help. The event loop
only reads and writes: decompression and decoding run in threads. Does not know the store.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from watchkeeper.errors import InternalFault, MalformedTelemetry, TooLarge, UnsupportedEncoding, WatchkeeperError
from watchkeeper.receive.batch_mark import POSITION_HEADER
from watchkeeper.receive.compression import ENCODINGS, decompress, known_encoding
from watchkeeper.receive.http_answer import Answer, Send
from watchkeeper.receive.http_body import READ_TIMEOUT_S, BodyReader, Disconnected, Receive, linger
from watchkeeper.receive.outcome import ACKNOWLEDGE_TIMEOUT_S, Outcome, Takes, Taking
from watchkeeper.receive.peer import UNKNOWN_ADDRESS, Certificate, Peer, bearer_secret
from watchkeeper.receive.status_proto import JSON_TYPE, PROTOBUF_TYPE, success
from watchkeeper.signals.signal import Signal

if TYPE_CHECKING:
    from watchkeeper.receive.remote_write.endpoint import RemoteWrite

Scope = MutableMapping[str, Any]

PATHS: dict[str, Signal] = {"/v1/logs": Signal.LOGS, "/v1/metrics": Signal.METRICS, "/v1/traces": Signal.SPANS}
HEALTH_PATH = "/health"
REMOTE_WRITE_PATH = "/api/v1/write"
NOT_FOUND, UNIMPLEMENTED = 5, 12

_ENCODINGS: dict[str, str] = {PROTOBUF_TYPE: "protobuf", JSON_TYPE: "json"}

log = logging.getLogger(__name__)


class Head(NamedTuple):
    """What the headers say of the body: "protobuf" or "json", the compression, the length (None when not told)."""

    encoding: str
    compression: str
    length: int | None


def http_app(receiver: Takes, remote_write: RemoteWrite | None = None) -> OtlpHttp:
    """Make the ASGI application for a receiver, which takes Prometheus remote write too where that is given."""
    return OtlpHttp(receiver, remote_write)


class OtlpHttp:
    """The ASGI application; see the module."""

    def __init__(
        self, receiver: Takes, remote_write: RemoteWrite | None = None, *, read_timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._receiver = receiver
        self._remote_write = remote_write
        self._body = BodyReader(receiver, read_timeout_s=read_timeout_s)
        self._bytes_max = receiver.settings.integer("request_decompressed_bytes_max")
        self._threads = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="otlp-http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            raise ValueError(f"this application serves http only, not {scope['type']!r}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        content_type = _content_type(headers)
        answer = Answer(send, content_type)
        path, method = scope["path"], scope["method"]
        if path == HEALTH_PATH:
            await _health(answer, send, method)
            return
        written = self._remote_write if path == REMOTE_WRITE_PATH else None
        signal = PATHS.get(path)
        if signal is None and written is None:
            await answer.error(404, NOT_FOUND, f"there is no {path[:200]!r} here; POST telemetry to {', '.join(PATHS)}")
        elif method != "POST":
            message = f"{method} is not for {path}; POST telemetry to it"
            await answer.error(405, UNIMPLEMENTED, message, [(b"allow", b"POST")])
        elif written is not None:
            await written.serve(_peer(scope, headers, content_type), headers, receive, send, self._threads)
        elif signal is not None:
            await self._serve(signal, _peer(scope, headers, content_type), headers, receive, answer)

    async def _serve(
        self, signal: Signal, peer: Peer, headers: dict[bytes, bytes], receive: Receive, answer: Answer
    ) -> None:
        """Take one request in and answer it; this is the boundary past which no exception goes."""
        try:
            outcome = await self._take_in(signal, peer, headers, receive)
        except Disconnected:
            log.debug("%s went away before its request was whole", peer.address)
        except WatchkeeperError as error:
            await answer.failure(error)
            if isinstance(error, TooLarge):
                await linger(receive)
            await answer.end()
        except Exception as error:
            log.exception("serving a request of %s failed", peer.address)
            fault = InternalFault(
                f"internal fault, logged by the receiver: {type(error).__name__}; retry",
                retry_after_s=self._receiver.retry_after_s,
            )
            await answer.failure(fault)
            await answer.end()
        else:
            told = [(POSITION_HEADER.encode(), str(outcome.position).encode())] if outcome.position else None
            await answer.message(200, success(signal, outcome.rejected, outcome.reason), told)

    async def _take_in(self, signal: Signal, peer: Peer, headers: dict[bytes, bytes], receive: Receive) -> Outcome:
        with self._receiver.begin(signal, peer) as intake:
            head = _head(headers)
            body = await self._body.read(head.length, receive, intake)
            loop = asyncio.get_running_loop()
            stored = await loop.run_in_executor(self._threads, self._export, head, body, intake)
            try:
                async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                    return await asyncio.wrap_future(stored)
            except TimeoutError:
                raise InternalFault(
                    f"the disk did not answer within {ACKNOWLEDGE_TIMEOUT_S:g} s; retry",
                    retry_after_s=self._receiver.retry_after_s,
                ) from None

    def _export(self, head: Head, body: bytes, intake: Taking) -> Future[Outcome]:
        """Decompress, decode and hand over one request; runs in a thread."""
        payload = decompress(head.compression, body, self._bytes_max, intake.hold)
        return intake.export(head.encoding, payload)


def _content_type(headers: dict[bytes, bytes]) -> str:
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def _head(headers: dict[bytes, bytes]) -> Head:
    """Read what the headers say of the body; raises UnsupportedEncoding, MalformedTelemetry."""
    content_type = _content_type(headers)
    encoding = _ENCODINGS.get(content_type)
    if encoding is None:
        known = ", ".join(_ENCODINGS)
        raise UnsupportedEncoding(
            f"the Content-Type {content_type[:100]!r} is not known here; send {known}",
            header="accept-post",
            known=known,
        )
    named = headers.get(b"content-encoding", b"").decode("latin-1")
    compression = known_encoding(named)
    if compression is None:
        known = ", ".join(ENCODINGS)
        raise UnsupportedEncoding(
            f"the Content-Encoding {named[:100]!r} is not known here; send {known}",
            header="accept-encoding",
            known=known,
        )
    length = headers.get(b"content-length")
    if length is not None and not length.isdigit():
        raise MalformedTelemetry(f"the Content-Length {length[:40]!r} is not a number")
    return Head(encoding, compression, None if length is None else int(length))


def _peer(scope: Scope, headers: dict[bytes, bytes], content_type: str) -> Peer:
    client = scope.get("client")
    authorization = headers.get(b"authorization")
    return Peer(
        protocol=f"http/{_ENCODINGS.get(content_type, 'other')}",
        address=client[0] if client else UNKNOWN_ADDRESS,
        secret=bearer_secret(authorization.decode("latin-1") if authorization else None),
        certificate=scope.get("extensions", {}).get("tls", {}).get("client_certificate", Certificate()),
    )


async def _health(answer: Answer, send: Send, method: str) -> None:
    if method not in {"GET", "HEAD"}:
        await answer.error(405, UNIMPLEMENTED, f"{method} is not for {HEALTH_PATH}", [(b"allow", b"GET, HEAD")])
        return
    body = json.dumps({"status": "ok"}).encode("ascii")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
