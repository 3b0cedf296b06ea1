"""Models of questioning and mitigation on tiny cases: floors from training, choices, past incidents."""

import numpy as np
import pytest

from watchkeeper.bench.base import Context, Example
from watchkeeper.bench.forms import Choice, Query
from watchkeeper.bench.models.answers import Quoting, Retrieved, Tried, by_words, floor_of, worth
from watchkeeper.bench.models.choices import ByWords, Choosing, Drawn, Longest, Majority
from watchkeeper.bench.models.retrieval import Frequent, NearestIncident, Retrieval
from watchkeeper.bench.scores.facts import fact
from watchkeeper.bench.tasks.questioning import Chosen, Facts, Open

QUESTION = "why does checkout fail?"
CALM = tuple(f"service {name} answered all requests" for name in ("ad", "cart", "email"))
BROKEN = (*CALM, "checkout: fatal error, connection refused by redis")
TOLD = Facts((fact("redis connection refused", QUESTION),))
TRAIN = [Example(Query(QUESTION, BROKEN), TOLD), Example(Query(QUESTION, CALM), Facts(()))]
CONTEXT = Context(0, {})


def test_the_floor_parts_the_answerable_from_the_others():
    tried = [Tried(3.0, 1.0), Tried(2.0, 1.0), Tried(1.0, None)]
    assert 1.0 < floor_of(tried) < 2.0
    assert worth(tried, floor_of(tried)) == 1.0
    assert floor_of([Tried(1.0, 1.0), Tried(2.0, None)]) == -np.inf
    assert floor_of([]) == -np.inf


@pytest.mark.parametrize("make", [Quoting, lambda: Retrieved(by_words)])
def test_what_was_learned_decides_between_answer_and_silence(make):
    model = make()
    model.fit(iter(TRAIN), CONTEXT)
    asked = "why does payment fail?"
    broken = (*CALM, "payment: fatal error, connection refused by postgres")
    assert any("postgres" in text for text in model.answer(Query(asked, broken)))
    assert model.answer(Query(asked, CALM)) == []


def test_without_evidence_the_nearest_of_what_is_known_is_told():
    model = Retrieved(by_words)
    known = [Example(Query("what do logs tell?"), Open("levels and times", ()))]
    model.fit(iter(known), Context(0, {"documents": {"x": "restart the broker"}}))
    assert model.answer(Query("broker restart")) == ["restart the broker"]


ASKED = Choice("which port has ssh", ("80", "port 22 of tcp", "443"))
SEVERAL = Choice("which two", ("x", "yy", "zzz"), several=True)
CHOSEN = [Example(ASKED, Chosen(frozenset({1}))), Example(SEVERAL, Chosen(frozenset({1, 2})))]


def answers(model, seed=0):
    model.fit(iter(CHOSEN), Context(seed, {"documents": {"ports": "ssh listens at port 22 of tcp"}}))
    return [list(model.answer(given)) for given in (ASKED, SEVERAL)]


def test_choices_by_rule_and_by_words():
    assert answers(Choosing()) == [[0], [0, 1]]
    assert answers(Longest()) == [[1], [2, 1]]
    assert answers(Majority()) == [[1], [1, 2]]
    assert answers(ByWords())[0] == [1]
    assert answers(Drawn(), 3) == answers(Drawn(), 3)


def test_solutions_of_the_nearest_incidents_and_the_most_frequent_first():
    past = [
        Example(Query("disk full on node"), frozenset({"clean"})),
        Example(Query("pod crash loop"), frozenset({"undo"})),
        Example(Query("image crash"), frozenset({"undo"})),
    ]
    documents = {"clean": "delete old logs", "scale": "add replicas", "undo": "roll the deployment back"}
    near, often, text = NearestIncident(), Frequent(), Retrieval()
    for model in (near, often, text):
        model.fit(iter(past), Context(0, {"documents": documents}))
    assert near.answer(Query("the disk is full"))[0] == "clean"
    assert often.answer(Query("anything"))[0] == "undo"
    assert text.answer(Query("roll back")) == ["undo"]
    often.fit(iter(past), Context(0, {"documents": documents, "kinds": {"clean": "k", "scale": "k", "undo": "u"}}))
    assert often.answer(Query("anything")) == ["undo", "clean", "scale"]
