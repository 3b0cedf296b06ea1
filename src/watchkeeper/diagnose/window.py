"""The evidence of one incident in one form: what every ranker, classifier and report writer is given.

Made from the store for a live incident and from labelled files by the harness, so both are judged by the same code.
Plain data; reads nothing. An empty part means "not measured", never "healthy".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.signals.finding import Finding
from watchkeeper.signals.topology import Topology

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class Aspect(StrEnum):
    """What a metric tells about: decides how rankers weigh it, never its scale."""

    LATENCY = "latency"
    ERRORS = "errors"
    TRAFFIC = "traffic"
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    QUEUE = "queue"
    OTHER = "other"


@dataclass(frozen=True)
class Series:
    """One metric of one node: `times_unix_ns` (T,) ascending, `values` (T,) float64 with NaN where nothing was said.

    node: the topology id, e.g. `service:cart` or `pod:cart-7f`. unit: as sent, UCUM.
    """

    node: str
    name: str
    aspect: Aspect
    times_unix_ns: Times
    values: Values
    unit: str = ""


@dataclass(frozen=True)
class EventCounts:
    """How often each kind of event came: rows are (node, subject), columns are windows of equal width.

    kind: `log` (subject: a template's text) or `span` (subject: an operation). counts (N, W): how many. errors (N, W):
    those of them that failed (logs: severity error and worse). starts_unix_ns (W,). duration_s (N, W): the median
    duration in the window, NaN where there was none, None for logs. callers (N,): the calling node of spans, "" if
    unknown, () when no caller is known at all.
    """

    kind: str
    nodes: tuple[str, ...]
    subjects: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    errors: npt.NDArray[np.int64]
    starts_unix_ns: Times
    width_s: float
    duration_s: Values | None = None
    callers: tuple[str, ...] = ()


@dataclass(frozen=True)
class EdgeGap:
    """What a caller waited for beyond what its callee worked: medians in seconds, before and during."""

    caller: str
    callee: str
    before_s: float
    during_s: float
    calls_before: int
    calls_during: int


@dataclass(frozen=True)
class Change:
    """Something that people or machines changed: a deploy, configuration, scaling, a feature flag.

    kind: `deploy`, `config`, `scale`, `flag` or `other`.
    """

    id: str
    kind: str
    node: str
    title: str
    time_unix_ns: int
    source: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class IncidentWindow:
    """All that is known about one incident: `[baseline_from, onset)` was before, `[onset, until)` is the incident.

    symptom: the node whose users suffer, "" when unknown. nodes: the candidates for the cause.
    """

    baseline_from_unix_ns: int
    onset_unix_ns: int
    until_unix_ns: int
    nodes: tuple[str, ...]
    topology: Topology = field(default_factory=Topology)
    symptom: str = ""
    series: tuple[Series, ...] = ()
    events: tuple[EventCounts, ...] = ()
    gaps: tuple[EdgeGap, ...] = ()
    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()
