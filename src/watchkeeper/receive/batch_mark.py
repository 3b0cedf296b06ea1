"""The mark of an agent's batch: which stream it belongs to, how far it reaches, what the agent had to leave out.

    first element of the request    a resource without any records, with the attributes named below

It is plain OTLP, so other collectors pass over it, and it stands in the bytes that the write-ahead log keeps: whoever
replays them knows again what was stored. `position` rises with each batch of a stream; `dropped` and `refused` are
totals of the agent, so a report that is lost or told twice changes nothing. Does not store or count.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

STREAM = "watchkeeper.batch.stream"
POSITION = "watchkeeper.batch.position"
DROPPED = "watchkeeper.batch.dropped"
REFUSED = "watchkeeper.batch.refused"
POSITION_HEADER = "watchkeeper-stream-position"
"""Header of the answer to a batch that was passed over for its place: where the stream is. An agent that was set back
to an older state learns from it that new telemetry was taken for old."""

_MARK_BYTES_MAX = 1024
STREAM_CHARACTERS_MAX = 64
_STREAM_FORM = re.compile(r"[0-9A-Za-z_./-]+")


class Mark(NamedTuple):
    """The mark of one batch: name of the stream, last place in it that the batch holds, totals of what was left out.

    position: 0 for a batch without records before the stream's first, which only tells what was left out.
    """

    stream: str
    position: int
    dropped: int = 0
    refused: int = 0


def write_mark(mark: Mark) -> bytes:
    """Give the bytes to put in front of the protobuf of a request, of whatever signal: their first field is alike."""
    request = ExportLogsServiceRequest()
    attributes = request.resource_logs.add().resource.attributes
    attributes.add(key=STREAM).value.string_value = mark.stream
    for name, value in ((POSITION, mark.position), (DROPPED, mark.dropped), (REFUSED, mark.refused)):
        attributes.add(key=name).value.int_value = value
    data: bytes = request.SerializeToString()
    return data


def read_mark(payload: bytes) -> Mark | None:
    """Give the mark of a protobuf request; None when it has none. Cost: a microsecond, of unmarked requests less."""
    if payload[:1] != b"\x0a" or STREAM.encode() not in payload[:_MARK_BYTES_MAX]:
        return None
    length, start = _varint(payload, 1)
    if not 0 < length <= _MARK_BYTES_MAX:
        return None
    try:
        first = ResourceLogs.FromString(payload[start : start + length])
    except DecodeError:
        return None
    told = {each.key: each.value for each in first.resource.attributes}
    if first.scope_logs or STREAM not in told or POSITION not in told:
        return None
    counts = [told[name].int_value if name in told else 0 for name in (POSITION, DROPPED, REFUSED)]
    stream = told[STREAM].string_value
    if len(stream) > STREAM_CHARACTERS_MAX or not _STREAM_FORM.fullmatch(stream) or min(counts) < 0:
        return None
    return Mark(stream, *counts)


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """Read a number; gives it and where it ends, (0, start) when it is longer than a length can be."""
    value = 0
    for place in range(5):
        if start + place >= len(data):
            break
        byte = data[start + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, start + place + 1
    return 0, start
