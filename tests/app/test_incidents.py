"""Incidents as a service: restarts, kills between finding and incident, what people do, news, previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.diagnose.incident_findings import SECOND, START, finding, topology

from watchkeeper.app.changes import Changes
from watchkeeper.app.findings import FindingStore
from watchkeeper.app.incident_store import IncidentStore
from watchkeeper.app.incidents import Incidents
from watchkeeper.app.news import Event, News
from watchkeeper.app.silences import Silences
from watchkeeper.diagnose.incident import Incident, IncidentState
from watchkeeper.diagnose.window import Change
from watchkeeper.errors import Conflict, NotFound, QueryError, SettingError
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.store.metadata import Metadata

SHOP = topology("front>cart", "front>pay", "cart>store")


class Heard:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.news: list[tuple[Event, str]] = []
        self.woken = 0

    def enqueue(self, connection: object, news: list[News]) -> None:
        self.news += [(one.event, one.incident.id) for one in news]

    def wake(self) -> None:
        self.woken += 1


class Home:
    """The parts on one SQLite file; `restart` makes them anew."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "metadata.sqlite"
        self.now = START
        self.heard = Heard()
        self.open()

    def open(self) -> None:
        self.metadata = Metadata(self.file)
        self.findings = FindingStore(self.metadata)
        self.changes = Changes(self.metadata)
        self.silences = Silences(self.metadata, now_unix_ns=self.clock)
        self.incidents = Incidents(
            self.metadata,
            IncidentStore(self.metadata),
            self.changes,
            settings=Settings(chosen={}, environment={}),
            outlet=self.heard,  # type: ignore[arg-type]
            now_unix_ns=self.clock,
        )

    def clock(self) -> int:
        return self.now

    def publish(self, *findings: Finding) -> None:
        self.now = max([self.now, *(each.last_unix_ns for each in findings)])
        marked = self.silences.mark(findings)
        self.findings.put(marked)
        self.incidents.observe(marked, SHOP)

    def restart(self) -> None:
        self.metadata.close()
        self.open()
        self.incidents.catch_up(SHOP)

    def all(self) -> list[Incident]:
        return self.incidents.store.list()[0]

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.heard.news]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.metadata.close()


def closed(one: Finding, at_s: float) -> Finding:
    return replace(one, state=FindingState.CLOSED, last_unix_ns=START + int(at_s * SECOND))


def test_the_life_of_an_incident_is_told(home: Home) -> None:
    one = finding(0, "cart")
    home.publish(one, finding(1, "front"))
    (incident,) = home.all()
    home.incidents.acknowledge(incident.id, by="ann", text="looking")
    home.publish(closed(one, 20), closed(finding(1, "front"), 20))
    home.now += 299 * SECOND
    home.incidents.tick()
    assert home.all()[0].state is IncidentState.ACKNOWLEDGED
    home.now += SECOND
    home.incidents.tick()
    assert home.all()[0].state is IncidentState.RESOLVED
    home.publish(finding(700, "cart"))
    (incident,) = home.all()
    assert (incident.state, incident.reopened) == (IncidentState.OPEN, 1)
    assert home.events == [Event.OPENED, Event.ACKNOWLEDGED, Event.RESOLVED, Event.REOPENED]
    acts = [(entry.kind, entry.by, entry.text) for entry in incident.timeline if entry.kind == "acknowledged"]
    assert acts == [("acknowledged", "ann", "looking")]


