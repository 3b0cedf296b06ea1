"""Gathers the evidence of a live incident from the store into an IncidentWindow.

Enters: the store, the time of the incident, the topology of its hour, its findings and changes. Leaves: the same form
of evidence that the harness makes of labelled files. Reads only; weighs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watchkeeper.diagnose.gather_events import events
from watchkeeper.diagnose.gather_series import client_series, metric_series, span_series
from watchkeeper.diagnose.window import Change, IncidentWindow
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.schema import Signal
from watchkeeper.signals.topology import NodeKind, Topology
from watchkeeper.store.reads.base import SECOND_NS, Queryable, TimeRange, rows

NODES_MAX = 200
HOPS_MAX = 4


@dataclass(frozen=True)
class GatherLimits:
    """How far back and how finely to look. The baseline is as long as there is telemetry, up to `baseline_s`.

    margin_s: kept between baseline and onset, for a finding opens after its fault began. incident_s_min,
    incident_s_max: how much of the incident is looked at; within these, half as much as there is baseline, for what
    came first tells most of the cause, and a short past is no measure for a long incident.
    """

    baseline_s: float = 600.0
    margin_s: float = 10.0
    step_s: float = 5.0
    incident_s_min: float = 30.0
    incident_s_max: float = 300.0


LIMITS = GatherLimits()


@dataclass(frozen=True)
class Reach:
    """One incident to gather for: when it began and ended (or now), and the nodes that its findings are about."""

    onset_unix_ns: int
    until_unix_ns: int
    nodes: tuple[str, ...]
    symptom: str = ""


def gather(
    store: Queryable,
    reach: Reach,
    *,
    topology: Topology,
    template_text: Callable[[int], str],
    findings: Sequence[Finding] = (),
    changes: Sequence[Change] = (),
    limits: GatherLimits = LIMITS,
) -> IncidentWindow:
    """Read all that is stored about the nodes in reach; raises QueryError when the store cannot answer.

    Cost: a handful of statements over `baseline_s` and the incident, some 50 ms for the logs and spans of 10 minutes.
    """
    nodes = candidates(topology, reach.nodes)
    step_ns = int(limits.step_s * SECOND_NS)
    onset = reach.onset_unix_ns - int(limits.margin_s * SECOND_NS)
    start = onset - int(limits.baseline_s * SECOND_NS)
    start = max(start, _earliest(store, TimeRange(start, onset)))
    until = min(reach.until_unix_ns, onset + _length(onset - start, limits))
    within = TimeRange(start - start % step_ns, max(until, onset + step_ns))
    services = [node.partition(":")[2] for node in nodes if node.startswith(f"{NodeKind.SERVICE.value}:")]
    happened = events(
        store, within, step_ns, services, known=topology.by_id, onset_unix_ns=onset, template_text=template_text
    )
    return IncidentWindow(
        baseline_from_unix_ns=within.from_unix_ns,
        onset_unix_ns=onset,
        until_unix_ns=within.to_unix_ns,
        nodes=nodes,
        topology=topology,
        symptom=reach.symptom,
        series=(
            *span_series(store, within, step_ns, services),
            *client_series(happened.counts, nodes),
            *(one for one in metric_series(store, within, step_ns, services) if one.node in nodes),
        ),
        events=happened.counts,
        gaps=happened.gaps,
        changes=tuple(change for change in changes if within.from_unix_ns <= change.time_unix_ns < within.to_unix_ns),
        findings=tuple(findings),
    )


def _earliest(store: Queryable, within: TimeRange) -> int:
    """Give the time of the first telemetry in the range, its end when there is none."""
    first = [
        rows(
            store,
            f"SELECT min(time_unix_ns) AS first FROM {signal.value} WHERE time_unix_ns >= ? AND time_unix_ns < ?",
            [*within],
            within=within,
        )[0]["first"]
        for signal in Signal
    ]
    return min((time for time in first if time is not None), default=within.to_unix_ns)


def _length(baseline_ns: int, limits: GatherLimits) -> int:
    seconds = min(max(baseline_ns / SECOND_NS / 2, limits.incident_s_min), limits.incident_s_max)
    return int(seconds * SECOND_NS)


def candidates(topology: Topology, noticed: Sequence[str]) -> tuple[str, ...]:
    """Give the nodes that may be the cause: those noticed first, then what is connected to them, nearest first.

    Up to HOPS_MAX steps in either direction and NODES_MAX nodes; deterministic.
    """
    found = dict.fromkeys(noticed)
    frontier = list(found)
    for _ in range(HOPS_MAX):
        near = {
            other
            for node in frontier
            for other in (*topology.dependencies(node), *topology.dependents(node))
            if other not in found
        }
        frontier = sorted(near)
        for node in frontier:
            if len(found) >= NODES_MAX:
                return tuple(found)
            found[node] = None
    return tuple(found)
