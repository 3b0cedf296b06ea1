"""Findings become incidents: what belongs together, what does not, and the life of an incident."""

from __future__ import annotations

import random
from dataclasses import replace

from tests.diagnose.incident_findings import SECOND, START, finding, topology

from watchkeeper.diagnose.grouping import FINDINGS_MAX, IncidentGrouper, incident_id_of
from watchkeeper.diagnose.incident import Incident, IncidentSeverity, IncidentState, incident_from_dict
from watchkeeper.diagnose.rules import Rules, rules_of
from watchkeeper.settings import Settings
from watchkeeper.signals.finding import Finding, FindingSeverity, FindingState
from watchkeeper.signals.topology import Topology

SHOP = topology("front>cart", "front>pay", "cart>store", "mail>queue")
RULES = Rules(gap_ns=300 * SECOND, hops=2, resolve_ns=300 * SECOND, reopen_ns=1800 * SECOND)


def grouper(seen: Topology = SHOP, rules: Rules = RULES) -> IncidentGrouper:
    made = IncidentGrouper(rules)
    made.see(seen)
    return made


def observe(to: IncidentGrouper, *findings: Finding) -> list[Incident]:
    for each in findings:
        to.observe(each)
    return sorted(to.incidents.values(), key=lambda incident: incident.opened_unix_ns)


def closed(one: Finding, at_s: float = 0) -> Finding:
    last = max(one.last_unix_ns, START + int(at_s * SECOND)) if at_s else one.last_unix_ns
    return replace(one, state=FindingState.CLOSED, last_unix_ns=last)


def kinds(incident: Incident) -> list[str]:
    return [entry.kind for entry in incident.timeline]


def test_findings_close_in_time_and_topology_are_one_incident() -> None:
    (incident,) = observe(grouper(), finding(0, "store"), finding(20, "cart"), finding(40, "front"))
    assert incident.services == ("store", "cart", "front")
    assert incident.nodes == ("service:store", "service:cart", "service:front")
    assert incident.findings_count == 3
    assert incident.id == incident_id_of(finding(0, "store").id)
    assert incident.title == "store logs errors, and 2 more services with findings"
    assert kinds(incident).count("finding") == 3
    assert incident_from_dict(incident.as_dict()) == incident


def test_what_is_far_in_time_or_topology_is_not() -> None:
    incidents = observe(grouper(), finding(0, "cart"), finding(10, "mail"), finding(400, "cart", subject="other"))
    assert [incident.services for incident in incidents] == [("cart",), ("mail",), ("cart",)]


def test_two_callers_of_nothing_in_common_stay_apart_until_their_caller_has_a_finding_too() -> None:
    made = grouper()
    incidents = observe(made, finding(0, "cart"), finding(5, "pay"))
    assert len(incidents) == 2
    first, second = observe(made, finding(9, "front"))
    assert (first.state, second.state) == (IncidentState.OPEN, IncidentState.MERGED)
    assert second.merged_into == first.id
    assert first.findings_count == 3
    assert "merged" in kinds(first)
    assert "merged" in kinds(second)
    assert second.id in next(entry.text for entry in first.timeline if entry.kind == "merged")


def test_a_finding_of_grade_info_connects_nothing() -> None:
    made = grouper()
    observe(made, finding(0, "cart"), finding(5, "pay"))
    incidents = observe(made, finding(9, "front", severity=FindingSeverity.INFO))
    assert [incident.state for incident in incidents] == [IncidentState.OPEN] * 2
    assert sorted(incident.findings_count for incident in incidents) == [1, 2]


def test_hops_are_dependencies_in_one_direction_and_a_setting() -> None:
    chain = topology("a>b", "b>c", "c>d")
    assert len(observe(grouper(chain), finding(0, "a"), finding(1, "c"))) == 1
    assert len(observe(grouper(chain), finding(0, "a"), finding(1, "d"))) == 2
    near = RULES._replace(hops=1)
    assert len(observe(grouper(chain, near), finding(0, "a"), finding(1, "c"))) == 2


