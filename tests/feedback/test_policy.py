"""Rules made of verdicts: what they lower, and everything that they must not touch."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.diagnose.incident_findings import finding

from watchkeeper.errors import NewerFormat, StoreError
from watchkeeper.feedback.entries import WEIGHED, described
from watchkeeper.feedback.ledger import Labelled
from watchkeeper.feedback.policy import MARGIN, Policy, is_lowered, learn, outvoted, restored
from watchkeeper.feedback.questions import questions
from watchkeeper.feedback.rounds import evaluate
from watchkeeper.signals.finding import Band, Finding, FindingSeverity

LINE = {"kind": "log.template.unseen", "template": "cache <*> cold", "template_id": 7, "subject": "7"}
METRIC = {
    "kind": "metric.level",
    "signal": "metrics",
    "subject": "cpu",
    "attributes": {"metric": "cpu"},
    "expected": Band("", 10.0, 20.0, "1"),
    "seen": Band("", 30.0, 30.0, "1"),
}


def wrong(*findings: Finding, by: str = "e") -> list[Labelled]:
    return [Labelled(described(each), False, (f"{by}{at}",)) for at, each in enumerate(findings)]


def right(*findings: Finding, by: str = "r") -> list[Labelled]:
    return [Labelled(described(each), True, (f"{by}{at}",)) for at, each in enumerate(findings)]


def lowers(policy: Policy, one: Finding) -> bool:
    return is_lowered(policy.apply([one])[0])


def test_the_same_again_weighs_less_and_nothing_else():
    policy = learn(wrong(finding(0, **METRIC)))
    assert lowers(policy, finding(900, **METRIC))
    for other in (
        {"service": "pay"},
        {"kind": "metric.flat"},
        {"attributes": {"metric": "memory"}},
        {"seen": Band("", 1.0, 1.0, "1")},
        {"severity": FindingSeverity.CRITICAL},
        {"score": 3.0 * MARGIN},
        {"seen": Band("", 20.0 + 10 * MARGIN, 20.0 + 10 * MARGIN, "1")},
    ):
        assert not lowers(policy, finding(900, **{**METRIC, **other})), other


def test_a_new_form_is_the_same_in_another_service_and_many_new_forms_are_never_the_same():
    assert lowers(learn(wrong(finding(0, **LINE))), finding(50, "pay", **LINE))
    many = {"kind": "log.template.unseen", "subject": "many"}
    assert not learn(wrong(*(finding(at, **many) for at in range(5)))).rules


def test_what_is_lowered_keeps_company_says_why_and_can_be_restored():
    plain = finding(9, **METRIC)
    [lowered] = replace(learn(wrong(finding(0, **METRIC))), number=4).apply([plain])
    assert lowered.severity is FindingSeverity.INFO
    told = lowered.attributes[WEIGHED]
    assert (told["version"], told["severity"], told["wrong"], told["entries"]) == (4, "warning", 1, ["e0"])
    assert told["weight"] == pytest.approx(1 / MARGIN, abs=1e-3)
    assert "expected once" in told["why"]
    assert restored(lowered) == plain
    assert described(lowered) == described(plain)
    assert Policy().apply([lowered]) == [plain]


def test_one_verdict_against_many_of_the_other_kind_makes_no_rule():
    others = [finding(at, **{**LINE, "template": f"cache <*> cold at {at}"}) for at in range(40)]
    lone = finding(99, **METRIC)
    assert not learn([*right(*others), *wrong(lone)]).rules
    assert learn([*right(*others), *wrong(*(replace(lone, id=f"{at}") for at in range(4)))]).rules


def test_what_was_called_right_tells_at_its_strength_unless_errors_explain_it():
    called = [finding(at, **METRIC) for at in range(3)]
    policy = learn([*wrong(*called), *right(finding(9, **METRIC, score=3.5))])
    assert not lowers(policy, finding(50, **METRIC, score=3.5))
    assert lowers(policy, finding(50, **METRIC, score=3.0))
    often = [finding(at, **METRIC) for at in range(30)]
    assert lowers(learn([*wrong(*often), *right(finding(99, **METRIC))]), finding(200, **METRIC))


def test_an_incident_called_right_says_little_of_each_finding_and_still_opens():
    noise, fault = finding(0, **METRIC), finding(1, **LINE)
    both = [Labelled(described(each), True, ("i",), 2) for each in (noise, fault)]
    policy = learn([*wrong(*(finding(at, **METRIC) for at in (5, 6, 7))), *both])
    assert lowers(policy, noise)
    assert not lowers(policy, fault)
    alone = learn([*wrong(*(finding(at, **METRIC) for at in (5, 6, 7))), *right(noise)])
    assert not lowers(alone, noise)


@given(
    score=st.floats(0, 1e6),
    seen=st.floats(-1e6, 1e6),
    severity=st.sampled_from(list(FindingSeverity)),
    said=st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=20),
)
def test_whatever_people_say_a_severe_change_tells(
    score: float, seen: float, severity: FindingSeverity, said: list[tuple[float, bool]]
):
    labels = [
        Labelled(described(finding(at, **METRIC, score=strength)), is_right, (f"{at:02d}",))
        for at, (strength, is_right) in enumerate(said)
    ]
    one = finding(500, **{**METRIC, "score": score, "seen": Band("", seen, seen), "severity": severity})
    if lowers(learn(labels), one):
        strengths = [strength for strength, is_right in said if not is_right]
        assert severity is not FindingSeverity.CRITICAL
        assert score < MARGIN * max(strengths)
        assert 20.0 < seen < 20.0 + 10.0 * MARGIN
        assert not lowers(learn(labels), replace(one, severity=FindingSeverity.CRITICAL))


def test_the_order_of_verdicts_does_not_matter():
    labels = [
        *wrong(*(finding(at, f"s{at % 3}", **METRIC, score=float(at)) for at in range(9))),
        *right(*(finding(at, f"s{at % 2}", **METRIC, score=float(at)) for at in range(20, 24))),
    ]
    shuffled = list(labels)
    random.Random(3).shuffle(shuffled)
    assert learn(labels) == learn(shuffled)


def test_a_policy_is_saved_and_read_again_and_damage_is_told(tmp_path: Path):
    policy = learn(wrong(finding(0, **METRIC), finding(1, **LINE)), entries=["a", "b"])
    policy.save(tmp_path)
    assert Policy.load(tmp_path) == policy
    file = tmp_path / "policy.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(NewerFormat):
        Policy.load(tmp_path)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be read"):
        Policy.load(tmp_path)


def test_a_round_that_lowers_what_was_right_is_not_promoted():
    often = [finding(at, **METRIC) for at in range(12)]
    active = learn(wrong(*often), entries=[f"e{at}" for at in range(12)])
    labels = [*wrong(*often), *right(*(finding(at, "pay", **METRIC) for at in range(30, 36)))]
    bad = learn([*wrong(*often), *wrong(finding(50, "pay", **METRIC), by="x")])
    told = evaluate(bad, active, labels, lost=lambda policy: 0, taken_up=0)
    assert "worse on all earlier feedback" in told.reason
    assert told.earlier.right_lowered == 6
    candidate = learn(labels, entries=["e", "r"])
    good = evaluate(candidate, active, labels, lost=lambda policy: 0, taken_up=0)
    assert good.reason == ""
    lost = evaluate(candidate, active, labels, lost=lambda policy: int(policy is candidate), taken_up=3)
    assert "worse on stored data: 1 of 3" in lost.reason


def test_held_out_verdicts_are_judged_by_rules_made_without_them():
    once = [finding(at, f"s{at}", **METRIC) for at in range(10)]
    told = evaluate(learn(wrong(*once)), Policy(), wrong(*once), lost=lambda policy: 0, taken_up=0)
    assert (told.earlier.wrong_told, told.held_out.wrong_told, told.held_out_before.wrong_told) == (0, 10, 10)
    again = [finding(at, **METRIC) for at in range(10)]
    told = evaluate(learn(wrong(*again)), Policy(), wrong(*again), lost=lambda policy: 0, taken_up=0)
    assert told.held_out.wrong_told == 0


def test_people_are_asked_about_what_is_told_most_and_about_a_second_example():
    kept = [described(finding(at, "cart", **METRIC)) for at in range(5)]
    kept += [described(finding(at, "pay", **METRIC)) for at in range(3)]
    asked = questions(kept, [])
    assert sorted(each.about for each in asked) == [3, 3, 5, 5]
    assert asked[0].about == 5
    assert len({each.finding_id for each in asked}) == 4
    label = next(Labelled(each, False, ("e",)) for each in kept if each.finding_id == asked[0].finding_id)
    again = questions(kept, [label])
    assert (again[0].about, again[0].judged) == (5, 1)
    assert label.described.finding_id not in {each.finding_id for each in again}
    settled = [Labelled(each, True, (f"r{at}",)) for at, each in enumerate(kept[:3])]
    assert questions(kept, settled)[0].about == 3


def test_one_verdict_does_not_speak_for_many_and_two_do():
    same = [finding(at, **METRIC) for at in range(5)]
    told = {described(same[0]).key: 5}
    assert not learn(wrong(same[0]), told=told).rules
    assert lowers(learn(wrong(*same[:2]), told=told), same[4])
    together = [Labelled(described(each), False, ("one",), 2) for each in same[:2]]
    assert not learn(together, told=told).rules, "two findings of one verdict are one person's word"
    assert lowers(learn(wrong(same[0]), told={described(same[0]).key: 2}), same[1])


def test_one_verdict_in_error_neither_makes_nor_stretches_nor_blocks_a_rule():
    same = [finding(at, **METRIC) for at in range(9)]
    told = {described(same[0]).key: 9}
    stretched = learn([*wrong(*same[:3]), *wrong(finding(50, **METRIC, score=9.0), by="x")], told=told)
    assert lowers(stretched, same[8])
    assert not lowers(stretched, finding(60, **METRIC, score=8.0))
    against = right(same[8])
    assert not learn([*wrong(*same[:3]), *against], told=told).rules
    assert lowers(learn([*wrong(*same[:4]), *against], told=told), same[7])
    labels = [*wrong(*same[:4]), *against]
    found = evaluate(learn(labels, told=told), Policy(), labels, told=told, lost=lambda policy: 0, taken_up=0)
    assert (found.reason, found.earlier.right, found.earlier.wrong_told) == ("", 0, 0)
    stronger = [*wrong(*same[:4]), *right(finding(70, **METRIC, score=3.1))]
    assert outvoted(stronger) == frozenset()
    assert not lowers(learn(stronger, told=told), finding(71, **METRIC, score=3.1))
