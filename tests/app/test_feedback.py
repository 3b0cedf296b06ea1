"""Feedback at work: previews against stored findings, rounds as versions, rollback, what others are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.diagnose.incident_findings import SECOND, START, finding

from watchkeeper.app.changes import Changes
from watchkeeper.app.feedback import NamedCategories, OperatorFeedback
from watchkeeper.app.findings import FindingStore
from watchkeeper.app.incident_store import IncidentStore
from watchkeeper.app.incidents import Incidents
from watchkeeper.detect.protection import Confirmed
from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.similar import Past
from watchkeeper.diagnose.window import IncidentWindow
from watchkeeper.errors import Conflict
from watchkeeper.feedback.entries import WEIGHED
from watchkeeper.models.versions import ModelVersions
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.signals.topology import Topology
from watchkeeper.store.metadata import Metadata

HOUR = 3_600.0
DAY_NS = 86_400 * SECOND


class Home:
    """Findings, incidents and feedback on one folder; `open` again is a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[Confirmed, ...]] = []
        self.open()

    def open(self) -> None:
        metadata = Metadata(self.folder / "metadata.sqlite")
        self.findings = FindingStore(metadata)
        self.incidents = Incidents(
            metadata,
            IncidentStore(metadata),
            Changes(metadata),
            settings=Settings(environment={}),
            now_unix_ns=lambda: START + DAY_NS,
        )
        self.models = ModelVersions(metadata, self.folder / "models")
        self.feedback = OperatorFeedback(
            metadata, self.models, self.findings, self.incidents, protect=self.protect, now_unix_ns=lambda: START
        )

    def protect(self, confirmed: Sequence[Confirmed]) -> None:
        self.told.append(tuple(confirmed))

    def publish(self, *findings: Finding) -> list[str]:
        weighed = self.feedback.weigh(findings)
        self.findings.put(weighed)
        self.incidents.observe(weighed)
        return [each.id for each in findings]

    def say(self, subject: str, verdict: str, **said: str) -> str:
        return self.feedback.ledger.give(subject, verdict, who=said.pop("who", "ann"), **said).entry.id

    def open_incidents(self) -> int:
        return len(self.incidents.store.list()[0])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def closed(at_s: float, service: str = "cart", **said: object) -> Finding:
    return finding(at_s, service, state=FindingState.CLOSED, **said)  # type: ignore[arg-type]


def test_a_preview_tells_what_a_round_then_does(home: Home):
    noisy = [home.publish(closed(at * HOUR))[0] for at in range(4)]
    home.publish(closed(0.5 * HOUR, "pay"))
    home.say(noisy[0], "wrong")
    assert home.feedback.preview(START - SECOND, START + DAY_NS)["rules"] == 0, "one word does not speak for four"
    home.say(noisy[1], "wrong")
    told = home.feedback.preview(START - SECOND, START + DAY_NS)
    assert (told["pending"], told["rules"], told["would_promote"]) == (2, 1, True)
    assert (told["findings"]["all"], told["findings"]["lowered"]) == (5, 4)
    assert {each["id"] for each in told["findings"]["items"]} == set(noisy)
    incidents = told["incidents"]
    assert (incidents["before"], incidents["after"], incidents["gone"]) == (5, 1, 4)
    gone = {each["id"] for each in incidents["items"]}
    assert gone == {home.incidents.store.homes([each])[each] for each in noisy}
    assert home.feedback.policy.rules == {}
    made = home.feedback.apply(who="ann", why="the nightly job")
    assert (made.state, made.number, made.reason) == ("active", 2, "")
    before = home.open_incidents()
    home.publish(closed(9 * HOUR))
    assert home.open_incidents() == before
    kept = home.findings.list(limit=1)[0][0]
    assert (kept.severity, kept.attributes[WEIGHED]["version"]) == (FindingSeverity.INFO, 2)
    home.publish(closed(10 * HOUR, score=9.0))
    assert home.open_incidents() == before + 1
    assert home.feedback.preview(START - SECOND, START + DAY_NS)["findings"]["lowered"] == 0


def test_an_incident_that_loses_only_company_changes_its_severity_or_nothing(home: Home):
    home.publish(closed(0, kind="log.fatal", severity=FindingSeverity.CRITICAL), closed(1))
    [noise] = home.publish(closed(5 * HOUR))
    home.say(noise, "wrong")
    told = home.feedback.preview(START - SECOND, START + DAY_NS)["incidents"]
    assert (told["before"], told["after"], told["gone"]) == (2, 1, 1)


