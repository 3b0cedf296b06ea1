"""Incidents as a service: findings, time and people in; kept incidents, live events and news for the notifier out.

Wraps the grouping (diagnose/grouping.py) in a lock and in SQLite: what a finding changed, the incident and the news of
it, is committed together, so that a kill loses nothing and doubles nothing. Times of the grouping are event times;
while nothing comes they move on with the wall clock. Does not detect, does not deliver.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from watchkeeper.app.changes import Changes
from watchkeeper.app.incident_store import IncidentStore, Kept
from watchkeeper.app.news import News, Outlet, news_between
from watchkeeper.app.preview import counted, grouped, outcome, rules_with
from watchkeeper.diagnose.grouping import IncidentGrouper, is_live
from watchkeeper.diagnose.incident import Happening, Incident, IncidentState
from watchkeeper.diagnose.rules import rules_of
from watchkeeper.diagnose.silence import SILENCED_BY
from watchkeeper.diagnose.taken_up import JUDGED, said_of
from watchkeeper.diagnose.window import Change
from watchkeeper.errors import Conflict, NotFound, QueryError
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding
from watchkeeper.signals.topology import Topology
from watchkeeper.store.metadata import Metadata

NEWS_AGE_NS_MAX = 3_600 * 10**9
CHANGES_NEAR_MAX = 20


class Incidents:
    """The running incidents; safe to use from any thread.

    explainer: makes a diagnosis of an incident, set by whoever can; without one `explain` raises Conflict.
    """

    def __init__(
        self,
        metadata: Metadata,
        store: IncidentStore,
        changes: Changes,
        *,
        settings: Settings,
        outlet: Outlet | None = None,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._metadata = metadata
        self._changes = changes
        self._settings = settings
        self._change_ns = int(settings.number("incident_change_s") * 1e9)
        self._outlet = outlet
        self._now_unix_ns = now_unix_ns
        self._lock = threading.RLock()
        self._topology = Topology()
        self.store = store
        self.rules = rules_of(settings)
        self.explainer: Callable[[str], dict[str, Any]] | None = None
        self._grouper = IncidentGrouper(self.rules)
        self._clock = store.clock()
        self._kept: dict[str, Incident] = {}
        self._take_up()
        changes.on_new(self.observe_changes)

    def catch_up(self, topology: Topology | None = None) -> int:
        """Group the kept findings that were not seen before a stop or a kill; gives how many. Old ones are no news."""
        waiting = self.store.unseen_findings()
        self.observe(waiting, topology)
        return len(waiting)

    def observe(self, findings: Iterable[Finding], topology: Topology | None = None) -> None:
        """Take in findings that opened, changed or closed, each already kept, and the topology of their hour."""
        with self._lock:
            self._topology = topology or self._topology
            self._grouper.see(self._topology)
            findings = list(findings)
            homes = self.store.homes([each.id for each in findings if each.id not in self._grouper.members])
            for finding in findings:
                known = finding.id in self._grouper.members
                if SILENCED_BY in finding.attributes and not known:
                    continue
                if not known and homes.get(finding.id):
                    self._load(homes[finding.id])
                self._grouper.observe(finding, ceiling_ns=self._now_unix_ns())
            if findings:
                newest = max(max(each.last_unix_ns, each.detected_unix_ns) for each in findings)
                self._move_clock(newest)
            for incident in self._grouper.incidents.values():
                if incident.id not in self._kept:
                    self._note_changes(incident)
            self._commit()

    def observe_changes(self, changes: Iterable[Change]) -> None:
        """Put changes into the timelines of the incidents that they are near to."""
        with self._lock:
            for change in changes:
                for incident in list(self._grouper.incidents.values()):
                    if is_live(incident) and self._fits(change, incident):
                        self._add_change(incident.id, change)
            self._commit()

    def tick(self, now_unix_ns: int | None = None) -> None:
        """Let time pass: resolve what has been quiet for long enough."""
        with self._lock:
            if not self._clock.event_unix_ns:
                return
            self._grouper.advance(self._event_now(now_unix_ns if now_unix_ns is not None else self._now_unix_ns()))
            self._commit()

    def get(self, incident_id: str) -> Incident:
        """Give one incident; raises NotFound."""
        found = self.store.get(incident_id)
        if found is None:
            raise NotFound(f"there is no incident {incident_id[:100]!r}; `watchkeeper incidents` lists them")
        return found

    def acknowledge(self, incident_id: str, *, by: str, text: str = "") -> Incident:
        """Tell that somebody is at it."""
        with self._lock:
            incident = self._begin(incident_id)
            if incident.state is not IncidentState.OPEN:
                raise Conflict(f"incident {incident_id} is {incident.state.value}; only an open one is acknowledged")
            changed = replace(incident, state=IncidentState.ACKNOWLEDGED, acknowledged_by=by)
            self._grouper.put(changed, self._act("acknowledged", text or "somebody is at it", by))
            return self._end(incident_id)

    def resolve(self, incident_id: str, *, by: str, text: str = "") -> Incident:
        """Tell that it is over."""
        with self._lock:
            incident = self._begin(incident_id)
            if not is_live(incident):
                raise Conflict(f"incident {incident_id} is {incident.state.value} already")
            act = self._act("resolved", text or "resolved by a person", by)
            changed = replace(incident, state=IncidentState.RESOLVED, resolved_unix_ns=act.time_unix_ns, resolved_by=by)
            self._grouper.put(changed, act)
            return self._end(incident_id)

    def reopen(self, incident_id: str, *, by: str, text: str = "") -> Incident:
        """Tell that it is not over."""
        with self._lock:
            incident = self._begin(incident_id)
            if incident.state is not IncidentState.RESOLVED:
                raise Conflict(f"incident {incident_id} is {incident.state.value}; only a resolved one is reopened")
            at = self._now_unix_ns()
            self._grouper.reopen(incident_id, at, why=text or "reopened by a person", by=by)
            return self._end(incident_id)

    def note(self, incident_id: str, text: str, *, by: str) -> Incident:
        """Add a remark to the timeline."""
        with self._lock:
            incident = self._begin(incident_id)
            self._grouper.put(incident, self._act("note", text, by))
            return self._end(incident_id)

    def merge(self, into: str, others: Sequence[str], *, by: str, text: str = "") -> Incident:
        """Let one incident take over the findings of others; raises Conflict for one that is merged already."""
        with self._lock:
            target = self._begin(into)
            others = list(dict.fromkeys(others))
            if into in others or not others:
                raise QueryError("an incident is merged with others, not with itself; give their ids")
            sources = [self._begin(each) for each in others]
            for incident in (target, *sources):
                if incident.state is IncidentState.MERGED:
                    raise Conflict(f"incident {incident.id} was merged into {incident.merged_into}; name that one")
            at = self._now_unix_ns()
            if target.state is IncidentState.RESOLVED and any(is_live(each) for each in sources):
                self._grouper.reopen(into, at, why="an incident that goes on was merged into it", by=by)
            self._grouper.merge(into, others, at, why=text or "merged by a person", by=by)
            return self._end(into)

    def split(
        self, incident_id: str, finding_ids: Sequence[str], *, by: str, text: str = ""
    ) -> tuple[Incident, Incident]:
        """Take findings out into a new incident; gives the old and the new one."""
        with self._lock:
            incident = self._begin(incident_id)
            if incident.state is IncidentState.MERGED:
                raise Conflict(f"incident {incident_id} was merged into {incident.merged_into}; split that one")
            theirs = {member.finding_id for member in self._grouper.of(incident_id)}
            asked = set(finding_ids)
            strange = sorted(asked - theirs)
            if strange:
                raise QueryError(f"finding {strange[0][:100]!r} is not part of incident {incident_id}")
            if not asked or asked == theirs:
                raise QueryError("a split leaves at least one finding on either side; name some of the findings")
            new_id = self._grouper.split(
                incident_id, sorted(asked), self._now_unix_ns(), why=text or "split by a person", by=by
            )
            return self._end(incident_id), self._grouper.incidents[new_id]

    def notified(self, incident_id: str, text: str) -> None:
        """Add to the timeline that somebody was told."""
        with self._lock:
            if self.store.get(incident_id) is None:
                return
            incident = self._begin(incident_id)
            self._grouper.put(incident, Happening(self._now_unix_ns(), "notified", text))
            self._commit()

    def set_diagnosis(self, incident_id: str, diagnosis: dict[str, Any]) -> Incident:
        """Keep what diagnosis made of an incident last; a new likeliest cause is told in the timeline."""
        with self._lock:
            incident = self._begin(incident_id)
            changed = replace(incident, diagnosis=diagnosis)
            cause, was = changed.summary()["cause"], incident.summary()["cause"]
            if cause and (not was or cause["node"] != was["node"]):
                text = f"likeliest cause: {cause['node']} ({cause['confidence']:.0%} sure)"
                self._grouper.put(changed, Happening(self._now_unix_ns(), "diagnosed", text))
            else:
                self._grouper.put(changed)
            return self._end(incident_id)

    def set_judged(self, incident_id: str, told: Mapping[str, Any] | None) -> None:
        """Keep with an incident what people together say of it, None for nothing; one that is gone is passed over."""
        with self._lock:
            kept = self.store.get(incident_id)
            if kept is None or said_of(kept) == dict(told or {}):
                return
            incident = self._begin(incident_id)
            attributes = {name: value for name, value in incident.attributes.items() if name != JUDGED}
            self._grouper.put(replace(incident, attributes={**attributes, **({JUDGED: dict(told)} if told else {})}))
            self._end(incident_id)

    def explain(self, incident_id: str) -> dict[str, Any]:
        """Diagnose an incident and give the diagnosis; raises NotFound, and Conflict where nothing can diagnose."""
        self.get(incident_id)
        if self.explainer is None:
            raise Conflict("this installation has nothing that explains incidents")
        return self.explainer(incident_id)

    def preview(self, changed: Mapping[str, Any], from_unix_ns: int, to_unix_ns: int) -> dict[str, Any]:
        """Tell how many incidents there would have been with other settings, beside those in force.

        Takes the kept findings told in the range, at most FINDINGS_PREVIEWED_MAX. Raises SettingError.
        """
        wanted = rules_with(self._settings, changed)
        findings, truncated = self.store.findings_told(from_unix_ns, to_unix_ns)
        findings = counted(findings)
        topology, close_ns = self._topology, int(self._settings.number("finding_close_s") * 1e9)
        present = outcome(grouped(findings, topology, self.rules, close_ns=close_ns))
        same = wanted == self.rules
        return {
            "from_unix_ns": from_unix_ns,
            "to_unix_ns": to_unix_ns,
            "findings": len(findings),
            "truncated": truncated,
            "settings": dict(changed),
            **(present if same else outcome(grouped(findings, topology, wanted, close_ns=close_ns))),
            "present": present,
        }

    def regrouped(self, findings: Sequence[Finding]) -> list[Incident]:
        """Group kept findings anew by the rules in force; what a silence covers is left out. Keeps nothing."""
        close_ns = int(self._settings.number("finding_close_s") * 1e9)
        return grouped(counted(findings), self._topology, self.rules, close_ns=close_ns)

    def counts(self) -> dict[str, int]:
        """Give how many are open, acknowledged, critical, and opened in the last day."""
        return self.store.counts(self._now_unix_ns())

    def _act(self, kind: str, text: str, by: str) -> Happening:
        return Happening(self._now_unix_ns(), kind, text, by)

    def _begin(self, incident_id: str) -> Incident:
        if incident_id not in self._grouper.incidents:
            self._load(self.get(incident_id).id)
        return self._grouper.incidents[incident_id]

    def _end(self, incident_id: str) -> Incident:
        changed = self._grouper.incidents[incident_id]
        self._commit()
        return changed

    def _load(self, incident_id: str) -> None:
        """Bring an incident that is no longer live back into the grouping."""
        incident = self.store.get(incident_id)
        if incident is not None and incident_id not in self._grouper.incidents:
            self._grouper.restore([incident], self.store.members([incident_id]))
            self._kept[incident_id] = incident

    def _take_up(self) -> None:
        horizon = self._clock.event_unix_ns - self.rules.reopen_ns
        recent = self.store.recent(horizon)
        members = self.store.members([each.id for each in recent]) if recent else []
        waiting = self.store.waiting(self._clock.event_unix_ns - self.rules.gap_ns)
        self._grouper.restore(recent, [*members, *waiting])
        self._grouper.now_ns = self._clock.event_unix_ns
        self._kept = {incident.id: incident for incident in recent}

    def _event_now(self, wall_unix_ns: int) -> int:
        return self._clock.event_unix_ns + max(0, wall_unix_ns - self._clock.wall_unix_ns)

    def _move_clock(self, event_unix_ns: int) -> None:
        # A sender whose clock runs ahead must not make time jump for everyone.
        event_unix_ns = min(event_unix_ns, self._now_unix_ns())
        if not self._clock.event_unix_ns or event_unix_ns > self._event_now(self._now_unix_ns()):
            self._clock = Kept(event_unix_ns, self._now_unix_ns())

    def _fits(self, change: Change, incident: Incident) -> bool:
        soon = incident.first_unix_ns - self._change_ns <= change.time_unix_ns
        return soon and (not change.node or self._grouper.near(incident.id, [change.node]))

    def _note_changes(self, incident: Incident) -> None:
        changes, _ = self._changes.list(
            from_unix_ns=incident.first_unix_ns - self._change_ns, to_unix_ns=incident.last_unix_ns + 1, limit=1000
        )
        near = [change for change in changes if self._fits(change, incident)]
        for change in reversed(near[:CHANGES_NEAR_MAX]):
            self._add_change(incident.id, change)

    def _add_change(self, incident_id: str, change: Change) -> None:
        incident = self._grouper.incidents[incident_id]
        known = list(incident.attributes.get("changes", ()))
        if change.id in known or len(known) >= CHANGES_NEAR_MAX:
            return
        attributes = {**incident.attributes, "changes": [*known, change.id]}
        happening = Happening(change.time_unix_ns, "change", change.title, change.source or "watchkeeper")
        self._grouper.put(replace(incident, attributes=attributes), happening)

    def _commit(self) -> None:
        """Keep what changed, with the news of it, in one transaction; then tell subscribers."""
        delta = self._grouper.take()
        if not delta.incidents and not delta.members:
            return
        # What is long past by the wall clock was kept before this program ran, or is a replay of old data.
        oldest = self._event_now(self._now_unix_ns()) - NEWS_AGE_NS_MAX
        fresh = [each for each in delta.incidents if _latest(each) > oldest]
        news: list[News] = [one for each in fresh for one in news_between(self._kept.get(each.id), each)]
        try:
            with self._metadata.transaction() as connection:
                self.store.write(connection, delta.incidents, delta.members, self._clock)
                if self._outlet is not None:
                    self._outlet.enqueue(connection, news)
        except BaseException:
            # What could not be kept is kept with the next change, and is news then.
            self._grouper.give_back(delta)
            raise
        self._kept = {each: known for each, known in self._kept.items() if each in self._grouper.incidents}
        self._kept |= {each.id: each for each in delta.incidents}
        self.store.tell(delta.incidents)
        if self._outlet is not None and news:
            self._outlet.wake()


def _latest(incident: Incident) -> int:
    return max(incident.last_unix_ns, incident.resolved_unix_ns, incident.updated_unix_ns)
