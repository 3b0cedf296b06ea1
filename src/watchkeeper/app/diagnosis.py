"""Diagnoses incidents while they go on: gathers the evidence, ranks causes, names the category, writes the report.

Enters: incidents as they open and change. Leaves: their diagnosis, kept with them. Works in a thread of its own, a few
times an incident, so that neither receiving nor detection ever waits for it. Decides nothing: diagnose/ does.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from watchkeeper.diagnose.gather import Reach, gather
from watchkeeper.diagnose.incident import Incident, IncidentState
from watchkeeper.diagnose.window import Change, IncidentWindow
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.topology import Topology
from watchkeeper.store.reads.base import Queryable

LOOKS_AFTER_S = (1.0, 6.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds after an incident was first seen at which it is looked at anew: evidence grows, and so may the verdict."""

AGAIN_AFTER_S = 5.0
SETTLE_NS = 3_000_000_000
SHORTEST_NS = 5_000_000_000

log = logging.getLogger(__name__)


class Incidents(Protocol):
    """What is needed of the incidents."""

    def get(self, incident_id: str) -> Incident:
        """Give one; raises NotFound."""

    def set_diagnosis(self, incident_id: str, diagnosis: dict[str, Any]) -> Incident:
        """Keep what was made of it."""


@dataclass(frozen=True)
class Sources:
    """Where evidence comes from."""

    store: Queryable
    topology: Callable[[int, int], Topology]
    findings: Callable[[Sequence[str]], list[Finding]]
    changes: Callable[[int, int], list[Change]]
    template_text: Callable[[int], str]
    event_time_unix_ns: Callable[[], int]


class Diagnose(Protocol):
    """Makes a diagnosis, as plain data, of an incident's evidence."""

    def __call__(
        self, incident: Incident | None, findings: Sequence[Finding], window: IncidentWindow
    ) -> dict[str, Any]:
        """Give `ranking`, `classification`, `report_markdown` and what else there is to show."""


class Diagnoses:
    """Keeps the diagnosis of each open incident up to date; `explain` makes one at once."""

    def __init__(
        self,
        incidents: Incidents,
        sources: Sources,
        diagnose: Diagnose,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._incidents = incidents
        self._sources = sources
        self._diagnose = diagnose
        self._clock = clock
        self._due: list[tuple[float, str]] = []
        self._findings_known: dict[str, int] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="diagnosis", daemon=True)
        self.failures = 0
        self.last_failure = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is due is left, and is made again at the next start when the incident changes."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def notice(self, incidents: Sequence[Incident]) -> None:
        """Look at these incidents soon, and again as their evidence grows; never blocks."""
        with self._changed:
            for incident in incidents:
                self._schedule(incident)
            self._changed.notify_all()

    def _schedule(self, incident: Incident) -> None:
        now, findings = self._clock(), len(incident.finding_ids)
        known = self._findings_known.get(incident.id)
        if incident.state in {IncidentState.MERGED, IncidentState.RESOLVED}:
            self._findings_known.pop(incident.id, None)
            return
        self._findings_known[incident.id] = findings
        if known is None:
            for after_s in LOOKS_AFTER_S:
                heapq.heappush(self._due, (now + after_s, incident.id))
        elif findings > known and not self._is_due(incident.id, now + AGAIN_AFTER_S):
            heapq.heappush(self._due, (now + AGAIN_AFTER_S, incident.id))

    def _is_due(self, identifier: str, before_s: float) -> bool:
        return any(other == identifier and at <= before_s for at, other in self._due)

    def explain(self, identifier: str) -> dict[str, Any]:
        """Diagnose one incident now and keep the result. Raises NotFound, and QueryError when the store cannot say."""
        incident = self._incidents.get(identifier)
        findings = self._sources.findings(incident.finding_ids)
        diagnosis = self._diagnose(incident, findings, self._window(incident, findings))
        self._incidents.set_diagnosis(identifier, diagnosis)
        return diagnosis

    def explain_range(self, from_unix_ns: int, to_unix_ns: int, nodes: Sequence[str]) -> dict[str, Any]:
        """Diagnose a span of time that a person chose, as if it were an incident of these nodes; keeps nothing."""
        topology = self._sources.topology(from_unix_ns, to_unix_ns)
        noticed = tuple(nodes) or tuple(node.id for node in topology.nodes)
        window = self._gathered(Reach(from_unix_ns, to_unix_ns, noticed), topology, ())
        return self._diagnose(None, (), window)

    def _window(self, incident: Incident, findings: Sequence[Finding]) -> IncidentWindow:
        until = incident.last_unix_ns
        if incident.state is not IncidentState.RESOLVED:
            # The newest telemetry is still incomplete: senders batch, and traces come in parts.
            settled = self._sources.event_time_unix_ns() - SETTLE_NS
            until = max(incident.first_unix_ns + SHORTEST_NS, settled)
        topology = self._sources.topology(incident.first_unix_ns, until)
        return self._gathered(Reach(incident.first_unix_ns, until, incident.nodes), topology, findings)

    def _gathered(self, reach: Reach, topology: Topology, findings: Sequence[Finding]) -> IncidentWindow:
        changes = self._sources.changes(reach.onset_unix_ns - 3_600_000_000_000, reach.until_unix_ns)
        return gather(
            self._sources.store,
            reach,
            topology=topology,
            template_text=self._sources.template_text,
            findings=findings,
            changes=changes,
        )

    def _run(self) -> None:
        while True:
            identifier = self._next()
            if identifier is None:
                return
            try:
                self.explain(identifier)
            except Exception as error:  # noqa: BLE001 - the boundary: one incident must not end all diagnosis
                self._failed(identifier, error)

    def _next(self) -> str | None:
        """Wait for the next incident that is due; None at the end."""
        with self._changed:
            while not self._stopping:
                now = self._clock()
                if self._due and self._due[0][0] <= now:
                    _, identifier = heapq.heappop(self._due)
                    if identifier in self._findings_known:
                        self._due = [(at, other) for at, other in self._due if other != identifier or at > now]
                        heapq.heapify(self._due)
                        return identifier
                    continue
                self._changed.wait(self._due[0][0] - now if self._due else None)
            return None

    def _failed(self, identifier: str, error: Exception) -> None:
        self.failures += 1
        self.last_failure = f"incident {identifier}: {type(error).__name__}: {error}"
        log.exception("incident %s could not be diagnosed; its findings stand", identifier)
