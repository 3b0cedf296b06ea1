"""IncidentGrouper: findings in, incidents out; pure logic in event time, the same for live findings and for a replay.

Enters: findings in the order in which they were told, the Topology of their hour, the time, and what people decide.
Leaves: the incidents and members that changed, from `take`. Findings close in time and topology become one incident;
two incidents that a finding connects are merged, unless a person held them apart. Ids are hashes of the first finding's
id. Keeps only what is live or may come back; stores and notifies nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from watchkeeper.diagnose.impact import entry_services_of, impact_of
from watchkeeper.diagnose.incident import Happening, Incident, IncidentSeverity, IncidentState
from watchkeeper.diagnose.member import Member, member_of
from watchkeeper.diagnose.proximity import Proximity
from watchkeeper.diagnose.roll import Roll
from watchkeeper.diagnose.rules import Rules
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.topology import Topology

FINDINGS_MAX = 1_000
"""Findings that one incident lists; beyond it more of the same are only counted."""
TIMELINE_MAX = 500

_LIVE = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
APART = "apart_from"


class Delta(NamedTuple):
    """What changed: incidents and members as they are now, and the loose members that were forgotten."""

    incidents: tuple[Incident, ...]
    members: tuple[Member, ...]


class IncidentGrouper:
    """Groups findings; not safe to use from two threads at once."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.incidents: dict[str, Incident] = {}
        self.members: dict[str, Member] = {}
        self.now_ns = 0
        self._rolls: dict[str, Roll] = {}
        self._waiting: dict[str, None] = {}
        self._topology = Topology()
        self._proximity = Proximity(self._topology, self.rules.hops)
        self._entries: frozenset[str] = frozenset()
        self._changed: dict[str, None] = {}
        self._changed_members: dict[str, None] = {}

    def restore(self, incidents: Iterable[Incident], members: Iterable[Member]) -> None:
        """Take up incidents and members as they were kept; members in the order in which they joined."""
        for incident in incidents:
            self.incidents[incident.id] = incident
            self._rolls.setdefault(incident.id, Roll())
        for member in members:
            self.members[member.finding_id] = member
            if not member.incident_id:
                self._waiting[member.finding_id] = None
            elif member.incident_id in self._rolls:
                self._rolls[member.incident_id].add(member)

    def take(self) -> Delta:
        """Give what changed since the last call."""
        delta = Delta(
            tuple(self.incidents[each] for each in self._changed),
            tuple(self.members[each] for each in self._changed_members if each in self.members),
        )
        self._changed, self._changed_members = {}, {}
        return delta

    def give_back(self, delta: Delta) -> None:
        """Count as changed what `take` gave, for it could not be kept."""
        self._changed |= dict.fromkeys(incident.id for incident in delta.incidents)
        self._changed_members |= dict.fromkeys(member.finding_id for member in delta.members)

    def of(self, incident_id: str) -> list[Member]:
        """Give the members of an incident in the order in which they joined."""
        roll = self._rolls.get(incident_id)
        return [self.members[each] for each in roll.finding_ids] if roll else []

    def see(self, topology: Topology) -> None:
        """Judge what comes next by this topology. Cost: its edges, once."""
        if topology is not self._topology:
            self._topology = topology
            self._proximity = Proximity(topology, self.rules.hops)
            self._entries = entry_services_of(topology)

    def near(self, incident_id: str, nodes: Iterable[str]) -> bool:
        """Tell whether any of the nodes is close to the incident."""
        return self._proximity.near(nodes, self.incidents[incident_id].nodes)

    def observe(self, finding: Finding, *, ceiling_ns: int | None = None) -> None:
        """Take in a finding that opened, changed or closed. Cost: the members of the incidents that are live.

        ceiling_ns: time does not move beyond it, however far ahead a sender's clock runs.
        """
        newest = max(finding.last_unix_ns, finding.detected_unix_ns)
        self.now_ns = max(self.now_ns, newest if ceiling_ns is None else min(newest, ceiling_ns))
        known = self.members.get(finding.id)
        member = member_of(finding, known.incident_id if known else "")
        if member == known:
            return
        self._keep(member)
        if known is None or not known.incident_id:
            self._place(member)
            return
        incident = self.incidents.get(known.incident_id)
        if incident is None:
            return
        back = member.open and not known.open and member.last_unix_ns > incident.resolved_unix_ns
        if incident.state is IncidentState.RESOLVED and back:
            self.reopen(incident.id, member.last_unix_ns, why=f"“{member.title}” is back")
        self.refresh(incident.id)

    def advance(self, now_ns: int) -> None:
        """Resolve what has been quiet for long enough, and forget what cannot come back."""
        self.now_ns = max(self.now_ns, now_ns)
        for incident in list(self.incidents.values()):
            if incident.state in _LIVE and self._is_over(incident):
                self._resolve(incident)
            elif incident.state not in _LIVE and self.now_ns - self._ended(incident) > self.rules.reopen_ns:
                self._forget(incident.id)
        horizon = self.now_ns - self.rules.gap_ns
        for finding_id in list(self._waiting):
            member = self.members[finding_id]
            if not member.open and member.last_unix_ns < horizon:
                del self.members[finding_id], self._waiting[finding_id]

    def reopen(self, incident_id: str, at_ns: int, *, why: str, by: str = "watchkeeper") -> None:
        """Take a resolved incident up again, visibly."""
        incident = self.incidents[incident_id]
        self.put(
            replace(
                incident, state=IncidentState.OPEN, resolved_unix_ns=0, resolved_by="", reopened=incident.reopened + 1
            ),
            Happening(at_ns, "reopened", why, by),
        )

    def merge(self, into: str, others: Sequence[str], at_ns: int, *, why: str, by: str = "watchkeeper") -> None:
        """Let one incident take over the findings of others; both timelines tell it."""
        for source in (self.incidents[each] for each in others):
            target = self.incidents[into]
            told = [entry for entry in source.timeline if entry.kind in {"finding", "note", "change"}]
            timeline = tuple(sorted((*target.timeline, *told), key=lambda entry: entry.time_unix_ns))
            members = self.of(source.id)
            for member in members:
                self._join(replace(member, incident_id=into))
            self._rolls[source.id] = Roll()
            count = f"{len(members)} finding{'' if len(members) == 1 else 's'}"
            self.put(
                replace(target, timeline=timeline),
                Happening(at_ns, "merged", f"took over {source.id} “{source.title}” with {count}: {why}", by),
            )
            self.put(
                replace(source, state=IncidentState.MERGED, merged_into=into, resolved_unix_ns=at_ns),
                Happening(at_ns, "merged", f"merged into {into} “{target.title}”: {why}", by),
            )
        self.refresh(into)

    def split(self, incident_id: str, finding_ids: Sequence[str], at_ns: int, *, why: str, by: str) -> str:
        """Take findings out into a new incident and give its id; the two are not merged again by themselves."""
        incident = self.incidents[incident_id]
        new_id = incident_id_of(min(finding_ids), incident_id)
        asked, members = set(finding_ids), self.of(incident_id)
        moved = [member for member in members if member.finding_id in asked]
        self._rolls[incident_id] = Roll(member for member in members if member.finding_id not in asked)
        lines = {member.line for member in moved}
        theirs = [entry for entry in incident.timeline if self._line(entry) in lines]
        self.put(
            replace(
                self._new(new_id, moved[0], at_ns),
                timeline=tuple(theirs),
                attributes={APART: [*incident.attributes.get(APART, ()), incident_id]},
            ),
            Happening(at_ns, "split", f"split off {incident_id} “{incident.title}”: {why}", by),
        )
        for member in moved:
            self._join(replace(member, incident_id=new_id))
        apart = {**incident.attributes, APART: [*incident.attributes.get(APART, ()), new_id]}
        rest = tuple(entry for entry in incident.timeline if entry not in theirs)
        count = f"{len(moved)} finding{'' if len(moved) == 1 else 's'}"
        self.put(
            replace(incident, timeline=rest, attributes=apart),
            Happening(at_ns, "split", f"{count} went to {new_id}: {why}", by),
        )
        self.refresh(new_id)
        self.refresh(incident_id)
        return new_id

    def put(self, incident: Incident, happening: Happening | None = None) -> None:
        """Set an incident, with one more entry in its timeline; the oldest findings go when it is full."""
        timeline = (*incident.timeline, happening) if happening else incident.timeline
        while len(timeline) > TIMELINE_MAX:
            oldest = next((i for i, entry in enumerate(timeline) if entry.kind == "finding"), 1)
            timeline = timeline[:oldest] + timeline[oldest + 1 :]
        at = max(incident.updated_unix_ns, happening.time_unix_ns if happening else 0)
        self.incidents[incident.id] = replace(incident, timeline=timeline, updated_unix_ns=at)
        self._rolls.setdefault(incident.id, Roll())
        self._changed[incident.id] = None

    def refresh(self, incident_id: str) -> None:
        """Judge an incident anew by its members."""
        roll = self._rolls[incident_id]
        if not roll.lines:
            return
        if roll.judged != self._entries:
            self._judge(incident_id, list(roll.lines.values()))
            roll.judged = self._entries
        incident = self.incidents[incident_id]
        now = replace(
            incident,
            last_unix_ns=roll.last_unix_ns,
            finding_ids=tuple(islice(roll.finding_ids, FINDINGS_MAX)),
            findings_count=len(roll.finding_ids),
            updated_unix_ns=max(incident.updated_unix_ns, roll.last_unix_ns),
        )
        if now != incident:
            self.put(now)

    def _judge(self, incident_id: str, lines: Sequence[Member]) -> None:
        """Set severity, title, impact and what is concerned."""
        incident = self.incidents[incident_id]
        impact = impact_of(lines, self._entries)
        if incident.state in _LIVE and impact.severity is not incident.severity:
            text = f"from {incident.severity.value} to {impact.severity.value}"
            self.put(incident, Happening(self.now_ns, "severity", text))
            incident = self.incidents[incident_id]
        judged = replace(
            incident,
            title=impact.title,
            severity=impact.severity,
            impact=impact.text,
            services=impact.services,
            nodes=tuple(dict.fromkeys(node for line in lines for node in line.nodes)),
            first_unix_ns=min(line.first_unix_ns for line in lines),
        )
        if judged != incident:
            self.put(judged)

    def _place(self, member: Member) -> None:
        """Find the incident of a finding that has none, or open one."""
        near = [
            incident
            for incident in self.incidents.values()
            if incident.state in _LIVE and any(self._close(member, line) for line in self._lines(incident.id))
        ]
        near.sort(key=lambda incident: self._preference(member, incident))
        if near:
            home = near[0]
            others = [other.id for other in near[1:] if not _held_apart(home, other)]
            if others and member.alone_worth_an_incident:
                first = min((home, *(self.incidents[each] for each in others)), key=_age)
                rest = [each.id for each in (home, *(self.incidents[o] for o in others)) if each.id != first.id]
                self.merge(first.id, rest, member.first_unix_ns, why=f"“{member.title}” connects them")
                home = self.incidents[first.id]
        else:
            found = self._returning(member)
            if found is None and not member.alone_worth_an_incident:
                return
            if found is not None:
                self.reopen(found.id, member.first_unix_ns, why=f"“{member.title}” is back")
            home = found or self._open(member)
        self._join(replace(member, incident_id=home.id))
        self._gather(home.id)
        self.refresh(home.id)

    def _gather(self, incident_id: str) -> None:
        """Let findings that waited for company join, as long as one of them is close to what has joined."""
        waiting = [self.members[each] for each in self._waiting]
        joined = self._lines(incident_id)
        while joined:
            newly = [one for one in waiting if any(self._close(one, other) for other in joined)]
            for member in newly:
                self._join(replace(member, incident_id=incident_id))
                waiting.remove(member)
            joined = newly

    def _open(self, member: Member) -> Incident:
        incident_id = incident_id_of(member.finding_id)
        self.put(
            self._new(incident_id, member, member.first_unix_ns),
            Happening(member.first_unix_ns, "opened", member.title, finding_id=member.finding_id),
        )
        self.refresh(incident_id)
        return self.incidents[incident_id]

    def _new(self, incident_id: str, member: Member, at_ns: int) -> Incident:
        impact = impact_of([member], self._entries)
        return Incident(
            id=incident_id,
            title=impact.title,
            state=IncidentState.OPEN,
            severity=impact.severity,
            opened_unix_ns=at_ns,
            updated_unix_ns=at_ns,
            first_unix_ns=member.first_unix_ns,
            last_unix_ns=member.last_unix_ns,
            nodes=member.nodes,
            finding_ids=(),
            impact=impact.text,
        )

    def _join(self, member: Member) -> None:
        """Add a member to its incident; one line of the timeline for all of the same line."""
        incident, roll = self.incidents[member.incident_id], self._rolls[member.incident_id]
        entry = next((i for i, each in enumerate(incident.timeline) if self._line(each) == member.line), None)
        timeline = incident.timeline
        if entry is None:
            new = Happening(member.first_unix_ns, "finding", member.title, finding_id=member.finding_id)
            self._keep(member)
            self.put(incident, new)
        elif member.finding_id not in roll.finding_ids and timeline[entry].finding_id != member.finding_id:
            at = max(timeline[entry].last_unix_ns, timeline[entry].time_unix_ns, member.first_unix_ns)
            again = replace(timeline[entry], count=timeline[entry].count + 1, last_unix_ns=at)
            self.put(replace(incident, timeline=(*timeline[:entry], again, *timeline[entry + 1 :])))
        self._keep(member)

    def _lines(self, incident_id: str) -> list[Member]:
        return list(self._rolls[incident_id].lines.values())

    def _line(self, entry: Happening) -> str | None:
        if entry.kind != "finding":
            return None
        member = self.members.get(entry.finding_id)
        return member.line if member else None

    def _close(self, one: Member, other: Member) -> bool:
        """Tell whether two findings belong together: in time, and in topology or by coincidence."""
        apart = max(one.first_unix_ns - other.last_unix_ns, other.first_unix_ns - one.last_unix_ns)
        began = abs(one.first_unix_ns - other.first_unix_ns)
        if self.rules.coincidence_ns and began <= self.rules.coincidence_ns:
            return True
        return apart <= self.rules.gap_ns and self._proximity.near(one.nodes, other.nodes)

    def _preference(self, member: Member, incident: Incident) -> tuple[bool, bool, int, str]:
        """Sort the incidents a finding may join: the same line, then the same service, then the oldest."""
        lines = self._rolls[incident.id].lines
        service = any(other.service == member.service for other in lines.values())
        return (member.line not in lines, not service, *_age(incident))

    def _returning(self, member: Member) -> Incident | None:
        """Find the incident, resolved a short while ago, that a finding brings back."""
        found = [
            incident
            for incident in self.incidents.values()
            if incident.state is IncidentState.RESOLVED
            and member.first_unix_ns - self._ended(incident) <= self.rules.reopen_ns
            and any(_same(member, line) for line in self._lines(incident.id))
        ]
        return max(found, key=_age, default=None)

    def _is_over(self, incident: Incident) -> bool:
        roll = self._rolls[incident.id]
        quiet_ns = self.now_ns - (roll.last_unix_ns or incident.updated_unix_ns)
        return quiet_ns >= self.rules.resolve_ns and not roll.goes_on(self.now_ns - self.rules.stale_ns)

    def _resolve(self, incident: Incident) -> None:
        quiet = f"all findings closed and nothing new for {self.rules.resolve_ns / 1e9:g} s"
        self.put(
            replace(incident, state=IncidentState.RESOLVED, resolved_unix_ns=self.now_ns, resolved_by="watchkeeper"),
            Happening(self.now_ns, "resolved", quiet),
        )

    def _ended(self, incident: Incident) -> int:
        return max(incident.last_unix_ns, incident.resolved_unix_ns)

    def _keep(self, member: Member) -> None:
        self.members[member.finding_id] = member
        self._changed_members[member.finding_id] = None
        if member.incident_id:
            self._waiting.pop(member.finding_id, None)
            if member.incident_id in self._rolls:
                self._rolls[member.incident_id].add(member)
        else:
            self._waiting[member.finding_id] = None

    def _forget(self, incident_id: str) -> None:
        if incident_id in self._changed:
            return
        for finding_id in self._rolls.pop(incident_id).finding_ids:
            if finding_id not in self._changed_members:
                self.members.pop(finding_id, None)
        del self.incidents[incident_id]


def incident_id_of(finding_id: str, split_from: str = "") -> str:
    """Give the id of the incident that a finding opens: 16 hexadecimal digits."""
    text = "\x1f".join(("incident", finding_id, split_from))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def is_live(incident: Incident) -> bool:
    """Tell whether it is neither resolved nor merged."""
    return incident.state in _LIVE


def worse(one: IncidentSeverity, other: IncidentSeverity) -> bool:
    """Tell whether one matters more than the other."""
    order = list(IncidentSeverity)
    return order.index(one) > order.index(other)


def _age(incident: Incident) -> tuple[int, str]:
    return (incident.opened_unix_ns, incident.id)


def _held_apart(one: Incident, other: Incident) -> bool:
    return other.id in one.attributes.get(APART, ()) or one.id in other.attributes.get(APART, ())


def _same(member: Member, other: Member) -> bool:
    return member.line == other.line or (member.kind == other.kind and member.service == other.service)
