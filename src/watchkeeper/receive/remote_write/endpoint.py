"""`POST /api/v1/write` of the OTLP/HTTP port: Prometheus remote write 1.0 and 2.0, by the specification's own answers.

Enters: a request as an ASGI server gives it. Leaves: 204 once all of it is durable; 400 in plain words when some of it
cannot be stored (the rest is), 415 and 503 as the specification has them, and how much was written. Tokens, client
certificates, limits and ledger are those of OTLP, for the request becomes one (translate.py). Does not know the store.
Source: prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import TYPE_CHECKING

from watchkeeper.errors import (
    InternalFault,
    MalformedTelemetry,
    Refused,
    TooLarge,
    UnsupportedEncoding,
    WatchkeeperError,
)
from watchkeeper.receive.http_answer import Headers, Send, headers_of
from watchkeeper.receive.http_body import BodyReader, Disconnected, Receive, linger
from watchkeeper.receive.outcome import ACKNOWLEDGE_TIMEOUT_S, Outcome
from watchkeeper.receive.peer import Peer
from watchkeeper.receive.remote_write.known import Known
from watchkeeper.receive.remote_write.request import Translated
from watchkeeper.receive.remote_write.snappy import decompress
from watchkeeper.receive.remote_write.translate import Translator, Version
from watchkeeper.receive.status_proto import PROTOBUF_TYPE, code_of
from watchkeeper.signals.signal import Signal

if TYPE_CHECKING:
    from watchkeeper.receive.receiver import Intake, Receiver

MESSAGES = {"prometheus.WriteRequest": Version.V1, "io.prometheus.write.v2.Request": Version.V2}

_WRITTEN = "x-prometheus-remote-write-{}-written"

log = logging.getLogger(__name__)


class RemoteWrite:
    """Takes remote write in for a receiver. `exemplars_ignored` counts from the start of the program."""

    def __init__(self, receiver: Receiver, known: Known) -> None:
        self._receiver = receiver
        self._translator = Translator(known)
        self._body = BodyReader(receiver)
        self._bytes_max = receiver.settings.integer("request_decompressed_bytes_max")
        self.exemplars_ignored = 0

    async def serve(
        self, peer: Peer, headers: MutableMapping[bytes, bytes], receive: Receive, send: Send, threads: Executor
    ) -> None:
        """Take one POST in and answer it; this is the boundary past which no exception goes."""
        try:
            version, translated, outcome = await self._take_in(peer, headers, receive, threads)
        except Disconnected:
            log.debug("%s went away before its request was whole", peer.address)
        except WatchkeeperError as error:
            # Prometheus throws away what is answered 429, unless told otherwise, and sends again what is answered 503.
            status = 503 if isinstance(error, Refused) else code_of(error).http
            await _answer(send, status, str(error), headers_of(error))
            if isinstance(error, TooLarge):
                await linger(receive)
            await _end(send)
        except Exception as error:
            log.exception("serving a request of %s failed", peer.address)
            fault = InternalFault(
                f"internal fault, logged by the receiver: {type(error).__name__}; retry",
                retry_after_s=self._receiver.retry_after_s,
            )
            await _answer(send, code_of(fault).http, str(fault), headers_of(fault))
            await _end(send)
        else:
            written = _written(translated) if version is Version.V2 else []
            await _answer(send, 400 if outcome.rejected else 204, outcome.reason if outcome.rejected else "", written)
            await _end(send)

    async def _take_in(
        self, peer: Peer, headers: MutableMapping[bytes, bytes], receive: Receive, threads: Executor
    ) -> tuple[Version, Translated, Outcome]:
        version = _version(headers)
        named = replace(peer, protocol=f"remote-write/{version.value if version else 'other'}")
        with self._receiver.begin(Signal.METRICS, named) as intake:
            length = _length(headers, version)
            body = await self._body.read(length, receive, intake)
            loop = asyncio.get_running_loop()
            assert version is not None, "an unknown version is refused with the other headers"
            translated, stored = await loop.run_in_executor(threads, self._export, version, body, intake)
            try:
                async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
                    outcome = await asyncio.wrap_future(stored)
            except TimeoutError:
                raise InternalFault(
                    f"the disk did not answer within {ACKNOWLEDGE_TIMEOUT_S:g} s; retry",
                    retry_after_s=self._receiver.retry_after_s,
                ) from None
            self.exemplars_ignored += translated.exemplars
            return version, translated, outcome

    def _export(self, version: Version, body: bytes, intake: Intake) -> tuple[Translated, Future[Outcome]]:
        """Decompress, translate and hand over one request; runs in a thread."""
        payload = decompress(body, self._bytes_max, intake.hold)
        translated = self._translator.translate(version, payload, intake.sender)
        intake.hold(len(translated.payload))
        stored = intake.export(
            "protobuf", translated.payload, already_rejected=translated.rejected, reason=translated.reason
        )
        return translated, stored


def _version(headers: MutableMapping[bytes, bytes]) -> Version | None:
    """Read which message a Content-Type names; without a name it is that of 1.0. None for one that is not known."""
    media_type, *parameters = headers.get(b"content-type", b"").decode("latin-1").split(";")
    if media_type.strip().lower() != PROTOBUF_TYPE:
        return None
    named = "prometheus.WriteRequest"
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "proto":
            named = value.strip().strip('"')
    return MESSAGES.get(named)


def _length(headers: MutableMapping[bytes, bytes], version: Version | None) -> int | None:
    """Read what the headers say of the body; raises UnsupportedEncoding, MalformedTelemetry."""
    if version is None:
        known = ", ".join(f"{PROTOBUF_TYPE};proto={name}" for name in MESSAGES)
        said = headers.get(b"content-type", b"").decode("latin-1")[:100]
        raise UnsupportedEncoding(
            f"the Content-Type {said!r} is no remote write; send {known}", header="accept-post", known=known
        )
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if encoding not in {"", "snappy"}:
        raise UnsupportedEncoding(
            f"the Content-Encoding {encoding[:100]!r} is not known here; send snappy's block format",
            header="accept-encoding",
            known="snappy",
        )
    length = headers.get(b"content-length")
    if length is not None and not length.isdigit():
        raise MalformedTelemetry(f"the Content-Length {length[:40]!r} is not a number")
    return None if length is None else int(length)


def _written(translated: Translated) -> Headers:
    counts = {"samples": translated.samples, "histograms": translated.histograms, "exemplars": 0}
    return [(_WRITTEN.format(name).encode(), str(count).encode()) for name, count in counts.items()]


async def _answer(send: Send, status: int, text: str, headers: Headers) -> None:
    """Send all of an answer but its end, so that the sender can be listened to before it is closed."""
    body = f"{text}\n".encode() if text else b""
    told: list[tuple[bytes, bytes]] = []
    if body:
        told = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": [*told, *headers]})
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b"", "more_body": False})
