"""Operator feedback at work: findings weighed before they are kept, previews, rounds, what confirmed anomalies protect.

Enters: what people say, and findings on their way to the store. Leaves: weighed findings, previews, rounds as versions
of the model `feedback`, and what detectors must not learn as normal. Rules act from the moment a round is promoted;
`right` protects at once, for that hides nothing. Decides nothing itself: feedback/ does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from watchkeeper.app.findings import FindingStore
from watchkeeper.app.incidents import Incidents
from watchkeeper.app.preview import compared
from watchkeeper.detect.protection import Confirmed
from watchkeeper.diagnose.base import Category, Classification, Ranking
from watchkeeper.diagnose.category.features import Features
from watchkeeper.diagnose.category.learned import LearnedClassifier
from watchkeeper.diagnose.incident import Incident, IncidentState
from watchkeeper.diagnose.similar import Past
from watchkeeper.diagnose.taken_up import is_taken_up
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.errors import Conflict
from watchkeeper.feedback.entries import OF_A_TEMPLATE, described
from watchkeeper.feedback.ledger import About, Feedback, Judged, Labelled, judged, labelled
from watchkeeper.feedback.policy import Key, Policy, is_lowered, learn, restored
from watchkeeper.feedback.questions import Question, questions
from watchkeeper.feedback.rounds import Evaluation, evaluate
from watchkeeper.models.versions import AuditEntry, Card, ModelVersions, Version
from watchkeeper.signals.finding import Finding, FindingSeverity
from watchkeeper.store.metadata import Metadata
from watchkeeper.training.exclusions import ABSENCES, Exclusion

MODEL = "feedback"
ITSELF = "watchkeeper"
INCIDENTS_HELD_MAX = 1_000
MEMBERS_HELD_MAX = 200
LISTED_MAX = 200
TOLD_WITHIN_NS = 7 * 86_400 * 10**9
"""How far back findings count as those that a verdict speaks for."""
UNTIL_NS = 2**62

log = logging.getLogger(__name__)


class Round(NamedTuple):
    """One round of feedback: a version of the model, what it was made of, how it compares, why it is not promoted.

    quality, before: figures by name of this round and of the one that was in force when it was made.
    """

    number: int
    state: str
    created_unix_ns: int
    by: str
    why: str
    entries: int
    rules: int
    quality: dict[str, float]
    before: dict[str, float]
    reason: str


class Case(NamedTuple):
    """What an incident looked like, and the category that people named."""

    features: Features
    category: Category


class OperatorFeedback:
    """See the module; safe to use from any thread. protect: is told what detectors must not learn as normal."""

    def __init__(
        self,
        metadata: Metadata,
        models: ModelVersions,
        findings: FindingStore,
        incidents: Incidents,
        *,
        protect: Callable[[Sequence[Confirmed]], None] = lambda confirmed: None,
        now_unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._models, self._findings, self._incidents, self._protect = models, findings, incidents, protect
        self._now_unix_ns = now_unix_ns
        self._lock = threading.RLock()
        self.ledger = Feedback(metadata, self._find, now_unix_ns=now_unix_ns)
        self._policy = Policy()
        self._judged: dict[str, Judged] = {}
        models.on_change(self._model_changed)
        self.ledger.on_change(self._said)
        self._load()
        self._said()

    # -- what is in force -----------------------------------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        """Give the rules in force."""
        return self._policy

    def weigh(self, findings: Iterable[Finding]) -> list[Finding]:
        """Give findings as the rules in force weigh them: what they lower has grade info and says why."""
        return self._policy.apply(findings)

    def judged(self, subject: str) -> Judged | None:
        """Give what people together say of a finding or incident; None when nobody did."""
        return self._judged.get(subject)

    def confirmed(self) -> list[Confirmed]:
        """Give what people called right: what no detector may learn as normal."""
        return [
            Confirmed(one.kind, one.service, one.entity, one.subject, one.score, _number(one.template_id))
            for one in (each.described for each in labelled(self.ledger.in_force()) if each.is_right)
        ]

    def anomalous_lines(self, from_unix_ns: int, until_unix_ns: int) -> list[Exclusion]:
        """Give the log lines of a range that no model may learn as normal, for people called them right.

        A form that was confirmed when it was new is left out of the whole range, all else while it went on.
        """
        told = [each.described for each in labelled(self.ledger.in_force()) if each.is_right]
        found = []
        for one in told:
            if one.signal != "logs" or one.kind.endswith(ABSENCES):
                continue
            begin, end = one.first_unix_ns, one.last_unix_ns
            if one.kind in OF_A_TEMPLATE and one.template_id:
                begin, end = from_unix_ns, until_unix_ns
            if end >= from_unix_ns and begin <= until_unix_ns:
                found.append(Exclusion(one.service, _number(one.template_id), begin, end))
        return found

    def wrong_findings(self) -> frozenset[str]:
        """Give the ids of the findings that people called wrong: what training may learn from again."""
        told = labelled(self.ledger.in_force())
        return frozenset(each.described.finding_id for each in told if not each.is_right)

    def noted(self, past: Past) -> Past:
        """Give an earlier incident with what people said of it."""
        told = self._judged.get(past.incident.id)
        if told is None:
            return past
        words = [
            f"people called it {'expected' if told.truth == 'wrong' else told.truth}" if told.truth else "",
            f"true cause {told.true_cause}" if told.true_cause else "",
            f"true category {told.true_category}" if told.true_category else "",
            *(each.why for each in told.entries if each.why),
        ]
        noted = "; ".join(each for each in words if each)
        return replace(past, noted=noted, true_cause=told.true_cause, true_category=told.true_category)

    def cases(self) -> list[Case]:
        """Give the incidents whose category people named, with the evidence that diagnosis saw of them."""
        found = []
        for subject, told in self._judged.items():
            incident = self._incidents.store.get(subject) if told.true_category else None
            features = incident.diagnosis.get("features") if incident is not None else None
            if isinstance(features, dict) and features:
                found.append(Case(features, Category(told.true_category)))
        return found

    def pending(self) -> int:
        """Give how many entries were given or taken back since the round in force was made."""
        return len({each.id for each in self.ledger.in_force()} ^ set(self._policy.entries))

    # -- rounds ---------------------------------------------------------------------------------------------------

    def preview(self, from_unix_ns: int, to_unix_ns: int) -> dict[str, Any]:
        """Tell which kept findings and incidents of a range would change if the feedback given were applied now."""
        candidate, labels, told = self._candidate()
        kept, truncated = self._incidents.store.findings_told(from_unix_ns, to_unix_ns)
        plain = [restored(each) for each in kept]
        before, after = self._policy.apply(plain), candidate.apply(plain)
        homes = self._incidents.store.homes([each.id for each in plain[:900]])
        changed = compared(self._incidents.regrouped(before), self._incidents.regrouped(after), homes)
        found = self._evaluated(candidate, labels, told)
        moved = [(old, new) for old, new in zip(before, after, strict=True) if is_lowered(old) != is_lowered(new)]
        shown = [_finding_row(old, new, candidate) for old, new in moved]
        return {
            "from_unix_ns": from_unix_ns,
            "to_unix_ns": to_unix_ns,
            "pending": self.pending(),
            "rules": len(candidate.rules),
            "would_promote": not found.reason,
            "reason": found.reason,
            "quality": found.quality(),
            "before": found.before(),
            "findings": {
                "all": len(plain),
                "lowered": sum(is_lowered(new) for _, new in moved),
                "raised": sum(not is_lowered(new) for _, new in moved),
                "items": shown[:LISTED_MAX],
            },
            "incidents": changed,
            "truncated": truncated or len(shown) > LISTED_MAX,
        }

    def apply(self, *, who: str, why: str = "") -> Round:
        """Make a round of all feedback in force, and promote it unless it is worse; raises Conflict for nothing new."""
        with self._lock:
            if not self.pending():
                raise Conflict("there is no feedback that the round in force does not know; give some first")
            if self._models.active(MODEL) is None:
                first = self._publish(
                    Policy(), Card(MODEL, notes="no feedback yet; where the first round goes back to")
                )
                self._models.promote(MODEL, first.number, who=ITSELF, why="before any feedback")
            candidate, labels, told = self._candidate()
            found = self._evaluated(candidate, labels, told)
            version = self._publish(candidate, _card(candidate, labels, found, who, why))
            if not found.reason:
                reason = why or f"round of {len(candidate.entries)} entries, no worse than the one before"
                version = self._models.promote(MODEL, version.number, who=who, why=reason)
            return _round(version)

    def rollback(self, *, who: str, why: str = "") -> Round:
        """Go back to the round before; raises Conflict when there is none."""
        return _round(self._models.rollback(MODEL, who=who, why=why or "rolled back"))

    def rounds(self) -> list[Round]:
        """Give all rounds, the latest first."""
        return [_round(each) for each in self._models.list(MODEL)]

    def questions(self, from_unix_ns: int, to_unix_ns: int, limit: int) -> list[tuple[Question, Finding]]:
        """Give the kept findings of a range that a verdict on is worth most, the most useful first."""
        kept, _ = self._incidents.store.findings_told(from_unix_ns, to_unix_ns)
        by_id = {each.id: each for each in kept}
        asked = questions((described(each) for each in kept), labelled(self.ledger.in_force()), limit=limit)
        return [(each, by_id[each.finding_id]) for each in asked]

    def audit(self) -> list[AuditEntry]:
        """Give who did what to which round, when and why, the latest first."""
        return self._models.audit(MODEL)

    def _candidate(self) -> tuple[Policy, list[Labelled], Counter[Key]]:
        """Give the rules of all feedback, what was judged, and how often each thing was told of late."""
        entries = self.ledger.in_force()
        labels = labelled(entries)
        since = self._now_unix_ns() - TOLD_WITHIN_NS
        kept, _ = self._incidents.store.findings_told(since, UNTIL_NS)
        told = Counter(described(each).key for each in kept)
        return learn(labels, entries=[each.id for each in entries], told=told), labels, told

    def _publish(self, policy: Policy, card: Card) -> Version:
        return self._models.publish(MODEL, policy.save, card, verify=_verify)

    def _evaluated(self, candidate: Policy, labels: Sequence[Labelled], told: Counter[Key]) -> Evaluation:
        taken_up = self._taken_up()
        lost = partial(_lost, taken_up)
        return evaluate(candidate, self._policy, labels, told=told, lost=lost, taken_up=len(taken_up))

    def _taken_up(self) -> list[list[Finding]]:
        """Give the findings of the stored incidents that people took up without judging them here."""
        incidents, _ = self._incidents.store.list(limit=INCIDENTS_HELD_MAX)
        chosen = [
            each
            for each in incidents
            if each.state is not IncidentState.MERGED and is_taken_up(each) and each.id not in self._judged
        ]
        return [self._members(each) for each in chosen]

    def _members(self, incident: Incident) -> list[Finding]:
        found = (self._findings.get(each) for each in incident.finding_ids[:MEMBERS_HELD_MAX])
        return [restored(each) for each in found if each is not None]

    # -- what others change ---------------------------------------------------------------------------------------

    def _find(self, identifier: str) -> About | None:
        finding = self._findings.get(identifier)
        if finding is not None:
            return About("finding", finding.id, finding.title, (finding,))
        incident = self._incidents.store.get(identifier)
        if incident is None:
            return None
        return About("incident", incident.id, incident.title, tuple(self._members(incident)))

    def _said(self) -> None:
        before, self._judged = self._judged, judged(self.ledger.in_force())
        self._protect(self.confirmed())
        for subject in dict.fromkeys((*before, *self._judged)):
            self._incidents.set_judged(subject, _told(self._judged.get(subject)))

    def _model_changed(self, name: str) -> None:
        if name == MODEL:
            self._load()

    def _load(self) -> None:
        found = self._models.load(MODEL, Policy.load)
        self._policy = Policy() if found is None else Policy(found[1].rules, found[1].entries, found[0].number)


class NamedCategories:
    """Classifies by the rules and by the categories that people named; the rules alone while these are few.

    cases: gives what people named so far. Learned anew when that has changed, in the thread that asks.
    """

    def __init__(self, cases: Callable[[], Sequence[Case]]) -> None:
        self._cases = cases
        self._known: list[Case] = []
        self._learned = LearnedClassifier()

    def classify(self, window: IncidentWindow, ranking: Ranking) -> Classification:
        """Give the category with the probability of each."""
        cases = list(self._cases())
        if cases != self._known:
            self._known, self._learned = cases, LearnedClassifier()
            for each in cases:
                self._learned.confirm_features(each.features, each.category)
        return self._learned.classify(window, ranking)


def _told(one: Judged | None) -> dict[str, str] | None:
    """Give what is kept with the incident."""
    if one is None:
        return None
    by = ", ".join(dict.fromkeys(each.by for each in one.entries))
    return {"truth": one.truth, "true_cause": one.true_cause, "true_category": one.true_category, "by": by}


def _verify(folder: Path) -> None:
    Policy.load(folder)


def _lost(taken_up: Sequence[Sequence[Finding]], policy: Policy) -> int:
    """Count the incidents of which nothing is left that would open one."""
    lost = 0
    for findings in taken_up:
        opens = [each for each in findings if each.severity is not FindingSeverity.INFO]
        lost += bool(opens) and all(policy.weigh(described(each)).lowers for each in opens)
    return lost


def _card(candidate: Policy, labels: Sequence[Labelled], found: Evaluation, who: str, why: str) -> Card:
    right = sum(each.is_right for each in labels)
    return Card(
        MODEL,
        trained_on={"entries": len(candidate.entries), "right": right, "wrong": len(labels) - right},
        parameters={
            "rules": len(candidate.rules),
            "by": who,
            "why": why,
            "before": found.before(),
            "reason": found.reason,
        },
        quality=found.quality(),
        notes=found.reason or why,
    )


def _round(version: Version) -> Round:
    told = version.card.parameters
    return Round(
        version.number,
        version.state,
        version.created_unix_ns,
        str(told.get("by", ITSELF)),
        str(told.get("why", version.card.notes)),
        int(version.card.trained_on.get("entries", 0)),
        int(told.get("rules", 0)),
        dict(version.card.quality),
        dict(told.get("before", {})),
        str(told.get("reason", "")),
    )


def _finding_row(old: Finding, new: Finding, candidate: Policy) -> dict[str, Any]:
    weighing = candidate.weigh(described(new))
    return {
        "id": old.id,
        "title": old.title,
        "kind": old.kind,
        "service": old.service,
        "first_unix_ns": old.first_unix_ns,
        "severity": restored(old).severity.value,
        "change": "lowered" if is_lowered(new) else "raised",
        "weight": round(weighing.weight, 3),
    }


def _number(template_id: str) -> int | None:
    return int(template_id) if template_id else None
