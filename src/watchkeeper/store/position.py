"""The place of a batch in its sender's stream, by which it is known again however late it is sent again.

Enters and leaves: record batches that carry their place in the schema's metadata, from the decoder to the committer. A
sender that numbers its batches and sends them in order is recognised by the last place alone, without a window of
time; what is not numbered is recognised by its content (store/dedup.py). Does not know how senders tell the place.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

_STREAM, _PLACE = b"watchkeeper.stream", b"watchkeeper.place"


class Position(NamedTuple):
    """A place (> 0, rising) in a stream, which has a name that no other sender has."""

    stream: str
    place: int


def put_position(batch: pa.RecordBatch, position: Position) -> pa.RecordBatch:
    """Give the batch with its place; copies nothing."""
    return batch.replace_schema_metadata({_STREAM: position.stream, _PLACE: str(position.place)})


def take_position(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Position | None]:
    """Give the batch without its place, and the place."""
    metadata = batch.schema.metadata
    if not metadata or _STREAM not in metadata:
        return batch, None
    return batch.replace_schema_metadata(None), Position(metadata[_STREAM].decode(), int(metadata[_PLACE]))
