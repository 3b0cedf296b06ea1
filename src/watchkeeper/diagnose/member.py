"""A Member: what the grouping keeps of a finding, and the nodes of the topology that a finding speaks of.

Enters: a Finding. Leaves: a Member, small enough that thousands of them stay in memory and in SQLite. Groups nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import unquote

from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.signals.node_report import NODE_SERVICE
from watchkeeper.signals.topology import NodeKind

NODE_KINDS = {
    "service": NodeKind.SERVICE,
    "gpu": NodeKind.GPU,
    "pod": NodeKind.POD,
    "workload": NodeKind.WORKLOAD,
    "node": NodeKind.HOST,
}
SEVERITY_RANK = {severity: rank for rank, severity in enumerate(FindingSeverity)}
_SHARE_UNITS = frozenset({"1", "share", "ratio"})


@dataclass(frozen=True)
class Member:
    """One finding of an incident, or one that waits for company: `incident_id` is "" then.

    line: the same for findings of the same kind, entity and subject. error_share: 0..1, the failed part of what the
    entity did, None when not measured. predicts: it speaks of what is to come.
    """

    finding_id: str
    incident_id: str
    kind: str
    signal: str
    service: str
    nodes: tuple[str, ...]
    line: str
    title: str
    severity: FindingSeverity
    state: FindingState
    first_unix_ns: int
    last_unix_ns: int
    error_share: float | None = None
    predicts: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        return asdict(self)

    @property
    def open(self) -> bool:
        """Tell whether it still goes on."""
        return self.state is FindingState.OPEN

    @property
    def alone_worth_an_incident(self) -> bool:
        """Tell whether it opens an incident where there is none; findings of grade info only keep others company."""
        return self.severity is not FindingSeverity.INFO


def member_of(finding: Finding, incident_id: str = "") -> Member:
    """Make the Member of a finding."""
    return Member(
        finding_id=finding.id,
        incident_id=incident_id,
        kind=finding.kind,
        signal=finding.signal,
        service=finding.service,
        nodes=nodes_of(finding),
        line="\x1f".join((finding.kind, finding.entity, finding.subject)),
        title=finding.title,
        severity=finding.severity,
        state=finding.state,
        first_unix_ns=finding.first_unix_ns,
        last_unix_ns=finding.last_unix_ns,
        error_share=_error_share(finding),
        predicts="prediction" in finding.kind.split(".") or bool(finding.attributes.get("prediction")),
    )


def member_from_dict(data: dict[str, Any]) -> Member:
    """Read a Member back from `as_dict`'s form; fields that this version does not know are left out."""
    known = {name: data[name] for name in Member.__dataclass_fields__ if name in data}
    known["nodes"] = tuple(known["nodes"])
    known["severity"] = FindingSeverity(known["severity"])
    known["state"] = FindingState(known["state"])
    return Member(**known)


def nodes_of(finding: Finding) -> tuple[str, ...]:
    """Give the topology ids that a finding speaks of: its `nodes` attribute, its service, the parts of its entity.

    The first is what it is about most closely. Where a node tells of itself, the service by which all nodes do so is
    left out: it would tie the troubles of one node to those of every other.
    """
    found: dict[str, None] = {}
    said = finding.attributes.get("nodes")
    for node in said if isinstance(said, list | tuple) else ():
        if isinstance(node, str) and ":" in node:
            found[node] = None
    for part in finding.entity.split("|"):
        name, _, value = part.partition("=")
        if value and name in NODE_KINDS:
            found[f"{NODE_KINDS[name].value}:{unquote(value)}"] = None
    if finding.service:
        found[f"{NodeKind.SERVICE.value}:{finding.service}"] = None
    if finding.service == NODE_SERVICE and len(found) > 1:
        del found[f"{NodeKind.SERVICE.value}:{NODE_SERVICE}"]
    return tuple(found)


def _error_share(finding: Finding) -> float | None:
    said = finding.attributes.get("error_share")
    if isinstance(said, int | float) and not isinstance(said, bool):
        return min(1.0, max(0.0, float(said)))
    band = finding.seen
    if "error" in finding.kind and band.unit in _SHARE_UNITS:
        value = band.high if band.high is not None else band.low
        return None if value is None else min(1.0, max(0.0, value))
    return None
