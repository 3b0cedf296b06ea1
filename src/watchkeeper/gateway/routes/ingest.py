"""`POST /logs`: log entries as plain JSON, for senders without OpenTelemetry.

The body is read bounded and handed to the receiver, which asks for the role, keeps the account and makes it durable.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from watchkeeper.errors import InternalFault, MalformedTelemetry, TooLarge, UnsupportedEncoding
from watchkeeper.gateway import models
from watchkeeper.gateway.auth import peer_of
from watchkeeper.gateway.context import Parts
from watchkeeper.gateway.problems import problem
from watchkeeper.gateway.shapes import JsonResponse
from watchkeeper.receive.compression import ENCODINGS, decompress, known_encoding
from watchkeeper.receive.json_logs import JsonLogsResult, parse_json_logs
from watchkeeper.receive.outcome import ACKNOWLEDGE_TIMEOUT_S, Outcome
from watchkeeper.receive.receiver import Intake
from watchkeeper.signals.schema import Signal

READ_TIMEOUT_S = 30.0
PROTOCOL = "json"

router = APIRouter(tags=["ingest"])

_ENTRY = {"$ref": "#/components/schemas/LogEntry"}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "One entry, an array of entries, or one entry a line; plain, gzip, zstd or deflate.",
        "content": {
            "application/json": {"schema": {"anyOf": [_ENTRY, {"type": "array", "items": _ENTRY, "minItems": 1}]}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.post("/logs", operation_id="sendLogs", response_model=models.LogEntriesAnswer, openapi_extra=_BODY)
async def send_logs(gateway: Parts, request: Request) -> Response:
    """Send log entries; good ones are kept also when others are bad, and 400 says that all were."""
    settings = gateway.keeper.settings
    with gateway.keeper.receiver.begin(Signal.LOGS, peer_of(request, protocol=PROTOCOL)) as intake:
        compression = _compression(request)
        body = await _read(request, intake, settings.integer("request_bytes_max"))
        parsed, stored = await gateway.work.ingest.run(
            _take_in,
            intake,
            body,
            compression,
            request.headers.get("content-type", ""),
            settings.integer("request_decompressed_bytes_max"),
        )
        outcome = await _acknowledged(stored)
    answer: dict[str, Any] = {
        "accepted": outcome.accepted + outcome.deduplicated,
        "rejected": outcome.rejected,
        "deduplicated": outcome.deduplicated,
        "errors": [error._asdict() for error in parsed.errors],
    }
    if parsed.accepted == 0:
        return problem(400, _reason(parsed), **answer)
    return JsonResponse(answer)


def _take_in(
    intake: Intake, body: bytes, compression: str, content_type: str, bytes_max: int
) -> tuple[JsonLogsResult, Future[Outcome]]:
    """Decompress, parse, and hand over; runs in a thread."""
    parsed = parse_json_logs(decompress(compression, body, bytes_max, intake.hold), content_type)
    stored = intake.export(
        "protobuf", parsed.payload, already_rejected=parsed.rejected, reason=_reason(parsed) if parsed.rejected else ""
    )
    return parsed, stored


async def _acknowledged(stored: Future[Outcome]) -> Outcome:
    try:
        async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_S):
            return await asyncio.wrap_future(stored)
    except TimeoutError:
        raise InternalFault(f"the disk did not answer within {ACKNOWLEDGE_TIMEOUT_S:g} s; retry") from None


async def _read(request: Request, intake: Intake, bytes_max: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for piece in request.stream():
                size += len(piece)
                if size > bytes_max:
                    raise TooLarge(f"the body is larger than {bytes_max} bytes (request_bytes_max); send it in parts")
                intake.hold(len(piece))
                pieces.append(piece)
    except TimeoutError:
        raise InternalFault(f"the body did not come within {READ_TIMEOUT_S:g} s; send it again") from None
    except ClientDisconnect:
        raise MalformedTelemetry("the client went away before its body was whole") from None
    return b"".join(pieces)


def _compression(request: Request) -> str:
    named = request.headers.get("content-encoding", "")
    compression = known_encoding(named)
    if compression is None:
        known = ", ".join(ENCODINGS)
        raise UnsupportedEncoding(
            f"the Content-Encoding {named[:100]!r} is not known here; send {known}",
            header="Accept-Encoding",
            known=known,
        )
    return compression


def _reason(parsed: JsonLogsResult) -> str:
    if not parsed.errors:
        return ""
    first = parsed.errors[0]
    where = f"entry {first.position}" + (f", {first.field}" if first.field else "")
    more = f", and {parsed.rejected - 1} more entries" if parsed.rejected > 1 else ""
    return f"{where}: {first.message}{more}"
