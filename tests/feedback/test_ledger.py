"""The log of feedback: who said what counts, what is taken back, what cannot be said, and that nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.diagnose.incident_findings import START, finding

from watchkeeper.errors import Conflict, NotFound, QueryError
from watchkeeper.feedback.entries import Verdict
from watchkeeper.feedback.ledger import About, Feedback, labelled
from watchkeeper.store.metadata import Metadata

ONE, TWO = finding(0), finding(5, "pay")
KNOWN = {
    ONE.id: About("finding", ONE.id, ONE.title, (ONE,)),
    TWO.id: About("finding", TWO.id, TWO.title, (TWO,)),
    "both": About("incident", "both", "an incident", (ONE, TWO)),
}


@pytest.fixture
def feedback(tmp_path: Path) -> Feedback:
    return Feedback(Metadata(tmp_path / "metadata.sqlite"), KNOWN.get, now_unix_ns=lambda: START)


def truth(feedback: Feedback, subject: str = ONE.id) -> str:
    told = feedback.judged().get(subject)
    return told.truth if told else ""


def test_the_same_said_again_is_kept_once(feedback: Feedback):
    first = feedback.give(ONE.id, "wrong", who="ann", why="the nightly job")
    assert first.is_new
    again = feedback.give(ONE.id, "wrong", who=" ann ")
    assert (again.entry.id, again.is_new) == (first.entry.id, False)
    assert feedback.give(ONE.id, "wrong", who="bob").is_new
    assert [each.by for each in feedback.entries()] == ["ann", "bob"]


def test_the_latest_word_of_a_person_counts_and_the_majority_of_people(feedback: Feedback):
    feedback.give(ONE.id, "wrong", who="ann")
    feedback.give(ONE.id, "right", who="bob")
    assert truth(feedback) == "disputed"
    assert labelled(feedback.in_force()) == []
    feedback.give(ONE.id, "right", who="cem")
    assert truth(feedback) == "right"
    feedback.give(ONE.id, "wrong", who="bob")
    assert truth(feedback) == "wrong"
    assert len(feedback.entries()) == 4


def test_an_undo_is_an_entry_and_brings_the_word_before_back(feedback: Feedback):
    feedback.give(ONE.id, "wrong", who="ann")
    later = feedback.give(ONE.id, "right", who="ann").entry
    assert truth(feedback) == "right"
    undone = feedback.undo(later.id, who="bob", why="a slip")
    assert undone.is_new
    assert (undone.entry.verdict, undone.entry.undoes, undone.entry.by) == (Verdict.UNDO, later.id, "bob")
    assert truth(feedback) == "wrong"
    assert not feedback.undo(later.id, who="bob").is_new
    with pytest.raises(QueryError, match="itself an undo"):
        feedback.undo(undone.entry.id, who="bob")
    with pytest.raises(NotFound, match="no feedback"):
        feedback.undo("nothing", who="bob")
    with pytest.raises(QueryError, match="somebody's"):
        feedback.undo(later.id, who=" ")
    assert [each.verdict.value for each in feedback.entries()] == ["wrong", "right", "undo"]


def test_a_verdict_on_a_finding_goes_before_one_on_its_incident(feedback: Feedback):
    feedback.give("both", "wrong", who="ann")
    feedback.give(TWO.id, "right", who="ann")
    told = {each.described.finding_id: each for each in labelled(feedback.in_force())}
    assert (told[ONE.id].is_right, told[ONE.id].together) == (False, 2)
    assert (told[TWO.id].is_right, told[TWO.id].together) == (True, 1)


def test_naming_cause_or_category_says_that_there_was_a_fault(feedback: Feedback):
    feedback.give("both", "cause", true_cause="cart", who="ann")
    feedback.give("both", "category", true_category="network", who="bob")
    feedback.give("both", "cause", true_cause="host:n1", who="cem")
    feedback.give("both", "cause", true_cause="host:n1", who="dan")
    told = feedback.judged()["both"]
    assert (told.truth, told.true_cause, told.true_category) == ("right", "host:n1", "network")


@pytest.mark.parametrize(
    ("said", "error", "tells"),
    [
        ({"subject": "x", "verdict": "wrong"}, NotFound, "no finding or incident"),
        ({"verdict": "maybe"}, QueryError, "one of right, wrong, cause, category"),
        ({"verdict": "undo"}, QueryError, "one of right"),
        ({"verdict": "category", "true_category": "gremlins"}, QueryError, "docs/categories.md"),
        ({"verdict": "category"}, QueryError, "needs true_category"),
        ({"verdict": "cause", "true_cause": "planet:mars"}, QueryError, "kind:name"),
        ({"verdict": "wrong", "true_cause": "cart"}, QueryError, "give two verdicts"),
        ({"verdict": "wrong", "who": " "}, QueryError, "who gives it"),
        ({"verdict": "wrong", "why": "x" * 5_000}, QueryError, "at most"),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason(
    feedback: Feedback, said: dict[str, str], error: type[Exception], tells: str
):
    with pytest.raises(error, match=tells):
        feedback.give(**{"subject": ONE.id, "who": "ann", **said})
    assert feedback.entries() == []


def test_one_person_does_not_say_that_there_was_no_fault_and_what_its_cause_was(feedback: Feedback):
    feedback.give(ONE.id, "wrong", who="ann")
    with pytest.raises(Conflict, match="undo that first"):
        feedback.give(ONE.id, "cause", true_cause="cart", who="ann")
    feedback.give(ONE.id, "cause", true_cause="cart", who="bob")
    with pytest.raises(Conflict, match="undo that first"):
        feedback.give(ONE.id, "wrong", who="bob")


def test_the_log_survives_a_restart_and_is_listed_in_pages(tmp_path: Path):
    file = tmp_path / "metadata.sqlite"
    first = Feedback(Metadata(file), KNOWN.get, now_unix_ns=lambda: START)
    for at in range(5):
        first.give(ONE.id, "wrong", who=f"p{at}")
    second = Feedback(Metadata(file), lambda subject: None, now_unix_ns=lambda: START)
    assert second.entries() == first.entries()
    page, more = second.list(limit=2)
    rest, end = second.list(limit=9, cursor=more or "")
    assert [each.by for each in (*page, *rest)] == ["p4", "p3", "p2", "p1", "p0"]
    assert end is None
    assert [each.by for each in second.list(by="p3")[0]] == ["p3"]
    with pytest.raises(QueryError, match="is not a cursor"):
        second.list(cursor="x")
