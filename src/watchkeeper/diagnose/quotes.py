"""Answers a question by quoting recorded evidence: the passages that speak of what is asked and of what went wrong.

Enters: a question and texts (logs, what tools print, runbooks). Leaves: passages word for word, best first, or none
when nothing is near enough. A passage counts by the words of the question that it holds, weighed by how rare they
are in the evidence; by what it says of failures; and by how rare lines like it are. Generates no words of its own.

Source of the weights of words: Spärck Jones, "A Statistical Interpretation of Term Specificity", 1972 (idf).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.diagnose.category.vocabulary import TERMS
from watchkeeper.diagnose.retrieval import terms

PASSAGE_CHARS = 300
PASSAGE_LINES = 3
QUOTES_MAX = 3
_TROUBLE = re.compile(
    r"err(?:or|no)|fail|exception|fatal|panic|crash|abort|denied|refus|reject|time(?:d )?.?out|unable|can(?:no|')t\b|"
    r"not found|no such|missing|undefined|invalid|unavailable|expired|exceed|insufficient|evict|kill|back.?off|"
    r"unhealthy|pressure|degraded|unknown|warn|critical|lost|corrupt|conflict|violat|unexpected|not ready|pending|slow",
    re.IGNORECASE,
)
_VARIES = re.compile(r"[0-9a-f]*\d[0-9a-f]*", re.IGNORECASE)
Floats = npt.NDArray[np.float64]


class Quote(NamedTuple):
    """A passage word for word: of which text (its place), and how near it is (>= 0, higher = nearer)."""

    source: int
    text: str
    score: float


class Weights(NamedTuple):
    """What speaks for a passage, and the score below which nothing is quoted."""

    trouble: float = 1.0
    rare: float = 0.5
    floor: float = 0.0


class Passages:
    """The passages of some evidence with what is known of each before a question is asked; cost: linear in the text."""

    def __init__(self, evidence: Sequence[str]) -> None:
        told = [(source, passage) for source, text in enumerate(evidence) for passage in cut(text)]
        self.sources = [source for source, _ in told]
        self.texts = [passage for _, passage in told]
        self._words = [frozenset(terms(text)) for text in self.texts]
        self._seen = Counter(word for words in self._words for word in words)
        self.shapes = [_VARIES.sub("#", text) for text in self.texts]
        often = Counter(self.shapes)
        self.trouble = np.array([_troubles(text) for text in self.texts], np.float64)
        self.rarity = np.array([1.0 / often[shape] for shape in self.shapes], np.float64)

    def asked(self, question: str) -> Floats:
        """Give for each passage the share of the question's words that it holds, weighed by idf, 0..1."""
        count = len(self.texts)
        weights = {
            word: math.log((count + 1) / (self._seen[word] + 0.5))
            for word in sorted(set(terms(question)))  # sums must not hang on the order of hashes
            if self._seen[word]
        }
        total = sum(weights.values())
        if total <= 0:
            return np.zeros(count)
        shares = [sum(weights[word] for word in sorted(weights.keys() & words)) / total for words in self._words]
        return np.array(shares, np.float64)

    def scores(self, question: str, weights: Weights) -> Floats:
        """Give how near each passage is."""
        return self.asked(question) + weights.trouble * self.trouble + weights.rare * self.rarity

    def best(self, scores: Floats, floor: float, most: int = QUOTES_MAX) -> list[Quote]:
        """Give the passages from the floor on, best first, of those alike but for numbers only the first."""
        quoted: list[Quote] = []
        shown: set[str] = set()
        for at in np.argsort(-scores, kind="stable"):
            if scores[at] < floor or len(quoted) == most:
                break
            if self.shapes[at] not in shown:
                shown.add(self.shapes[at])
                quoted.append(Quote(self.sources[at], self.texts[at], float(scores[at])))
        return quoted


def quotes(question: str, evidence: Sequence[str], weights: Weights | None = None) -> list[Quote]:
    """Give what the evidence says to a question, best first, QUOTES_MAX at most; [] when nothing reaches the floor."""
    chosen = weights or Weights()
    told = Passages(evidence)
    return told.best(told.scores(question, chosen), chosen.floor)


def cut(text: str) -> Iterator[str]:
    """Cut a text into passages of neighbouring lines: PASSAGE_LINES and PASSAGE_CHARS at most; long lines are cut."""
    held: list[str] = []
    for line in text.splitlines():
        told = line.strip()
        for at in range(0, len(told), PASSAGE_CHARS):
            piece = told[at : at + PASSAGE_CHARS]
            if len(held) == PASSAGE_LINES or sum(map(len, held)) + len(held) + len(piece) > PASSAGE_CHARS:
                yield "\n".join(held)
                held = []
            held.append(piece)
    if held:
        yield "\n".join(held)


def _troubles(text: str) -> float:
    """Give 0..1: how much a passage says of failures; each other word of it halves what is left to 1."""
    found = {match.lower() for match in _TROUBLE.findall(text)}
    named = sum(bool(term.pattern.search(text)) for term in TERMS)
    return 1.0 - 0.5 ** (len(found) + named)
