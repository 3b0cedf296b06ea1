"""Answers to questions with choices: by retrieval, and the trivial ones beside it.

Known beforehand are the runbooks (facts `documents`) and the questions of the training part with their right choices.
Of a question with several right choices as many are told as are right in most such questions of the training part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Choice
from watchkeeper.bench.models.answers import NEEDS, encoder
from watchkeeper.diagnose.quotes import Passages, cut
from watchkeeper.diagnose.retrieval import TextIndex

FOUND = 8
SEVERAL = 2


class Choosing:
    """Tells the choices with the highest scores; subclasses say what they are."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn how many are right where several are, and which places."""
        told = [(each.given, each.label.right) for each in examples]
        counts = Counter(len(right) for given, right in told if given.several)
        self._several = max(sorted(counts), key=lambda count: counts[count]) if counts else SEVERAL
        self.learn(told, context)

    def learn(self, told: Sequence[tuple[Choice, frozenset[int]]], context: Context) -> None:
        """Learn from questions and their right choices."""

    def answer(self, given: Choice) -> list[int]:
        """Give the numbers of the choices with the highest scores; the first of equals."""
        order = np.argsort(-np.asarray(self.scores(given), np.float64), kind="stable")
        return [int(at) for at in order[: self._several if given.several else 1]]

    def scores(self, given: Choice) -> Sequence[float]:
        """Give a score a choice, higher = likelier right."""
        return [0.0] * len(given.choices)


class Longest(Choosing):
    """The longest choices."""

    def scores(self, given: Choice) -> Sequence[float]:
        """Give lengths."""
        return [float(len(choice)) for choice in given.choices]


class Majority(Choosing):
    """The places that are right most often."""

    def learn(self, told: Sequence[tuple[Choice, frozenset[int]]], context: Context) -> None:
        """Count places."""
        self._right = Counter(at for _, right in told for at in right)

    def scores(self, given: Choice) -> Sequence[float]:
        """Give counts."""
        return [float(self._right[at]) for at in range(len(given.choices))]


class Drawn(Choosing):
    """Random choices."""

    def learn(self, told: Sequence[tuple[Choice, frozenset[int]]], context: Context) -> None:
        """Take the seed."""
        self._random = np.random.default_rng(context.seed)

    def scores(self, given: Choice) -> Sequence[float]:
        """Draw."""
        return list(self._random.random(len(given.choices)))


class ByWords(Choosing):
    """The choice whose words the passages nearest to the question hold: the idf-weighted share, best passage counts."""

    def learn(self, told: Sequence[tuple[Choice, frozenset[int]]], context: Context) -> None:
        """Index the passages of the documents and of the training part."""
        passages = [passage for text in context.facts.get("documents", {}).values() for passage in cut(text)]
        passages += [" ".join([given.question, *(given.choices[at] for at in sorted(right))]) for given, right in told]
        self._index = TextIndex({passage: passage for passage in passages})

    def scores(self, given: Choice) -> Sequence[float]:
        """Give shares."""
        found = [text for text, _ in self._index.search(given.question, FOUND)]
        told = Passages(found)
        return [float(told.asked(choice).max(initial=0.0)) for choice in given.choices]


class ByMeaning(ByWords):
    """The choice that is nearest in meaning to the question or to the passages found; cosines, the highest counts."""

    def scores(self, given: Choice) -> Sequence[float]:
        """Give cosines."""
        found = [text for text, _ in self._index.search(given.question, FOUND)]
        vectors = encoder().encode([given.question, *found, *given.choices])
        around, choices = vectors[: 1 + len(found)], vectors[1 + len(found) :]
        return [float(value) for value in (choices @ around.T).max(axis=1)]


class Fused(ByMeaning):
    """The sum of the reciprocal ranks by words and by meaning."""

    def scores(self, given: Choice) -> Sequence[float]:
        """Give sums of 1 / (60 + rank); equal scores share their rank."""
        both = [np.asarray(ByWords.scores(self, given)), np.asarray(ByMeaning.scores(self, given))]
        ranks = [(scores[None, :] > scores[:, None]).sum(axis=1) + 1 for scores in both]
        return [float(value) for value in sum(1.0 / (60 + rank) for rank in ranks)]


_FORM, _TASKS = ("choice",), ("questioning",)
_model = partial(ModelSpec, forms=_FORM, tasks=_TASKS)
MODELS = (
    _model(name="choice_bm25", make=ByWords, about="choices by the words of the nearest passages"),
    _model(name="choice_minilm", make=ByMeaning, about="choices by meaning (MiniLM, English)", needs=NEEDS),
    _model(name="choice_fused", make=Fused, about="both by reciprocal ranks", needs=NEEDS),
    _model(name="random_choice", make=Drawn, about="random choices", trivial=True, random=True),
    _model(name="majority_choice", make=Majority, about="the places most often right", trivial=True),
    _model(name="first_choice", make=Choosing, about="the first choices", trivial=True),
    _model(name="longest_choice", make=Longest, about="the longest choices", trivial=True),
)
