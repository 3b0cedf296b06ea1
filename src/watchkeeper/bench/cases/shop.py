"""Recorded faults of the example shop, and the calm between them, as cases: logs, metrics, traces, changes, findings.

Enters: a recording (cases/recording.py). Leaves: one Case a fault and one a span of calm, gathered from the store by
what gathers a live incident, as of a span of time that a person asks about: the candidates are all nodes of the
topology, the findings are those that Watchkeeper opened in the span. The baseline is the product's, without the time in
which another fault was on or faded, for in a recording faults come closer together than in life.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.cases.base import NS_PER_S, Case
from watchkeeper.bench.cases.recording import HOME, Labels, Span, read_labels
from watchkeeper.bench.own.home import at_rest, opened_copy, template_texts
from watchkeeper.diagnose.gather import LIMITS, Reach, gather
from watchkeeper.diagnose.trace_events import gaps
from watchkeeper.diagnose.window import Change, EventCounts, IncidentWindow, Series
from watchkeeper.signals.finding import Finding, finding_from_dict
from watchkeeper.store.store import Store
from watchkeeper.topology.topologies import Topologies

CHANGES_BEFORE_NS = 3_600 * NS_PER_S
CALM = "calm"
Flags = npt.NDArray[np.bool_]


def cases(folder: Path) -> list[Case]:
    """Give the faults and the calm after the first of them, in order of time; of the first calm, its latter half.

    Cost: about a second a case. Raises BenchError when the recording cannot be read.
    """
    labels = read_labels(folder)
    quiet = [*(_latter(each) for each in labels.first_calm), *labels.later_calm]
    with at_rest(folder / HOME) as home, opened_copy(home) as store:
        reader = _Reader(store, labels)
        found = [
            Case(
                one.id,
                f"round {one.round}",
                reader.window(one.span),
                truth_nodes=one.nodes,
                kind=one.category,
                attributes={"service": one.service, "fault": one.name, "parameters": dict(one.parameters)},
            )
            for one in labels.faults
        ]
        found += [Case(f"{CALM} {at}", CALM, reader.window(span)) for at, span in enumerate(quiet)]
    return sorted(found, key=lambda case: case.window.onset_unix_ns)


def _latter(span: Span) -> Span:
    return Span((span.begin_unix_ns + span.end_unix_ns) // 2, span.end_unix_ns)


class _Reader:
    """Gathers windows from one store."""

    def __init__(self, store: Store, labels: Labels) -> None:
        self._store, self._labels = store, labels
        self._topologies, self._texts = Topologies(store.metadata), template_texts(store)
        settle_ns = round(labels.settle_s * NS_PER_S)
        self._disturbed = [Span(one.begin_unix_ns, one.end_unix_ns + settle_ns) for one in labels.faults]

    def window(self, span: Span) -> IncidentWindow:
        """Gather what is stored of a span and the calm before it."""
        # gather() begins an incident earlier than told, for findings come late; the labels do not.
        onset = span.begin_unix_ns + round(LIMITS.margin_s * NS_PER_S)
        topology = self._topologies.at(onset, span.end_unix_ns)
        window = gather(
            self._store,
            Reach(onset, span.end_unix_ns, tuple(node.id for node in topology.nodes)),
            topology=topology,
            template_text=self._texts,
            findings=self._findings(span),
            changes=self._changes(Span(onset - CHANGES_BEFORE_NS, span.end_unix_ns)),
        )
        return without(window, [each for each in self._disturbed if each.begin_unix_ns < span.begin_unix_ns])

    def _findings(self, span: Span) -> list[Finding]:
        return [finding_from_dict(each) for each in self._documents("findings", "first_unix_ns", span)]

    def _changes(self, span: Span) -> list[Change]:
        return [Change(**each) for each in self._documents("changes", "time_unix_ns", span)]

    def _documents(self, table: str, column: str, span: Span) -> Iterator[dict[str, Any]]:
        query = f"SELECT document FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY {column}, id"
        for row in self._store.metadata.read(query, [*span]):
            yield json.loads(row["document"])


def without(window: IncidentWindow, disturbed: Sequence[Span]) -> IncidentWindow:
    """Give a window whose baseline leaves out some spans: a step that meets one of them is dropped.

    Waits of callers for callees are taken anew from what remains. Changes and findings stay.
    """
    if not disturbed:
        return window
    events = tuple(_calm_events(one, window, disturbed) for one in window.events)
    waits = next((one for one in events if one.kind == "wait"), None)
    return replace(
        window,
        series=tuple(_calm_series(one, window, disturbed) for one in window.series),
        events=events,
        gaps=() if waits is None else gaps(waits, window.onset_unix_ns),
    )


def _kept(starts: npt.NDArray[np.int64], window: IncidentWindow, disturbed: Sequence[Span]) -> Flags:
    """Tell of steps that begin then, as wide as the product's, whether they are calm or of the incident."""
    width = round(LIMITS.step_s * NS_PER_S)
    met = [(starts < each.end_unix_ns) & (starts + width > each.begin_unix_ns) for each in disturbed]
    return np.asarray((starts >= window.onset_unix_ns) | ~np.logical_or.reduce(met))


def _calm_series(one: Series, window: IncidentWindow, disturbed: Sequence[Span]) -> Series:
    kept = _kept(one.times_unix_ns, window, disturbed)
    return replace(one, times_unix_ns=one.times_unix_ns[kept], values=one.values[kept])


def _calm_events(one: EventCounts, window: IncidentWindow, disturbed: Sequence[Span]) -> EventCounts:
    kept = _kept(one.starts_unix_ns, window, disturbed)
    return replace(
        one,
        counts=one.counts[:, kept],
        errors=one.errors[:, kept],
        starts_unix_ns=one.starts_unix_ns[kept],
        duration_s=None if one.duration_s is None else one.duration_s[:, kept],
    )
