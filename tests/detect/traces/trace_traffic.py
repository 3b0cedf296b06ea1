"""Made-up traces of a small shop: a front that calls a cart with a store, and a checkout that calls a payment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from watchkeeper.signals.schema import SPANS

SECOND_NS = 1_000_000_000
START_NS = 1_763_700_000 * SECOND_NS
INTERNAL, SERVER, CLIENT = 1, 2, 3


class Span(NamedTuple):
    """One span; times in seconds after START_NS."""

    service: str
    name: str
    kind: int
    start_s: float
    seconds: float
    trace: int
    span: int
    parent: int = 0
    failed: bool = False
    attributes: str = "{}"


def batch(spans: Iterable[Span]) -> pa.RecordBatch:
    """Give a batch of the spans schema."""
    rows = list(spans)
    starts = [START_NS + int(one.start_s * SECOND_NS) for one in rows]
    lengths = [int(one.seconds * SECOND_NS) for one in rows]
    told: dict[str, Any] = {
        "time_unix_ns": pa.array(starts, pa.int64()),
        "duration_ns": pa.array(lengths, pa.int64()),
        "end_time_unix_ns": pa.array([a + b for a, b in zip(starts, lengths, strict=True)], pa.int64()),
        "received_unix_ns": pa.array([a + b for a, b in zip(starts, lengths, strict=True)], pa.int64()),
        "service": pa.array([one.service for one in rows], pa.string()),
        "name": pa.array([one.name for one in rows], pa.string()),
        "kind": pa.array([one.kind for one in rows], pa.int32()),
        "trace_id": pa.array([f"{one.trace:032x}" for one in rows], pa.string()),
        "span_id": pa.array([f"{one.span:016x}" for one in rows], pa.string()),
        "parent_span_id": pa.array([f"{one.parent:016x}" if one.parent else "" for one in rows], pa.string()),
        "status_code": pa.array([2 if one.failed else 0 for one in rows], pa.int32()),
        "attributes": pa.array([one.attributes for one in rows], pa.string()),
        "resource_attributes": pa.array([f'{{"service.name":"{one.service}"}}' for one in rows], pa.string()),
    }
    columns = [told[one.name].cast(one.type) if one.name in told else pa.nulls(len(rows), one.type) for one in SPANS]
    return pa.RecordBatch.from_arrays(columns, schema=SPANS)


@dataclass(frozen=True)
class Fault:
    """What is wrong for a while: payment fails or is slow, the wire to it is slow, or the cart skips its store."""

    failing: float = 0.0
    slow_s: float = 0.0
    gap_s: float = 0.0
    no_store: bool = False
    new_call: bool = False
    rate: float = 1.0


@dataclass
class Shop:
    """Steady traffic with noise; every second some traces begin."""

    seed: int = 1
    rate: float = 6.0
    random: np.random.Generator = field(init=False)
    ids: int = 1

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def seconds(self, start: int, end: int, fault: Fault | None = None) -> list[Span]:
        """Give the spans of the traces that begin in these seconds, children before their parents."""
        spans: list[Span] = []
        fault = fault or Fault()
        for second in range(start, end):
            for _ in range(self.random.poisson(self.rate * fault.rate)):
                spans += self._trace(second + self.random.random(), fault)
        return spans

    def _took(self, seconds: float) -> float:
        return float(seconds * np.exp(self.random.normal(0, 0.3)))

    def _id(self) -> int:
        self.ids += 1
        return self.ids

    def _trace(self, at: float, fault: Fault) -> list[Span]:
        trace, root, client, server = self._id(), self._id(), self._id(), self._id()
        if self.random.random() < 0.5:
            store = self._took(0.002)
            work = store + self._took(0.004)
            found = [Span("cart", "GET /items", SERVER, at + 0.002, work, trace, server, client)]
            if not fault.no_store:
                found.append(Span("cart", "HGETALL", CLIENT, at + 0.003, store, trace, self._id(), server))
            if fault.new_call:
                found.append(Span("cart", "GET quota", CLIENT, at + 0.003, store, trace, self._id(), server))
            call = Span("front", "GET cart", CLIENT, at + 0.001, work + self._took(0.002), trace, client, root)
            page = Span("front", "GET /", SERVER, at, call.seconds + self._took(0.003), trace, root)
            return [*found[::-1], call, page]
        failed = bool(self.random.random() < max(0.005, fault.failing))
        work = self._took(0.02) + fault.slow_s
        charge = Span("payment", "POST /charges", SERVER, at + 0.002, work, trace, server, client, failed)
        length = work + self._took(0.002) + fault.gap_s
        call = Span("front", "POST payment", CLIENT, at + 0.001, length, trace, client, root, failed)
        page = Span("front", "POST /pay/17", SERVER, at, length + self._took(0.003), trace, root, 0, failed)
        return [charge, call, page]