def test_a_shared_host_joins_unless_it_carries_everything() -> None:
    few = topology(runs_on={"a": "n1", "b": "n1", "c": "n2"})
    assert len(observe(grouper(few), finding(0, "a"), finding(1, "b"))) == 1
    assert len(observe(grouper(few), finding(0, "a"), finding(1, "c"))) == 2
    many = topology(runs_on={f"s{number}": "n1" for number in range(40)})
    assert len(observe(grouper(many), finding(0, "s1"), finding(1, "s2"))) == 2
    named = [finding(at, name, entity=f"service={name}|node=n9") for at, name in enumerate("ab")]
    assert len(observe(grouper(Topology()), *named)) == 1


def test_without_topology_the_same_service_joins_and_coincidence_only_when_told() -> None:
    pair = (finding(0, "cart"), finding(1, "cart", subject="latency"), finding(2, "pay"))
    assert len(observe(grouper(Topology()), *pair)) == 2
    together = RULES._replace(coincidence_ns=5 * SECOND)
    assert len(observe(grouper(Topology(), together), *pair)) == 1


def test_lone_info_stays_a_finding_and_joins_when_company_comes() -> None:
    made = grouper()
    assert observe(made, finding(0, "cart", severity=FindingSeverity.INFO, kind="log.template.unseen")) == []
    (incident,) = observe(made, finding(30, "cart"))
    assert incident.findings_count == 2
    assert incident.severity is IncidentSeverity.WARNING
    assert incident.first_unix_ns == START


def test_it_resolves_by_itself_only_when_all_is_closed_and_quiet() -> None:
    made = grouper()
    one, other = finding(0, "cart"), finding(10, "front")
    observe(made, one, other, closed(one, 60))
    made.advance(START + 5000 * SECOND)
    assert [incident.state for incident in made.incidents.values()] == [IncidentState.OPEN]
    made.observe(closed(other, 70))
    made.now_ns = 0
    made.advance(START + 369 * SECOND)
    assert [incident.state for incident in made.incidents.values()] == [IncidentState.OPEN]
    made.advance(START + 370 * SECOND)
    (incident,) = made.incidents.values()
    assert (incident.state, incident.resolved_by) == (IncidentState.RESOLVED, "watchkeeper")
    assert kinds(incident)[-1] == "resolved"


def test_an_open_finding_that_nobody_tells_of_does_not_hold_an_incident_open_for_ever() -> None:
    made = grouper()
    observe(made, finding(0, "cart"))
    made.advance(START + 86_399 * SECOND)
    assert next(iter(made.incidents.values())).state is IncidentState.OPEN
    made.advance(START + 86_401 * SECOND)
    assert next(iter(made.incidents.values())).state is IncidentState.RESOLVED


def resolved() -> IncidentGrouper:
    made = grouper()
    one = finding(0, "cart")
    observe(made, one, closed(one, 30))
    made.advance(START + 400 * SECOND)
    assert [incident.state for incident in made.take().incidents] == [IncidentState.RESOLVED]
    return made


def test_a_finding_that_returns_reopens_and_is_counted() -> None:
    made = resolved()
    (incident,) = observe(made, finding(900, "cart"))
    assert (incident.state, incident.reopened, incident.resolved_unix_ns) == (IncidentState.OPEN, 1, 0)
    assert incident.findings_count == 2
    line = next(entry for entry in incident.timeline if entry.kind == "finding")
    assert (line.count, line.last_unix_ns) == (2, START + 900 * SECOND)


def test_another_finding_or_one_much_later_is_a_new_incident() -> None:
    assert len(observe(resolved(), finding(900, "cart", kind="metric.latency"))) == 2
    made = resolved()
    made.advance(START + 2300 * SECOND)
    assert made.incidents == {}
    assert len(observe(made, finding(2400, "cart"))) == 1


