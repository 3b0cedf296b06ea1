"""Questioning by hand: exact choices, halves that count alike, and twins that ask for silence."""

import pytest

from watchkeeper.bench.base import Item, Outcome, Split
from watchkeeper.bench.forms import Choice, Query
from watchkeeper.bench.scores.facts import fact
from watchkeeper.bench.tasks.questioning import Chosen, Facts, Open, measure

EVIDENCE = ("disk of node-7 is full",)
FACTS = Facts((fact("node-7 disk full"),))
ASKED = (
    Item("a", Query("why?", EVIDENCE), FACTS),
    Item("b", Query("why?", EVIDENCE), FACTS),
    Item("a without", Query("why?", ("all well",)), Facts(())),
    Item("b without", Query("why?", ("all well",)), Facts(())),
)


def measured(items, answers):
    return measure([Outcome(Split("all", (), tuple(items)), (), tuple(answers))])


def values(items, answers):
    return {name: figure.value for name, figure in measured(items, answers).figures.items()}


def test_choices_must_be_exactly_right():
    items = [Item(str(at), Choice("?", ("x", "y", "z")), Chosen(frozenset({0, 2}))) for at in range(4)]
    answers = [frozenset({0, 2}), frozenset({0}), frozenset({0, 1, 2}), frozenset()]
    assert values(items, answers) == {"accuracy": 0.25}


def test_always_silent_and_always_quoting_earn_half():
    quoting = values(ASKED, [list(EVIDENCE)] * 4)
    assert (quoting["fact_recall"], quoting["right_abstentions"], quoting["balanced"]) == (1.0, 0.0, 0.5)
    silent = values(ASKED, [[]] * 4)
    assert (silent["fact_recall"], silent["right_abstentions"], silent["balanced"]) == (0.0, 1.0, 0.5)


def test_right_answers_and_right_silence_earn_all():
    told = measured(ASKED, [list(EVIDENCE), [], [], []])
    assert told.figures["balanced"].value == pytest.approx(0.75)
    assert told.figures["unsupported"].value == 0.0
    assert told.cases == {
        name: {"balanced": worth} for name, worth in zip([item.id for item in ASKED], [1, 0, 1, 1], strict=True)
    }


def test_an_invented_text_is_unsupported():
    assert values(ASKED, [["the moon fell on the rack"], [], [], []])["unsupported"] == 1.0


def test_open_answers_without_checkable_facts_have_a_token_f1_only():
    items = [
        Item("1", Query("?"), Open("disk full now", (fact("disk full"),))),
        Item("2", Query("?"), Open("yes", ())),
    ]
    told = measured(items, [["disk full"], ["no"]])
    assert told.figures["token_f1"].value == pytest.approx(0.4)
    assert told.figures["fact_recall"].value == 1.0
    assert set(told.cases["1"]) == set(told.cases["2"]) == {"token_f1"}
