"""Classifiers of failures: the product's learner on events and on texts, and nearest neighbours as retrieval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.diagnose.category.learner import EVENTS, TEXTS, Option, learn
from watchkeeper.diagnose.category.text import text_features
from watchkeeper.diagnose.retrieval import TextIndex


class Learner:
    """`diagnose.category.learner.learn`, which chooses its option by folds of the training part."""

    def __init__(self, options: tuple[Option, ...], *, text: bool) -> None:
        self._options, self._text = options, text

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        told = [(self._features(example.given), str(example.label)) for example in examples]
        features, labels = [each for each, _ in told], [label for _, label in told]
        self._learned = learn(features, labels, options=self._options, seed=context.seed)

    def answer(self, given: Any) -> dict[str, float]:
        """Give probabilities."""
        row = self._learned.probabilities([self._features(given)])[0]
        return dict(zip(self._learned.classes, row.tolist(), strict=True))

    def _features(self, given: Any) -> dict[str, float]:
        return text_features(given) if self._text else given


class Nearest:
    """The classes of the five nearest texts by BM25, weighed by their scores; the shares of all when none is near."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index the texts."""
        told = [(str(example.given), str(example.label)) for example in examples]
        self._labels = [label for _, label in told]
        self._index = TextIndex({str(at): text for at, (text, _) in enumerate(told)})

    def answer(self, given: str) -> dict[str, float]:
        """Give shares of the neighbours' scores."""
        weights: Counter[str] = Counter()
        for name, score in self._index.search(given, 5):
            weights[self._labels[int(name)]] += score  # type: ignore[assignment]
        weights = weights or Counter(self._labels)
        total = sum(weights.values())
        return {name: value / total for name, value in weights.items()}


MODELS = (
    ModelSpec(
        "category_events",
        ("counts",),
        lambda: Learner(EVENTS, text=False),
        "the product's forest on events",
        random=True,
        needs_labels=True,
    ),
    ModelSpec(
        "category_text",
        ("narrative",),
        lambda: Learner(TEXTS, text=True),
        "the product's linear models on words",
        needs_labels=True,
    ),
    ModelSpec("nearest_text", ("narrative",), Nearest, "classes of the nearest texts, BM25", needs_labels=True),
)
