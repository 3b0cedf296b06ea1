"""Fairness: what a model is handed, and that reaching for more fails."""

from __future__ import annotations

import numpy as np
import pytest

from watchkeeper.bench.base import BenchError, Item, Split
from watchkeeper.bench.forms import FORMS
from watchkeeper.bench.protocol import Peeked, run_split

FORM = FORMS.get("vectors")


def split(*, labelled=False):
    rows = np.arange(12.0).reshape(6, 2)
    label = np.array([False, True])
    return Split(
        "one",
        (Item("a", rows[:2], label),),
        (Item("b", rows[2:4], label), Item("c", rows[4:], label)),
        (Item("v", rows[:2] + 0.5, label),),
        labelled=labelled,
        facts={"budget": 0.5, "known": np.zeros(2)},
    )


class Watching:
    def __init__(self):
        self.labels, self.given = [], []

    def fit(self, examples, context):
        self.examples = iter(examples)
        for example in self.examples:
            self.labels.append(example.label)

    def answer(self, given):
        self.given.append(given)
        return given.sum(axis=1)


def test_answers_are_asked_for_in_order_and_the_threshold_is_of_the_validation_part():
    outcome, spent, model = run_split(Watching, split(), FORM, 0)
    assert [given[0, 0] for given in model.given] == [0.5, 4.0, 8.0]
    assert outcome.threshold == pytest.approx(np.quantile([2.0, 6.0], 0.5))
    assert spent.asked == 3
    assert [answer.tolist() for answer in outcome.answers] == [[9.0, 13.0], [17.0, 21.0]]


def test_labels_are_shown_only_where_the_protocol_lets_them():
    _, _, hidden = run_split(Watching, split(), FORM, 0)
    _, _, shown = run_split(Watching, split(labelled=True), FORM, 0)
    assert hidden.labels == [None]
    assert shown.labels[0].tolist() == [False, True]


def test_what_is_given_holds_no_truth():
    _, _, model = run_split(Watching, split(), FORM, 0)
    assert all(type(given) is np.ndarray and given.shape == (2, 2) for given in model.given)


class Noting(Watching):
    def fit(self, examples, context):
        context.facts["budget"] = 0.9


class Rewriting(Watching):
    def fit(self, examples, context):
        context.facts["known"][0] = 7.0


class Twice(Watching):
    def fit(self, examples, context):
        list(examples)
        list(examples)


class Keeping(Watching):
    def fit(self, examples, context):
        self.rest = iter(examples)

    def answer(self, given):
        next(self.rest)
        return given.sum(axis=1)


class Writing(Watching):
    def answer(self, given):
        given[0, 0] = 7.0
        return given.sum(axis=1)


@pytest.mark.parametrize(
    ("model", "error"),
    [(Twice, Peeked), (Keeping, Peeked), (Writing, ValueError), (Noting, TypeError), (Rewriting, ValueError)],
)
def test_peeking_fails(model, error):
    with pytest.raises(error):
        run_split(model, split(), FORM, 0)


def test_an_iterator_begun_in_fit_gives_nothing_after_it():
    class Begun(Keeping):
        def fit(self, examples, context):
            super().fit(examples, context)
            next(self.rest)

    two = split()
    both = Split(two.name, two.train * 2, two.test, two.validation, facts=two.facts)
    with pytest.raises(Peeked):
        run_split(Begun, both, FORM, 0)


@pytest.mark.parametrize("answer", [[1.0], [1.0, float("nan")], "text", [[1.0, 2.0]]])
def test_an_answer_that_is_none_fails(answer):
    class Wrong(Watching):
        def answer(self, given):
            return answer

    with pytest.raises(BenchError, match="no answer"):
        run_split(Wrong, split(), FORM, 0)


def test_a_threshold_of_the_model_itself_decides():
    class Own(Watching):
        threshold = 3.0

    assert run_split(Own, split(), FORM, 0)[0].threshold == 3.0
