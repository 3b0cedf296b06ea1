"""Detectors of rows on every form that can be brought to rows: template counts, steps of metrics, call paths.

Enters: SessionBlocks (counts of known templates, and one column for all others), steps of series (standardised by the
training part) or vectors. Leaves: scores. `n_sigma` is the trivial rule: the column furthest from its mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.detect.rows import HalfSpaceTrees, IsolationForest, PrincipalComponents, TailProbabilities

Floats = npt.NDArray[np.float64]
ROWS_MAX = 20_000
SIGMA_FLOOR = 1e-2


class Scorer(Protocol):
    """Scores rows."""

    def score(self, rows: Floats) -> Floats:
        """Give a score a row."""


class Furthest:
    """The largest distance of any column from its mean in standard deviations."""

    def __init__(self, rows: Floats) -> None:
        self.mean, self.sigma = rows.mean(axis=0), np.maximum(rows.std(axis=0), SIGMA_FLOOR)

    def score(self, rows: Floats) -> Floats:
        """Give sigmas."""
        return np.asarray(np.abs((rows - self.mean) / self.sigma).max(axis=1))


class Rows:
    """Brings what is given to rows, standardises them, and asks a scorer."""

    def __init__(self, make: Callable[[Floats, int], Scorer]) -> None:
        self._make = make

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn from at most ROWS_MAX rows, drawn by the seed."""
        given = [example.given for example in examples]
        self._templates = _known(given)
        rows = np.concatenate([self._rows(each) for each in given])
        if len(rows) > ROWS_MAX:
            drawn = np.random.default_rng(context.seed).choice(len(rows), ROWS_MAX, replace=False)
            rows = rows[np.sort(drawn)]
        self._mean, self._scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), SIGMA_FLOOR)
        self._scorer = self._make(self._standard(rows), context.seed)

    def answer(self, given: Any) -> Floats:
        """Score rows."""
        return self._scorer.score(self._standard(self._rows(given)))

    def _standard(self, rows: Floats) -> Floats:
        return np.asarray((rows - self._mean) / self._scale)

    def _rows(self, given: Any) -> Floats:
        if isinstance(given, SessionBlock):
            return counts(given, self._templates)
        rows = np.nan_to_num(np.asarray(given, np.float64))
        return np.asarray(np.log1p(rows)) if rows.size and rows.min() >= 0 and rows.max() > 100 else rows


class Streaming(Rows):
    """Half-space trees, which learn from what they score."""

    def __init__(self) -> None:
        super().__init__(lambda rows, seed: Furthest(rows))

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn the ranges, then the mass of the training part in order."""
        kept = list(examples)
        super().fit(kept, context)
        rows = np.concatenate([self._standard(self._rows(each.given)) for each in kept])
        self._trees = HalfSpaceTrees(rows.min(axis=0), rows.max(axis=0), seed=context.seed)
        self._trees.score_learn(rows[-ROWS_MAX:])

    def answer(self, given: Any) -> Floats:
        """Score rows, then learn from them."""
        return self._trees.score_learn(self._standard(self._rows(given)))


def counts(block: SessionBlock, templates: npt.NDArray[np.int64]) -> Floats:
    """Give log(1 + count) of each known template, and of all others together, (n, k + 1)."""
    place = np.searchsorted(templates, block.templates)
    known = templates[np.minimum(place, len(templates) - 1)] == block.templates
    column = np.where(known, place, len(templates))
    width = len(templates) + 1
    flat = np.bincount(block.sessions * width + column, minlength=len(block) * width)
    return np.log1p(flat.reshape(len(block), width))


def _known(given: list[Any]) -> npt.NDArray[np.int64]:
    blocks = [each.templates for each in given if isinstance(each, SessionBlock)]
    return np.unique(np.concatenate(blocks)) if blocks else np.zeros(0, np.int64)


def _pca(rows: Floats, seed: int) -> Scorer:
    return PrincipalComponents(rows)


def _ecod(rows: Floats, seed: int) -> Scorer:
    return TailProbabilities(rows)


def _forest(rows: Floats, seed: int) -> Scorer:
    return IsolationForest(rows, seed=seed)


def _furthest(rows: Floats, seed: int) -> Scorer:
    return Furthest(rows)


_FORMS = ("sessions", "series", "vectors")
MODELS = (
    ModelSpec("n_sigma", _FORMS, partial(Rows, _furthest), "furthest column in standard deviations", trivial=True),
    ModelSpec("pca", _FORMS, partial(Rows, _pca), "distance from the principal components", parameters={"kept": 0.95}),
    ModelSpec("ecod", _FORMS, partial(Rows, _ecod), "empirical tail probabilities"),
    ModelSpec("isolation_forest", _FORMS, partial(Rows, _forest), "random cuts, 100 trees of 256", random=True),
    ModelSpec("half_space_trees", ("series",), Streaming, "mass of random cells, online", random=True),
)
