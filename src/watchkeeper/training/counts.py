"""Log counts of each workload over the last hour, counted as batches pass, so that asking costs nothing of the store.

Enters: batches of logs on their way through the pipeline, and once, at the start, one statement over what was stored
before. Leaves: WorkloadCounts of one moment. A ring of small spans of event time slides with the clock; memory is
spans x workloads x 4 bytes. Chosen over an SQL aggregation every 30 s, whose cost grows with the lines of the hour.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watchkeeper.errors import QueryError, StoreError
from watchkeeper.signals.schema import Signal
from watchkeeper.store.reads.base import Queryable
from watchkeeper.training.workloads import Workload, workload_of

SPANS = 120
RING = 2 * SPANS
"""As many spans again lie ahead, for senders whose clock is fast."""
WORKLOADS_MAX = 20_000
RESOURCES_KEPT_MAX = 60_000
WORKLOADS_FIRST = 64
SEED_ROWS_MAX = 4_000_000
UNKNOWN = -1

State = Literal["counting", "no data", "error", "healthy"]
Counts = npt.NDArray[np.int64]

_SEED = """SELECT resource_attributes AS resource, time_unix_ns // ? AS span, count(*) AS lines
    FROM logs WHERE time_unix_ns >= ? AND batch < ? GROUP BY 1, 2"""
_LAST = "SELECT coalesce(max(batch), 0) AS last FROM logs WHERE time_unix_ns >= ?"


class WorkloadCount(NamedTuple):
    """The lines of one workload within the window."""

    workload: Workload
    log_count: int


@dataclass(frozen=True)
class WorkloadCounts:
    """All workloads of one moment, the busiest first; the window is from_unix_ns <= event time < until_unix_ns.

    The window ends with the span of time (a 120th of it) that now is in, and is counted to the line.

    state: "counting" while what was stored before the start is not counted yet, "error" (why in `problem`) when it
    cannot be, "no data" when nothing was sent in the window, else "healthy". left_out: lines of the window whose
    workload is beyond the bound and not in the list.
    """

    state: State
    problem: str
    from_unix_ns: int
    until_unix_ns: int
    items: tuple[WorkloadCount, ...]
    left_out: int = 0

    def of_cluster(self, cluster_id: str) -> tuple[WorkloadCount, ...]:
        """Give the workloads of one cluster."""
        return tuple(each for each in self.items if each.workload.cluster_id == cluster_id)

    def by_workload(self) -> dict[Workload, int]:
        """Give the counts by workload."""
        return dict(self.items)


class WorkloadCounter:
    """Observes the pipeline's batches; safe to use from any thread.

    Cost: a look-up for each distinct resource of a batch and one pass over two columns. window_s: of event time,
    counted back from now; rows from before or from after now are not in it.
    """

    def __init__(
        self,
        *,
        window_s: float = 3600.0,
        workloads_max: int = WORKLOADS_MAX,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._span_ns = max(1, int(window_s * 1e9) // SPANS)
        self._workloads_max = workloads_max
        self._now_unix_ns = now_unix_ns
        self._lock = threading.Lock()
        self._ids: dict[Workload, int] = {}
        self._by_resource: dict[str, int] = {}
        # One column a workload, the last one for those beyond the bound; one row a span of time, by its number.
        self._counts = np.zeros((RING, WORKLOADS_FIRST + 1), np.int32)
        self._span_of_row = np.full(RING, np.iinfo(np.int64).min, np.int64)
        self._forgot_at_span = 0
        self._first_batch: int | None = None
        self._counted_before = 0
        self._state: State = "counting"
        self._problem = ""

    def observe(self, signal: Signal, batch: pa.RecordBatch) -> None:
        """Count one batch; what is not logs is passed over."""
        if signal is not Signal.LOGS or not batch.num_rows:
            return
        batches = batch.column("batch").to_numpy()
        with self._lock:
            if self._first_batch is None:
                self._first_batch = int(batches.min())
            fresh = batches > self._counted_before
            resources = batch.column("resource_attributes")
            if not isinstance(resources, pa.DictionaryArray):
                resources = pc.dictionary_encode(resources)
            spans = batch.column("time_unix_ns").to_numpy() // self._span_ns
            ids = self._ids_of(resources)
            if not fresh.all():
                ids, spans = ids[fresh], spans[fresh]
            self._add(ids, spans, np.ones(len(ids), np.int64))

    def seed(self, store: Queryable) -> None:
        """Count, once, what was stored before the first batch that was observed; a failure is told by `counts`.

        Cost: one statement over two columns of the window, with the store's own time-out.
        """
        try:
            self._seed(store)
        except (QueryError, StoreError) as error:
            with self._lock:
                self._state = "error"
                self._problem = f"what was stored before the start cannot be counted: {error}"
        else:
            with self._lock:
                self._state, self._problem = "healthy", ""

    def counts(self) -> WorkloadCounts:
        """Give the counts of this moment."""
        now = self._now_unix_ns()
        with self._lock:
            last = now // self._span_ns
            first = last - SPANS + 1
            within = (self._span_of_row >= first) & (self._span_of_row <= last)
            totals = self._counts[within].sum(axis=0, dtype=np.int64).tolist()
            items = [
                WorkloadCount(workload, totals[number]) for workload, number in self._ids.items() if totals[number]
            ]
            state, problem, left_out = self._state, self._problem, totals[-1]
        items.sort(key=lambda each: (-each.log_count, each.workload))
        if state == "healthy" and not items and not left_out:
            state = "no data"
        return WorkloadCounts(state, problem, first * self._span_ns, (last + 1) * self._span_ns, tuple(items), left_out)

    def _seed(self, store: Queryable) -> None:
        """Count the rows of batches before the first one observed; where none was yet, those that are stored now."""
        from_unix_ns = (self._now_unix_ns() // self._span_ns - SPANS + 1) * self._span_ns
        within = (from_unix_ns, 2**63 - 1)
        last = store.sql(_LAST, [from_unix_ns], time_range_unix_ns=within).column("last")[0].as_py()
        with self._lock:
            if self._first_batch is None:
                # Batches up to here are counted by the statement, and passed over when the pipeline brings them.
                self._counted_before = last
                end = last + 1
            else:
                end = self._first_batch
        found = store.sql(_SEED, [self._span_ns, from_unix_ns, end], rows_max=SEED_ROWS_MAX, time_range_unix_ns=within)
        if (found.schema.metadata or {}).get(b"watchkeeper.truncated") == b"true":
            raise QueryError(f"there are more than {SEED_ROWS_MAX:,} counts of resources by time")
        resources = pc.dictionary_encode(found.column("resource").combine_chunks().cast(pa.string()))
        with self._lock:
            ids = self._ids_of(resources)
            spans = found.column("span").to_numpy().astype(np.int64)
            self._add(ids, spans, found.column("lines").to_numpy().astype(np.int64))

    def _add(self, ids: Counts, spans: Counts, lines: Counts) -> None:
        """Add lines by workload and span; called under the lock. Spans out of the ring's reach are left out."""
        last = self._now_unix_ns() // self._span_ns
        within = (spans > last - SPANS) & (spans <= last + SPANS)
        if not within.all():
            ids, spans, lines = ids[within], spans[within], lines[within]
        if not len(spans):
            return
        first = int(spans.min())
        for span in (first + np.flatnonzero(np.bincount(spans - first))).tolist():
            row = span % RING
            if self._span_of_row[row] != span:
                self._counts[row] = 0
                self._span_of_row[row] = span
        width = self._counts.shape[1]
        # The last column is of those beyond the bound, whose number is UNKNOWN, -1.
        np.add.at(self._counts.reshape(-1), spans % RING * width + ids % width, lines.astype(np.int32))

    def _ids_of(self, resources: pa.DictionaryArray) -> Counts:
        """Give the column of each row's workload, UNKNOWN beyond the bound; called under the lock."""
        if len(self._ids) >= self._workloads_max:
            self._forget_silent()
        texts = resources.dictionary.to_pylist()
        codes = pc.fill_null(resources.indices, len(texts)).to_numpy().astype(np.int64)
        unsaid = [""] if resources.null_count else []
        ids: Counts = np.array([self._id_of(each or "") for each in [*texts, *unsaid]], np.int64)[codes]
        if (missing := len(self._ids) + 1 - self._counts.shape[1]) > 0:
            # Room for as many again, so that it is seldom made anew.
            more = min(max(missing, self._counts.shape[1]), max(missing, self._workloads_max))
            added = np.zeros((RING, more), np.int32)
            self._counts = np.concatenate([self._counts[:, :-1], added, self._counts[:, -1:]], axis=1)
        return ids

    def _id_of(self, resource: str) -> int:
        known = self._by_resource.get(resource)
        if known is not None:
            return known
        workload = workload_of(_attributes(resource))
        number = self._ids.get(workload, UNKNOWN)
        if number == UNKNOWN:
            if len(self._ids) >= self._workloads_max:
                return UNKNOWN
            number = self._ids[workload] = len(self._ids)
        if len(self._by_resource) >= RESOURCES_KEPT_MAX:
            self._by_resource.clear()
        self._by_resource[resource] = number
        return number

    def _forget_silent(self) -> None:
        """Let go of workloads that sent nothing in the window, at the most once a span of time."""
        last = self._now_unix_ns() // self._span_ns
        if last == self._forgot_at_span:
            return
        self._forgot_at_span = last
        heard: npt.NDArray[np.bool_] = np.any(self._counts[self._span_of_row > last - SPANS], axis=0)
        kept = [(workload, number) for workload, number in self._ids.items() if heard[number]]
        self._counts = np.ascontiguousarray(self._counts[:, [*(number for _, number in kept), -1]])
        self._ids = {workload: number for number, (workload, _) in enumerate(kept)}
        self._by_resource.clear()


def _attributes(resource: str) -> Mapping[str, Any]:
    try:
        read = json.loads(resource) if resource else {}
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