def test_flapping_is_one_line_with_a_count() -> None:
    made = grouper()
    for number in range(50):
        one = finding(number * 20, "cart")
        observe(made, one, closed(one, number * 20 + 5))
    (incident,) = made.incidents.values()
    assert kinds(incident) == ["opened", "finding"]
    assert incident.timeline[1].count == 50
    assert incident.findings_count == 50


def test_what_one_incident_lists_is_bounded() -> None:
    made = grouper()
    for number in range(FINDINGS_MAX + 5):
        one = finding(number, "cart", subject=str(number % 700))
        observe(made, one)
    (incident,) = made.incidents.values()
    assert len(incident.finding_ids) == FINDINGS_MAX
    assert incident.findings_count == FINDINGS_MAX + 5
    assert len(incident.timeline) <= 500
    assert incident.timeline[0].kind == "opened"


def test_telling_the_same_again_changes_nothing() -> None:
    made = grouper()
    one = finding(0, "cart")
    observe(made, one)
    made.take()
    observe(made, one)
    assert made.take() == ((), ())


def test_a_person_splits_and_the_two_stay_apart() -> None:
    made = grouper()
    one, other = finding(0, "cart"), finding(5, "front")
    (incident,) = observe(made, one, other)
    new_id = made.split(incident.id, [other.id], START + 60 * SECOND, why="not the same", by="ann")
    old, new = made.incidents[incident.id], made.incidents[new_id]
    assert (old.services, new.services) == (("cart",), ("front",))
    assert (old.findings_count, new.findings_count) == (1, 1)
    assert [entry.by for entry in old.timeline if entry.kind == "split"] == ["ann"]
    assert [entry.by for entry in new.timeline if entry.kind == "split"] == ["ann"]
    observe(made, finding(70, "front", subject="more"), finding(75, "store"))
    assert {each.state for each in made.incidents.values()} == {IncidentState.OPEN}
    assert made.incidents[new_id].findings_count == 2
    assert "store" in made.incidents[old.id].services


def test_a_clock_that_runs_ahead_does_not_end_the_incidents_of_others() -> None:
    made = grouper()
    one = finding(0, "cart")
    observe(made, one, closed(one, 1))
    made.observe(finding(10**8, "mail"), ceiling_ns=START + 60 * SECOND)
    made.advance(START + 61 * SECOND)
    assert {each.state for each in made.incidents.values()} == {IncidentState.OPEN}


def test_severity_follows_impact_and_its_rise_is_told() -> None:
    made = grouper()
    (incident,) = observe(made, finding(0, "store"))
    assert incident.severity is IncidentSeverity.WARNING
    (incident,) = observe(made, finding(5, "cart"), finding(9, "front"))
    assert incident.severity is IncidentSeverity.CRITICAL, "three services and the one where users come in"
    assert [entry.text for entry in incident.timeline if entry.kind == "severity"] == ["from warning to critical"]
    assert "users come in at front" in incident.impact


def test_grouping_again_from_what_was_kept_goes_on_the_same() -> None:
    rng = random.Random(4)
    names = ["front", "cart", "pay", "store", "mail", "queue"]
    findings = [finding(number * 25, rng.choice(names), subject=str(rng.randrange(3))) for number in range(60)]
    whole = grouper()
    parts = grouper()
    for each in findings:
        whole.observe(each)
        parts.observe(each)
        fresh = grouper()
        fresh.restore(parts.incidents.values(), [m for i in parts.incidents for m in parts.of(i)])
        fresh.restore([], [m for m in parts.members.values() if not m.incident_id])
        parts = fresh
    assert parts.incidents == whole.incidents


def test_the_rules_come_from_settings() -> None:
    chosen = {"incident_gap_s": 7, "incident_hops_max": 1, "incident_coincidence_s": 2, "incident_stale_s": 90}
    rules = rules_of(Settings(chosen=chosen, environment={}))
    assert (rules.gap_ns, rules.hops, rules.coincidence_ns) == (7 * SECOND, 1, 2 * SECOND)
    assert (rules.resolve_ns, rules.reopen_ns, rules.stale_ns) == (300 * SECOND, 1800 * SECOND, 90 * SECOND)
