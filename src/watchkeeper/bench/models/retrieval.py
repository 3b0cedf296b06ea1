"""Retrieval over the documents of a split (facts `documents`), and the trivial orders beside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Query
from watchkeeper.diagnose.retrieval import TextIndex

RANKED = 50


class Retrieval:
    """BM25 over the documents."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index."""
        self._index = TextIndex(context.facts["documents"])

    def answer(self, given: Query) -> list[str]:
        """Give ids, best first."""
        return [name for name, _ in self._index.search(given.text, RANKED)]


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
    ModelSpec("random_order", _FORM, RandomOrder, "solutions in a random order", _TASKS, trivial=True, random=True),
    ModelSpec("longest_first", _FORM, Longest, "the longest solutions first", _TASKS, trivial=True),
)
