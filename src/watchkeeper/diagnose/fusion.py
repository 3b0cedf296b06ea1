"""Search by words and by meaning at once: BM25 and embeddings, their orders joined by reciprocal ranks.

Enters: documents by id and an encoder of texts. Leaves: ids with scores, best first. Long documents are searched by
passages; a document counts by its nearest passage. Holds no model: an encoder is passed in.

Sources: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning
Methods", SIGIR 2009 (k = 60).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.retrieval import FUNCTION_WORDS, TextIndex

RANK_OFFSET = 60
DEPTH = 200
PASSAGE_WORDS = 120
PASSAGE_STEP = 80
PASSAGES_MAX = 12

Floats32 = npt.NDArray[np.float32]


class Encoder(Protocol):
    """Turns texts into unit vectors that are near when the texts mean alike."""

    def encode(self, texts: Sequence[str]) -> Floats32:
        """Give (n, d) float32, each row of length 1."""


def fused(orders: Iterable[Sequence[str]], *, offset: int = RANK_OFFSET) -> list[tuple[str, float]]:
    """Join orders of ids, best first, to one: the score of an id is the sum of 1 / (offset + rank); ties by id.

    >>> [name for name, _ in fused([["a", "b", "c"], ["c", "a"]])]
    ['a', 'c', 'b']
    """
    scores: dict[str, float] = {}
    for order in orders:
        for rank, name in enumerate(order, 1):
            scores[name] = scores.get(name, 0.0) + 1.0 / (offset + rank)
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))


def passages(text: str) -> list[str]:
    """Cut a text into overlapping passages of PASSAGE_WORDS words, PASSAGES_MAX at most; one at least."""
    words = text.split()
    starts = range(0, max(1, len(words) - (PASSAGE_WORDS - PASSAGE_STEP)), PASSAGE_STEP)
    return [" ".join(words[at : at + PASSAGE_WORDS]) for at in starts][:PASSAGES_MAX]


class MeaningIndex:
    """An index of documents by the vectors of their passages. Cost: one encoding a passage to build, one a query."""

    def __init__(self, documents: Mapping[str, str], encoder: Encoder) -> None:
        cut = [(name, passage) for name, text in documents.items() for passage in passages(text)]
        self._names = list(documents)
        self._encoder = encoder
        place = {name: at for at, name in enumerate(self._names)}
        self._owner = np.array([place[name] for name, _ in cut], np.int64)
        self._vectors = encoder.encode([passage for _, passage in cut]) if cut else np.zeros((0, 1), np.float32)

    def search(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """Give up to `limit` (id, cosine in -1..1), nearest first; ties in order of the documents."""
        if not self._names:
            return []
        near = self._vectors @ self._encoder.encode([query])[0]
        best = np.full(len(self._names), -1.0, np.float64)
        np.maximum.at(best, self._owner, near.astype(np.float64))
        order = np.argsort(-best, kind="stable")[:limit]
        return [(self._names[at], float(best[at])) for at in order]


class FusedIndex:
    """BM25 and meaning over the same documents."""

    def __init__(self, documents: Mapping[str, str], encoder: Encoder) -> None:
        self._words = TextIndex(documents, left_out=FUNCTION_WORDS)
        self._meaning = MeaningIndex(documents, encoder)

    def search(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """Give up to `limit` (id, score), best first; scores order one answer and mean nothing across queries."""
        orders = [[name for name, _ in index.search(query, DEPTH)] for index in (self._words, self._meaning)]
        return fused(orders)[:limit]
