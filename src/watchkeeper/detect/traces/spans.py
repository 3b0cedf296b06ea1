"""Spans as plain arrays, with a number for each operation: what the rest of this folder works on.

Enters: batches of the SPANS schema. Leaves: Spans, and the names behind the numbers. A name that carries ids is cleaned
of them; a service with too many operations has the rest of them folded into one. Keeps no attribute and no span.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

OPERATIONS_PER_SERVICE_MAX = 200
OPERATIONS_MAX = 5_000
SERVICES_MAX = 1_000
NAMES_REMEMBERED_MAX = 20_000
NAME_CHARACTERS_MAX = 200
FUTURE_MAX_NS = 300_000_000_000
OTHER = "(other)"

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
STATUS_ERROR = 2

Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_ID = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    r"|(?<![A-Za-z0-9])(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}(?![A-Za-z0-9])"
    r"|(?<![A-Za-z0-9.])\d+(?![A-Za-z0-9.])"
)
_NIBBLES = np.zeros(256, np.uint64)
_NIBBLES[[*b"0123456789"]] = np.arange(10)
_NIBBLES[[*b"abcdef"]] = np.arange(10, 16)


class Operation(NamedTuple):
    """A name of spans in a service."""

    service: str
    name: str


class Spans(NamedTuple):
    """Spans as arrays, each (n,). operation: its number. key, parent: span ids mixed with the trace's; parent 0: none.

    trace: (n, 2), the halves of the trace id. failed: status is error. Times in Unix nanoseconds.
    """

    operation: Ints
    kind: Ints
    start_ns: Ints
    end_ns: Ints
    key: Ids
    parent: Ids
    trace: Ids
    failed: Flags

    def take(self, rows: Any) -> Spans:
        """Give some of the spans."""
        return Spans(
            self.operation[rows],
            self.kind[rows],
            self.start_ns[rows],
            self.end_ns[rows],
            self.key[rows],
            self.parent[rows],
            self.trace[rows],
            self.failed[rows],
        )

    @property
    def duration_s(self) -> npt.NDArray[np.float64]:
        """Give the durations in seconds, never below a nanosecond."""
        return np.asarray(np.maximum(self.end_ns - self.start_ns, 1) / 1e9, np.float64)


def together(parts: list[Spans]) -> Spans:
    """Put spans one after another; parts holds at least one."""
    return Spans(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def trace_id(halves: Ids) -> str:
    """Write a trace id (2,) as text, "" when there is none."""
    return f"{int(halves[0]):016x}{int(halves[1]):016x}" if halves.any() else ""


def clean_name(name: str) -> str:
    """Take ids out of a span's name.

    >>> clean_name("GET /cart/267/items"), clean_name("load 7f3a9c21de"), clean_name("GET /v2/orders")
    ('GET /cart/*/items', 'load *', 'GET /v2/orders')
    """
    return _ID.sub("*", name[:NAME_CHARACTERS_MAX])


class Operations:
    """Gives numbers to operations, in order of first appearance; bounded."""

    def __init__(self) -> None:
        self.names: list[Operation] = []
        self._numbers: dict[Operation, int] = {}
        self._of_service: dict[str, int] = {}
        self._remembered: dict[tuple[str, str], int] = {}

    def number(self, service: str, name: str) -> int:
        """Give the number of an operation, by the name as sent."""
        known = self._remembered.get((service, name))
        if known is None:
            known = self._add(Operation(service, clean_name(name)))
            if len(self._remembered) < NAMES_REMEMBERED_MAX:
                self._remembered[service, name] = known
        return known

    def numbers_of(self, other: Operations) -> Ints:
        """Give the own number (k,) of each operation that another knows."""
        return np.array([self._add(operation) for operation in other.names], np.int64)

    def find(self, service: str, name: str) -> int:
        """Give the number of an operation, -1 when it is not known; changes nothing."""
        known = self._remembered.get((service, name))
        return self._numbers.get(Operation(service, clean_name(name)), -1) if known is None else known

    def _add(self, wanted: Operation) -> int:
        if wanted in self._numbers:
            return self._numbers[wanted]
        many = self._of_service.get(wanted.service, 0)
        if many == 0 and (len(self._of_service) >= SERVICES_MAX or len(self.names) >= OPERATIONS_MAX):
            wanted = Operation(OTHER, OTHER)
        elif many >= OPERATIONS_PER_SERVICE_MAX or len(self.names) >= OPERATIONS_MAX:
            wanted = Operation(wanted.service, OTHER)
        if wanted in self._numbers:
            return self._numbers[wanted]
        self._of_service[wanted.service] = many + 1
        self._numbers[wanted] = len(self.names)
        self.names.append(wanted)
        return self._numbers[wanted]

    def restore(self, names: list[list[str]]) -> None:
        """Take up the names in order."""
        self.__init__()  # type: ignore[misc]
        for service, name in names:
            operation = Operation(service, name)
            self._numbers[operation] = len(self.names)
            self.names.append(operation)
            self._of_service[service] = self._of_service.get(service, 0) + 1


def read(batch: pa.RecordBatch, operations: Operations, *, learn: bool) -> Spans:
    """Give the spans of a batch; with `learn` new operations get numbers, else -1. Cost: about a microsecond a span."""
    numbers = _operations(batch, operations, learn=learn)
    start, received = _numbers(batch.column("time_unix_ns")), _numbers(batch.column("received_unix_ns"))
    length = np.clip(_numbers(batch.column("duration_ns")), 0, None)
    ahead = (start + length > received + FUTURE_MAX_NS) & (received > 0)
    start = np.where(ahead, received - length, start)
    trace = hex_ids(batch.column("trace_id"), 2)
    mixed = trace[:, 0] ^ (trace[:, 1] * np.uint64(0x9E3779B97F4A7C15))
    key, parent = hex_ids(batch.column("span_id"), 1)[:, 0], hex_ids(batch.column("parent_span_id"), 1)[:, 0]
    return Spans(
        numbers,
        _numbers(batch.column("kind")),
        start,
        start + length,
        key ^ mixed,
        np.where(parent == 0, np.uint64(0), parent ^ mixed),
        trace,
        _numbers(batch.column("status_code")) == STATUS_ERROR,
    )


def _operations(batch: pa.RecordBatch, operations: Operations, *, learn: bool) -> Ints:
    services, names = _encoded(batch.column("service")), _encoded(batch.column("name"))
    width = len(names[0])
    pair = services[1] * width + names[1]
    distinct, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
    numbers = np.empty(len(distinct), np.int64)
    for place in np.argsort(first, kind="stable").tolist():
        service, name = divmod(int(distinct[place]), width)
        ask = operations.number if learn else operations.find
        numbers[place] = ask(services[0][service], names[0][name])
    return numbers[inverse]


def _encoded(column: pa.Array) -> tuple[list[str], Ints]:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    names = [name or "" for name in column.dictionary.to_pylist()] + [""]
    codes = pc.fill_null(column.indices, len(names) - 1).to_numpy(zero_copy_only=False)
    return names, codes.astype(np.int64)


def _numbers(column: pa.Array) -> Ints:
    if column.null_count:
        column = pc.fill_null(column, 0)
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def hex_ids(column: pa.Array, words: int) -> Ids:
    """Read hexadecimal ids (n,) as (n, words) numbers of 64 bits; what is shorter is filled with zeros behind."""
    texts = np.array(column.fill_null("").to_pylist(), dtype=f"S{16 * words}")
    nibbles = _NIBBLES[texts.view(np.uint8).reshape(len(texts), words, 16)]
    shifts = np.arange(60, -1, -4, dtype=np.uint64)
    return np.asarray((nibbles << shifts).sum(axis=2, dtype=np.uint64), np.uint64)
