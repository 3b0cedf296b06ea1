"""An Incident: findings that belong together, from the first until all is quiet again, and what was done about it.

Plain data, made by the grouping, kept by the incident store, shown by every surface. Decides nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

INCIDENT_SCHEMA_VERSION = 1


class IncidentState(StrEnum):
    """Where it is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    MERGED = "merged"


class IncidentSeverity(StrEnum):
    """How much it matters, by its impact: least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Happening:
    """One entry of an incident's timeline: what happened, when, by whom (`watchkeeper` or a person).

    kind: opened, finding, severity, diagnosed, acknowledged, resolved, reopened, merged, split, note, notified, change.
    count: how often it came; findings of the same kind, entity and subject are one entry. last_unix_ns: when it came
    last, 0 when it came once.
    """

    time_unix_ns: int
    kind: str
    text: str
    by: str = "watchkeeper"
    finding_id: str = ""
    count: int = 1
    last_unix_ns: int = 0


@dataclass(frozen=True)
class Incident:
    """One incident; `id` is stable from opening to the end. Times are event times in Unix nanoseconds.

    nodes: topology ids concerned, first the one that was noticed first; services: those among them, by their names.
    finding_ids: in order of joining. findings_count: how many joined, those beyond the bound of `finding_ids` included.
    merged_into: the incident that took its findings over, "" unless merged. diagnosis: what diagnose/ made of it last,
    as plain data (`ranking`, `classification`, `report_markdown`, ...), {} before the first.
    """

    id: str
    title: str
    state: IncidentState
    severity: IncidentSeverity
    opened_unix_ns: int
    updated_unix_ns: int
    first_unix_ns: int
    last_unix_ns: int
    nodes: tuple[str, ...]
    finding_ids: tuple[str, ...]
    services: tuple[str, ...] = ()
    findings_count: int = 0
    impact: str = ""
    resolved_unix_ns: int = 0
    resolved_by: str = ""
    acknowledged_by: str = ""
    merged_into: str = ""
    reopened: int = 0
    timeline: tuple[Happening, ...] = ()
    diagnosis: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON, with `schema_version`."""
        return {**asdict(self), "schema_version": INCIDENT_SCHEMA_VERSION}

    def summary(self) -> dict[str, Any]:
        """Give what a list shows: everything but timeline, findings and diagnosis, of which the cause alone is kept."""
        data = self.as_dict()
        for name in ("timeline", "finding_ids", "diagnosis"):
            del data[name]
        return {**data, "cause": likeliest_cause(self.diagnosis), "category": category_of(self.diagnosis)}


def likeliest_cause(diagnosis: dict[str, Any]) -> dict[str, Any] | None:
    """Give node, confidence and first indicator of the likeliest cause; None where none was found."""
    ranking = diagnosis.get("ranking") or {}
    causes = ranking.get("causes") or ()
    if ranking.get("abstains") or not causes:
        return None
    first = causes[0]
    indicators = first.get("indicators") or ()
    return {
        "node": first["node"],
        "confidence": first.get("confidence", 0.0),
        "indicator": indicators[0]["name"] if indicators else "",
    }


def category_of(diagnosis: dict[str, Any]) -> str:
    """Give the category of a diagnosis, "" without one."""
    return str((diagnosis.get("classification") or {}).get("category") or "")


def incident_from_dict(data: dict[str, Any]) -> Incident:
    """Read an incident back from `as_dict`'s form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Incident.__dataclass_fields__ if name in data}
    known["state"] = IncidentState(known["state"])
    known["severity"] = IncidentSeverity(known["severity"])
    known["nodes"] = tuple(known["nodes"])
    known["finding_ids"] = tuple(known["finding_ids"])
    known["services"] = tuple(known.get("services", ()))
    known["timeline"] = tuple(Happening(**item) for item in known.get("timeline", ()))
    return Incident(**known)
