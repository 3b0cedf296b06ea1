"""Retrieval over the documents of a split (facts `documents`) and over past incidents, and trivial orders beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Query
from watchkeeper.bench.models.answers import NEEDS, encoder
from watchkeeper.diagnose.fusion import FusedIndex, MeaningIndex
from watchkeeper.diagnose.retrieval import FUNCTION_WORDS, TextIndex

RANKED = 50
NEIGHBOURS = 10


class Index(Protocol):
    """Documents that can be searched."""

    def search(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """Give ids with scores, best first."""


Made = Callable[[Mapping[str, str]], Index]


def by_words(documents: Mapping[str, str]) -> Index:
    """Index by BM25, function words left out of queries."""
    return TextIndex(documents, left_out=FUNCTION_WORDS)


def by_meaning(documents: Mapping[str, str]) -> Index:
    """Index by MiniLM."""
    return MeaningIndex(documents, encoder())


def by_both(documents: Mapping[str, str]) -> Index:
    """Index by words and MiniLM."""
    return FusedIndex(documents, encoder())


class Retrieval:
    """The documents nearest to what is told."""

    def __init__(self, make: Made = by_words) -> None:
        self._make = make

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index."""
        self._index = self._make(context.facts["documents"])

    def answer(self, given: Query) -> list[str]:
        """Give ids, best first."""
        return [name for name, _ in self._index.search(given.text, RANKED)]


class NearestIncident:
    """The solutions of the past incidents most alike: each counts by the ranks of the incidents that it ended."""

    def __init__(self, make: Made = by_words) -> None:
        self._make = make

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index the incidents of the training part."""
        told = list(examples)
        self._solutions = [sorted(example.label) for example in told]
        self._index = self._make({str(at): example.given.text for at, example in enumerate(told)})

    def answer(self, given: Query) -> list[str]:
        """Give ids, best first."""
        near = self._index.search(given.text, NEIGHBOURS)
        scores: Counter[str] = Counter()
        for rank, (at, _) in enumerate(near, 1):
            for name in self._solutions[int(at)]:
                scores[name] += 1.0 / rank  # type: ignore[assignment]
        return sorted(scores, key=lambda name: (-scores[name], name))


class Frequent:
    """The solutions that were right most often first, or those of the most frequent kind (facts `kinds`)."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count."""
        kinds = context.facts.get("kinds", {})
        counts = Counter(kinds.get(name, name) for example in examples for name in example.label)
        self._names = sorted(context.facts["documents"], key=lambda name: (-counts[kinds.get(name, name)], name))

    def answer(self, given: Query) -> list[str]:
        """Give ids."""
        return self._names


class RandomOrder:
    """The documents in a random order."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the seed."""
        self._names = sorted(context.facts["documents"])
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Query) -> list[str]:
        """Give ids."""
        return [self._names[at] for at in self._random.permutation(len(self._names))]


class Longest:
    """The longest documents first, whatever is asked."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Sort."""
        documents = context.facts["documents"]
        self._names = sorted(documents, key=lambda name: (-len(documents[name]), name))

    def answer(self, given: Query) -> list[str]:
        """Give ids."""
        return self._names


_FORM, _TASKS = ("query",), ("mitigation",)
MODELS = (
    ModelSpec("bm25", _FORM, Retrieval, "full-text search over the solutions", _TASKS),
    ModelSpec(
        "minilm", _FORM, lambda: Retrieval(by_meaning), "solutions nearest in meaning (MiniLM)", _TASKS, needs=NEEDS
    ),
    ModelSpec("fused", _FORM, lambda: Retrieval(by_both), "BM25 and MiniLM by reciprocal ranks", _TASKS, needs=NEEDS),
    ModelSpec(
        "nearest_incident", _FORM, NearestIncident, "solutions of the nearest incidents", _TASKS, needs_labels=True
    ),
    ModelSpec(
        "nearest_incident_fused",
        _FORM,
        lambda: NearestIncident(by_both),
        "the same, nearest by words and MiniLM",
        _TASKS,
        needs_labels=True,
        needs=NEEDS,
    ),
    ModelSpec("random_order", _FORM, RandomOrder, "solutions in a random order", _TASKS, trivial=True, random=True),
    ModelSpec("longest_first", _FORM, Longest, "the longest solutions first", _TASKS, trivial=True),
    ModelSpec(
        "frequent_first",
        _FORM,
        Frequent,
        "the solutions most often right first",
        _TASKS,
        trivial=True,
        needs_labels=True,
    ),
)
