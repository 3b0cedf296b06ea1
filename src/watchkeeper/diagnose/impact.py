"""What an incident does to users: its severity, its title and one sentence, from its findings and the topology.

Enters: the Members of one incident. Leaves: an Impact. The rules are few, so that each can be read in the sentence:
a finding of grade critical makes it critical, and so do warnings where users are likely to notice: a quarter of the
requests of an entry point fail, or three services and an entry point are concerned. Predictions never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.diagnose.incident import IncidentSeverity
from watchkeeper.diagnose.member import SEVERITY_RANK, Member
from watchkeeper.signals.finding import FindingSeverity
from watchkeeper.signals.topology import EdgeKind, NodeKind, Topology

ERROR_SHARE_CRITICAL = 0.25
SERVICES_CRITICAL = 3
NAMES_SHOWN_MAX = 4

_GRADES = {
    FindingSeverity.INFO: IncidentSeverity.INFO,
    FindingSeverity.WARNING: IncidentSeverity.WARNING,
    FindingSeverity.CRITICAL: IncidentSeverity.CRITICAL,
}


class Impact(NamedTuple):
    """How much an incident matters and how that is told; services in the order in which they were noticed."""

    severity: IncidentSeverity
    title: str
    text: str
    services: tuple[str, ...]


def impact_of(members: Sequence[Member], entry_services: frozenset[str]) -> Impact:
    """Judge the members (at least one) of an incident, in the order in which they joined."""
    lead = max(members, key=lambda member: (_grade(member), -member.first_unix_ns))
    services = tuple(dict.fromkeys(member.service for member in members if member.service))
    entries = [service for service in services if service in entry_services]
    shares: dict[str, float | None] = dict.fromkeys(services)
    for member in members:
        if member.service and member.error_share is not None:
            shares[member.service] = max(member.error_share, shares[member.service] or 0.0)
    worst = max(_grade(member) for member in members)
    severity = _GRADES[list(FindingSeverity)[worst]]
    failing = [service for service in entries if (shares[service] or 0.0) >= ERROR_SHARE_CRITICAL]
    warnings = {member.service for member in members if _grade(member) >= 1 and not member.predicts}
    broad = len(warnings) >= SERVICES_CRITICAL and any(service in warnings for service in entries)
    if severity is IncidentSeverity.WARNING and (failing or broad):
        severity = IncidentSeverity.CRITICAL
    return Impact(severity, _title(lead, services), _sentence(members, services, entries, shares), services)


def entry_services_of(topology: Topology) -> frozenset[str]:
    """Give where users come in: services the topology says so of, else those that call others and nobody calls."""
    calls = [edge for edge in topology.edges if edge.kind is EdgeKind.CALLS]
    inner = {edge.target for edge in calls}
    outer = {edge.source for edge in calls} - inner
    return frozenset(
        node.name
        for node in topology.nodes
        if node.kind is NodeKind.SERVICE and bool(node.attributes.get("user_facing", node.id in outer))
    )


def _grade(member: Member) -> int:
    """Rank a finding's severity; what is only to come is at most a warning."""
    rank = SEVERITY_RANK[member.severity]
    return min(rank, SEVERITY_RANK[FindingSeverity.WARNING]) if member.predicts else rank


def _title(lead: Member, services: Sequence[str]) -> str:
    where = lead.service or (lead.nodes[0].partition(":")[2] if lead.nodes else "")
    title = lead.title if not where or where in lead.title else f"{where}: {lead.title}"
    others = len([service for service in services if service != lead.service])
    if others:
        title += f", and {others} more service{'s' if others > 1 else ''} with findings"
    return title


def _sentence(
    members: Sequence[Member], services: Sequence[str], entries: Sequence[str], shares: dict[str, float | None]
) -> str:
    parts = []
    if services:
        parts.append(f"{_count(len(services), 'service')} concerned: {_names(services)}")
    else:
        nodes = list(dict.fromkeys(member.nodes[0].partition(":")[2] for member in members if member.nodes))
        parts.append(f"concerns {_names(nodes)}" if nodes else "what it concerns was not said")
    if entries:
        parts.append(f"users come in at {_names(entries)}")
    told = [(service, share) for service, share in shares.items() if share is not None]
    if told:
        service, share = max(told, key=lambda pair: pair[1])
        parts.append(f"up to {share:.0%} of what {service} did failed")
    if all(member.predicts for member in members):
        parts.append("nothing has failed yet, this is a prediction")
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    more = len(names) - NAMES_SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
