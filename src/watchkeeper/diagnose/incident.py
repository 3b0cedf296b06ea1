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
    """

    time_unix_ns: int
    kind: str
    text: str
    by: str = "watchkeeper"
    finding_id: str = ""


@dataclass(frozen=True)
class Incident:
    """One incident; `id` is stable from opening to the end. Times are event times in Unix nanoseconds.

    nodes: topology ids concerned, first the one that was noticed first. finding_ids: in order of joining.
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


def incident_from_dict(data: dict[str, Any]) -> Incident:
    """Read an incident back from `as_dict`'s form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Incident.__dataclass_fields__ if name in data}
    known["state"] = IncidentState(known["state"])
    known["severity"] = IncidentSeverity(known["severity"])
    known["nodes"] = tuple(known["nodes"])
    known["finding_ids"] = tuple(known["finding_ids"])
    known["timeline"] = tuple(Happening(**item) for item in known.get("timeline", ()))
    return Incident(**known)