def test_rollback_is_one_step_and_everything_is_in_the_audit(home: Home):
    [first] = home.publish(closed(0))
    entry = home.say(first, "wrong")
    home.feedback.apply(who="ann", why="noise")
    assert len(home.feedback.policy.rules) == 1
    with pytest.raises(Conflict, match="no feedback that"):
        home.feedback.apply(who="ann")
    home.open()
    assert len(home.feedback.policy.rules) == 1
    back = home.feedback.rollback(who="bob", why="it hid the outage")
    assert (back.number, home.feedback.policy.rules, home.feedback.pending()) == (1, {}, 1)
    said = [(each.what, each.number, each.who, each.why) for each in home.feedback.audit()]
    assert said[0] == ("rollback", 1, "bob", "from 2: it hid the outage")
    assert ("promote", 2, "ann", "noise") in said
    with pytest.raises(Conflict, match="no earlier version"):
        home.feedback.rollback(who="bob")
    home.feedback.ledger.undo(entry, who="ann")
    assert home.feedback.pending() == 0


def test_a_round_that_would_hide_an_incident_people_took_up_stays_a_candidate(home: Home):
    [noise] = home.publish(closed(0))
    home.publish(closed(5 * HOUR))
    [taken] = [each for each in home.incidents.store.list()[0] if each.finding_ids[0] != noise]
    home.incidents.resolve(taken.id, by="ann")
    home.say(noise, "wrong", who="bob")
    told = home.feedback.preview(START - SECOND, START + DAY_NS)
    made = home.feedback.apply(who="bob")
    assert (made.state, told["reason"]) == ("candidate", made.reason)
    assert "1 of 1 incidents that people took up would not have opened" in made.reason
    assert home.feedback.policy.rules == {}
    assert home.feedback.rounds()[0].reason == made.reason


def test_what_is_right_is_told_to_the_detectors_at_once_and_to_training(home: Home):
    line = {"kind": "log.template.unseen", "template": "no <*>", "template_id": 7, "subject": "7", "score": 4.0}
    [new, errors] = home.publish(closed(0, **line), closed(HOUR, "pay", lasts_s=60))
    entry = home.say(new, "right")
    home.say(errors, "right", who="bob")
    assert home.told[-1][0] == Confirmed("log.template.unseen", "cart", "service=cart", "7", 4.0, 7)
    begin = START + 10 * int(HOUR) * SECOND
    assert home.feedback.anomalous_lines(begin, begin + SECOND) == [("cart", 7, begin, begin + SECOND)]
    assert len(home.feedback.anomalous_lines(START, begin)) == 2
    home.feedback.ledger.undo(entry, who="ann")
    assert [each.service for each in home.told[-1]] == ["pay"]
    home.say(errors, "wrong", who="bob")
    assert home.told[-1] == ()
    assert home.feedback.wrong_findings() == {errors}


def test_an_earlier_incident_carries_what_people_said_of_it(home: Home):
    home.publish(closed(0))
    [incident] = home.incidents.store.list()[0]
    assert home.feedback.noted(Past(incident)) == Past(incident)
    home.say(incident.id, "cause", true_cause="redis", why="it was full")
    home.say(incident.id, "category", true_category="resource_memory")
    noted = home.feedback.noted(Past(incident))
    assert (noted.true_cause, noted.true_category) == ("service:redis", "resource_memory")
    assert noted.noted.startswith("people called it right; true cause service:redis; true category resource_memory")


def test_categories_that_people_named_are_learned_once_there_are_enough(home: Home):
    empty = IncidentWindow(0, 1, 2, (), Topology())
    classifier = NamedCategories(home.feedback.cases)
    before = classifier.classify(empty, Ranking(()))
    for at in range(8):
        home.publish(closed(at * HOUR))
    for at, incident in enumerate(home.incidents.store.list()[0]):
        word, category = (("word:full", "resource_disk"), ("word:refused", "network"))[at % 2]
        home.incidents.set_diagnosis(incident.id, {"features": {word: 1.0}})
        home.say(incident.id, "category", true_category=category)
    assert len(home.feedback.cases()) == 8
    assert classifier.classify(empty, Ranking(())) == before
    assert replace(before, why=()).abstains


def test_a_damaged_round_is_set_aside_and_the_one_before_acts(home: Home):
    ids = home.publish(closed(0), closed(HOUR, "pay"))
    for number, each in enumerate(ids, 2):
        home.say(each, "wrong")
        assert home.feedback.apply(who="ann").number == number
    active = home.models.active("feedback")
    assert active is not None
    (active.folder / "policy.json").write_text("{", encoding="utf-8")
    home.open()
    assert (home.feedback.policy.number, len(home.feedback.policy.rules)) == (2, 1)
    assert home.models.problems
