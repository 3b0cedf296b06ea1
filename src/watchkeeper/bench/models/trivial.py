"""Trivial baselines of every form: what any claim is held against.

Each is registered like any other model. `always` and `never` flag all and nothing, `random` draws, `majority` tells the
most frequent answer of the training part with the shares as probabilities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec

SCORED = ("sessions", "series", "vectors", "rows", "modalities")


class Constant:
    """Gives every row the same score; flags all of them or none."""

    def __init__(self, *, flags: bool) -> None:
        self.score = float(flags)
        self.threshold = 0.5

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Any) -> Any:
        """Give the constant."""
        return np.full(len(given), self.score)


class RandomScores:
    """Draws a score for each row; half of the rows are flagged."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the seed."""
        self.threshold = 0.5
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Any) -> Any:
        """Give numbers in 0..1."""
        return self._random.random(len(given))


class Majority:
    """Tells the shares of the classes in the training part."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count labels."""
        counts = Counter(str(example.label) for example in examples)
        total = sum(counts.values())
        self.shares = {name: count / total for name, count in sorted(counts.items())}

    def answer(self, given: Any) -> dict[str, float]:
        """Give the shares, whatever is given."""
        return dict(self.shares)


class RandomClass(Majority):
    """Tells a class drawn by its share in the training part."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count labels and take the seed."""
        super().fit(examples, context)
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Any) -> dict[str, float]:
        """Give one class for certain."""
        names = list(self.shares)
        drawn = self._random.choice(len(names), p=list(self.shares.values()))
        return {name: float(at == drawn) for at, name in enumerate(names)}


_CLASSES = ("counts", "narrative")
MODELS = (
    ModelSpec("always", SCORED, lambda: Constant(flags=True), "flags everything", trivial=True),
    ModelSpec("never", SCORED, lambda: Constant(flags=False), "flags nothing", trivial=True),
    ModelSpec("random", SCORED, RandomScores, "draws a score", trivial=True, random=True),
    ModelSpec("majority", _CLASSES, Majority, "the most frequent class", trivial=True),
    ModelSpec("random_class", _CLASSES, RandomClass, "a class drawn by its share", trivial=True, random=True),
)
