"""The small types that the rooms of the store hand each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from watchkeeper.signals.signal import Signal

if TYPE_CHECKING:
    import pyarrow as pa


class Entry(NamedTuple):
    """One acknowledged request as the write-ahead log keeps it.

    `sequence` rises by order of acceptance and is what the column `batch` of its rows holds; `encoding` is "protobuf"
    or "json"; `payload` is the decompressed body of the request.
    """

    sequence: int
    signal: Signal
    encoding: str
    sender: str
    received_unix_ns: int
    payload: bytes


class Appended(NamedTuple):
    """The answer to an append: the sequence of the stored batch; `duplicate` when it had been stored before.

    `position` is where its stream is, of a batch that was known by its place in one; 0 else.
    """

    sequence: int
    duplicate: bool
    position: int = 0


class Recovered(NamedTuple):
    """A batch that was acknowledged before the last stop and had not reached a segment."""

    sequence: int
    signal: Signal
    batch: pa.RecordBatch