def test_a_restart_at_any_moment_changes_nothing(home: Home, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Home(tmp_path / "other")
    for at in range(40):
        one = finding(at * 37, ["cart", "front", "pay", "store"][at % 4], subject=str(at % 3))
        for step in (one, closed(one, at * 37 + 10)):
            home.publish(step)
            other.publish(step)
            other.restart()
        for each in (home, other):
            each.incidents.tick()
    assert [each.as_dict() for each in other.all()] == [each.as_dict() for each in home.all()]
    assert len(home.all()) > 0
    other.metadata.close()


def test_a_kill_between_finding_and_incident_loses_and_doubles_nothing(home: Home) -> None:
    home.publish(finding(0, "cart"))
    home.findings.put([finding(5, "front")])
    home.restart()
    home.restart()
    (incident,) = home.all()
    assert incident.finding_ids == (finding(0, "cart").id, finding(5, "front").id)
    home.findings.put([closed(finding(0, "cart"), 9), closed(finding(5, "front"), 9)])
    home.restart()
    home.now += 600 * SECOND
    home.incidents.tick()
    assert home.all()[0].state is IncidentState.RESOLVED
    assert home.events == [Event.OPENED, Event.RESOLVED]


def test_what_failed_to_be_kept_is_kept_later(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(home.incidents.store, "write", full)
        with pytest.raises(OSError, match="no space"):
            home.publish(finding(0, "cart"))
    home.incidents.tick()
    assert len(home.all()) == 1, "it is kept with the next step"
    assert home.events == [Event.OPENED]
    home.restart()
    assert len(home.all()) == 1


def test_findings_told_again_after_their_incident_ended_open_nothing(home: Home) -> None:
    one = closed(finding(0, "cart"), 5)
    home.publish(finding(0, "cart"), one)
    home.now += 5000 * SECOND
    home.incidents.tick()
    home.incidents.tick()
    home.publish(one, replace(one, count=7))
    assert [incident.state for incident in home.all()] == [IncidentState.RESOLVED]


def test_old_findings_found_at_the_start_are_no_news(home: Home) -> None:
    home.publish(finding(0, "cart"))
    home.now += 10 * 3600 * SECOND
    home.findings.put([finding(30, "mail")])
    home.restart()
    assert len(home.all()) == 2
    assert home.events == [Event.OPENED]


def test_what_people_do_is_checked_and_audited(home: Home) -> None:
    home.publish(finding(0, "cart"), finding(1, "mail"), finding(2, "front", subject="x"))
    mail, cart = sorted(home.all(), key=lambda incident: incident.services != ("mail",))
    with pytest.raises(QueryError, match="not with itself"):
        home.incidents.merge(cart.id, [cart.id], by="ann")
    merged = home.incidents.merge(cart.id, [mail.id], by="ann", text="same outage")
    assert set(merged.services) == {"cart", "front", "mail"}
    gone = home.incidents.get(mail.id)
    assert (gone.state, gone.merged_into) == (IncidentState.MERGED, cart.id)
    with pytest.raises(Conflict, match=cart.id):
        home.incidents.merge(mail.id, [cart.id], by="ann")
    with pytest.raises(Conflict):
        home.incidents.acknowledge(mail.id, by="ann")
    with pytest.raises(QueryError, match="not part of"):
        home.incidents.split(cart.id, ["nothing"], by="ann")
    with pytest.raises(QueryError, match="at least one"):
        home.incidents.split(cart.id, merged.finding_ids, by="ann")
    old, new = home.incidents.split(cart.id, [finding(1, "mail").id], by="bob", text="is not")
    assert (new.services, old.findings_count) == (("mail",), 2)
    home.incidents.note(cart.id, "rolled back", by="bob")
    home.incidents.resolve(cart.id, by="bob")
    with pytest.raises(Conflict):
        home.incidents.resolve(cart.id, by="bob")
    home.restart()
    home.incidents.reopen(cart.id, by="ann", text="still broken")
    human = [(entry.kind, entry.by) for entry in home.incidents.get(cart.id).timeline if entry.by != "watchkeeper"]
    assert human == [
        ("merged", "ann"),
        ("split", "bob"),
        ("note", "bob"),
        ("resolved", "bob"),
        ("reopened", "ann"),
    ]
    with pytest.raises(NotFound):
        home.incidents.note("nothing", "x", by="ann")


def test_acts_on_what_ended_long_ago_work(home: Home) -> None:
    home.publish(finding(0, "cart"), closed(finding(0, "cart"), 3))
    for _ in range(3):
        home.now += 5000 * SECOND
        home.incidents.tick()
    home.restart()
    (incident,) = home.all()
    assert home.incidents.reopen(incident.id, by="ann").reopened == 1
    assert home.incidents.get(incident.id).state is IncidentState.OPEN


def test_silenced_findings_are_kept_but_open_nothing_until_the_silence_ends(home: Home) -> None:
    silence = home.silences.add({"service": "ca*"}, by="ann", why="known", until_unix_ns=START + 60 * SECOND)
    home.publish(finding(0, "cart"))
    assert home.all() == []
    kept = home.findings.get(finding(0, "cart").id)
    assert kept is not None
    assert kept.attributes["silenced_by"] == silence.id
    home.restart()
    assert home.all() == []
    home.now = START + 60 * SECOND
    home.publish(replace(finding(0, "cart"), count=9, last_unix_ns=START + 60 * SECOND))
    assert len(home.all()) == 1


def test_changes_stand_in_the_timelines_they_are_near_to(home: Home) -> None:
    at = START - 60 * SECOND
    home.changes.put(
        [
            Change("c1", "deploy", "service:cart", "cart 2 deployed", at, "ci"),
            Change("c2", "deploy", "service:mail", "mail 2 deployed", at, "ci"),
            Change("c3", "deploy", "service:cart", "cart 1 deployed", START - 7200 * SECOND, "ci"),
            Change("c4", "config", "", "feature switch", at, "ci"),
        ]
    )
    home.publish(finding(0, "front"))
    home.changes.put([Change("c5", "scale", "service:front", "front scaled", START + 5 * SECOND, "k8s")])
    home.changes.put([Change("c5", "scale", "service:front", "front scaled", START + 5 * SECOND, "k8s")])
    (incident,) = home.all()
    texts = [entry.text for entry in incident.timeline if entry.kind == "change"]
    assert sorted(texts) == ["cart 2 deployed", "feature switch", "front scaled"]


def test_a_diagnosis_is_kept_and_its_cause_is_news_once(home: Home) -> None:
    home.publish(finding(0, "cart"))
    (incident,) = home.all()
    diagnosis = {"ranking": {"causes": [{"node": "service:store", "confidence": 0.8}]}, "report_markdown": "# r"}
    for _ in range(2):
        home.incidents.set_diagnosis(incident.id, diagnosis)
    home.restart()
    kept = home.incidents.get(incident.id)
    assert kept.diagnosis == diagnosis
    assert [entry.text for entry in kept.timeline if entry.kind == "diagnosed"] == [
        "likeliest cause: service:store (80% sure)"
    ]
    assert home.events == [Event.OPENED, Event.DIAGNOSED]
    with pytest.raises(Conflict, match="nothing that explains"):
        home.incidents.explain(incident.id)
    home.incidents.explainer = lambda identifier: {"for": identifier}
    assert home.incidents.explain(incident.id) == {"for": incident.id}


def test_lists_have_pages_filters_and_live_events(home: Home) -> None:
    with home.incidents.store.subscribe() as heard:
        home.publish(*(finding(at * 1000, "mail", subject=str(at)) for at in range(5)))
        assert heard.qsize() == 5
    seen, cursor = [], None
    while True:
        page, cursor = home.incidents.store.list(limit=2, cursor=cursor)
        seen += [incident.opened_unix_ns for incident in page]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 5
    of = home.incidents.store.list
    assert len(of(service="mail", state="live")[0]) == 5
    assert of(service="mai")[0] == []
    assert of(state="resolved")[0] == []
    assert len(of(from_unix_ns=START + 2000 * SECOND, to_unix_ns=START + 3001 * SECOND)[0]) == 2
    with pytest.raises(QueryError):
        of(cursor="x")
    assert home.incidents.counts() == {"open": 5, "acknowledged": 0, "critical": 0, "opened_24h": 5}


def test_old_incidents_are_deleted_with_their_members(home: Home) -> None:
    home.publish(finding(0, "cart"), closed(finding(0, "cart"), 3), finding(2, "mail"))
    home.now += 1000 * SECOND
    home.incidents.tick()
    assert home.incidents.store.delete_ended_before(home.now + 1) == 1
    assert [incident.services for incident in home.all()] == [("mail",)]
    assert home.incidents.store.homes([finding(0, "cart").id]) == {}


def test_a_preview_with_the_settings_in_force_gives_what_there_was(home: Home) -> None:
    names = ["front", "cart", "mail", "pay"]
    steps = []
    for number in range(60):
        grade = FindingSeverity.INFO if number % 5 == 0 else FindingSeverity.WARNING
        one = finding(number * 140, names[number % 4], subject=str(number % 7), severity=grade)
        ended = closed(one, number * 140 + 60)
        steps += [(one.first_unix_ns, one), (ended.last_unix_ns + 120 * SECOND, ended)]
    for at, step in sorted(steps, key=lambda pair: (pair[0], pair[1].id)):
        home.now = max(home.now, at)
        home.incidents.tick()
        home.publish(step)
    live = [incident for incident in home.all() if incident.state is not IncidentState.MERGED]
    answer = home.incidents.preview({}, START, START + 10**6 * SECOND)
    assert answer["incidents"] == answer["present"]["incidents"] == len(live) > 1
    assert answer["findings"] == 60
    assert sum(answer["by_severity"].values()) == len(live)
    assert sum(day["incidents"] for day in answer["per_day"]) == len(live)
    shown = {(each["opened_unix_ns"], each["title"], each["findings_count"]) for each in answer["examples"]}
    assert shown == {(each.opened_unix_ns, each.title, each.findings_count) for each in live[:20]}


def test_a_preview_tells_what_other_settings_would_do(home: Home) -> None:
    home.publish(*(finding(at * 400, "mail", subject=str(at)) for at in range(6)))
    answer = home.incidents.preview({"incident_gap_s": "600"}, START, START + 10**6 * SECOND)
    assert (answer["incidents"], answer["present"]["incidents"]) == (1, 6)
    assert home.incidents.preview({}, START, START + 1)["findings"] == 1
    with pytest.raises(SettingError, match="incident_"):
        home.incidents.preview({"detect_window_s": 5}, START, START + 1)
    with pytest.raises(SettingError, match="not a number"):
        home.incidents.preview({"incident_gap_s": "long"}, START, START + 1)
    assert len(home.all()) == 6


def test_matchers_of_silences(home: Home) -> None:
    until = START + SECOND
    add: Callable[..., object] = home.silences.add
    for matchers in ({}, {"color": "red"}, {"severity": "bad"}, {"template": "(" * 3}, {"kind": "x" * 600}):
        with pytest.raises(QueryError):
            add(matchers, by="a", why="b", until_unix_ns=until)
    for end in (START, START + 10**21):
        with pytest.raises(QueryError):
            add({"kind": "x"}, by="a", why="b", until_unix_ns=end)
    add({"template": "(a+)+$", "node": "host:n1", "severity": "warning"}, by="a", why="b", until_unix_ns=until)
    hard = finding(0, "cart", template="a" * 3000 + "!", entity="service=cart|node=n1")
    hit = replace(hard, template="aaa")
    elsewhere = replace(hit, entity="service=cart|node=n2")
    marked = home.silences.mark([hard, hit, elsewhere])
    assert ["silenced_by" in each.attributes for each in marked] == [False, True, False]
    (silence,) = home.silences.list()
    home.silences.remove(silence.id)
    assert home.silences.list() == []
    assert [each.id for each in home.silences.list(active_only=False)] == [silence.id]
    with pytest.raises(NotFound):
        home.silences.remove("nothing")
