"""Who called whom: parents and children among the spans of some windows, and who kept whom waiting.

Enters: Spans whose window has closed, and those of the windows before it, for spans of one trace end at different
times. Leaves: each pair of parent and child once, and for each span its own share of its time and the child that took
longest or failed. A span whose parent never comes is a call from outside. Keeps nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Spans

INTERNAL_DEPTH = 3

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Pairs(NamedTuple):
    """Rows of parents and their children, (m,) each."""

    parent: Ints
    child: Ints

    def where(self, chosen: npt.NDArray[np.bool_]) -> Pairs:
        """Give some of the pairs."""
        return Pairs(self.parent[chosen], self.child[chosen])


class Waits(NamedTuple):
    """For each span (n,): what it did while no call of it ran, and whom it waited for.

    part_s: seconds of own work; for a client whose server is there, what its call took beyond the server's work; NaN
    for other clients. longest, failed: operation of the child that took longest or failed, -1 for none.
    """

    part_s: Floats
    longest: Ints
    failed: Ints

    def take(self, rows: Ints) -> Waits:
        """Give those of some of the spans."""
        return Waits(self.part_s[rows], self.longest[rows], self.failed[rows])


def pairs_of(spans: Spans) -> Pairs:
    """Find every child whose parent is there too. Cost: a sort of the spans."""
    order = np.argsort(spans.key, kind="stable")
    child = np.flatnonzero(spans.parent != 0)
    if not len(child):
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64))
    place = np.minimum(np.searchsorted(spans.key, spans.parent[child], sorter=order), len(order) - 1)
    parent = order[place]
    found = (spans.key[parent] == spans.parent[child]) & (parent != child)
    return Pairs(parent[found], child[found])


def remote(spans: Spans, pairs: Pairs) -> Pairs:
    """Give the pairs that are one call seen from both of its ends."""
    asks = np.isin(spans.kind[pairs.parent], (CLIENT, PRODUCER))
    return pairs.where(asks & np.isin(spans.kind[pairs.child], (SERVER, CONSUMER)))


def waits_of(spans: Spans, pairs: Pairs) -> Waits:
    """Tell what each span waited for. Internal children count as own work, but for the calls that they make."""
    part = own_time_s(spans, pairs.where(spans.kind[pairs.child] != INTERNAL))
    longest = _child(spans, pairs)
    failed = _child(spans, pairs.where(spans.failed[pairs.child]))
    internal = pairs.where(spans.kind[pairs.child] == INTERNAL)
    direct = part.copy()
    for _ in range(INTERNAL_DEPTH if len(internal.parent) else 0):
        waited = np.bincount(internal.parent, (spans.duration_s - part)[internal.child], len(part))
        part = np.maximum(direct - waited, 0.0)
        for child in (longest, failed):
            inner = child[internal.child]
            child[internal.parent] = np.where(inner >= 0, inner, child[internal.parent])
    client = np.isin(spans.kind, (CLIENT, PRODUCER))
    part[client] = np.nan
    both = remote(spans, pairs)
    call = both.where((spans.kind[both.parent] == CLIENT) & (spans.kind[both.child] == SERVER))
    duration = spans.duration_s
    part[call.parent] = np.maximum(duration[call.parent] - duration[call.child], 1e-6)
    return Waits(part, longest, failed)


def own_time_s(spans: Spans, pairs: Pairs) -> Floats:
    """Give for each span (n,) the seconds in which none of its children ran; children that overlap count once."""
    duration = spans.duration_s
    if not len(pairs.parent):
        return duration.copy()
    start = (spans.start_ns[pairs.child] - spans.start_ns[pairs.parent]) / 1e9
    end = np.clip(start + duration[pairs.child], 0.0, duration[pairs.parent])
    start = np.clip(start, 0.0, duration[pairs.parent])
    order = np.lexsort((start, pairs.parent))
    parent, start, end = pairs.parent[order], start[order], end[order]
    group = np.cumsum(np.diff(parent, prepend=parent[0]) != 0)
    # A step between groups that is longer than any span keeps the running maximum from leaking into the next one.
    shift = group * (float(duration.max()) + 1.0)
    reached = np.maximum.accumulate(end + shift)
    before = np.concatenate(([0.0], reached[:-1]))
    covered = np.clip(end + shift - np.maximum(start + shift, before), 0.0, None)
    return np.maximum(duration - np.bincount(parent, covered, len(duration)), 0.0)


def _child(spans: Spans, pairs: Pairs) -> Ints:
    """Give the operation of the child that took longest, -1 for none."""
    found = np.full(len(spans.key), -1, np.int64)
    order = np.lexsort((spans.key[pairs.child], spans.duration_s[pairs.child]))
    found[pairs.parent[order]] = spans.operation[pairs.child[order]]
    return found
