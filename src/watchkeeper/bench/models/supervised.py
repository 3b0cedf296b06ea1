"""Models of sessions that learn from labels, or from the scores of a teacher: boosted trees and two small students.

Enters: SessionBlocks with a label or a score a session. Leaves: scores. Rows are counts of templates, as in vectors.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import BenchError, Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.vectors import counts
from watchkeeper.bench.progress import tell
from watchkeeper.learn.boosting import BoostedTrees
from watchkeeper.learn.students import DenseStudent, LinearStudent

Floats = npt.NDArray[np.float64]
NEEDS_TREES, NEEDS_NETWORK = ("lightgbm",), ("torch", "onnx", "onnxruntime")
FEW_TREES, FEW_LEAVES, FEW_RATE = 10, 8, 0.4


class Scorer(Protocol):
    """Scores rows."""

    def score(self, rows: Floats) -> Floats:
        """Give a score a row."""


class Make(Protocol):
    """Learns from rows and labels."""

    def __call__(self, rows: Floats, labels: Floats, seed: int) -> Scorer:
        """Give what was learned."""


class OfCounts:
    """Brings sessions to counts and asks a scorer that learned from labels; with labels, above a half is flagged."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn; raises BenchError when labels are hidden or all alike."""
        kept = list(examples)
        if any(each.label is None for each in kept):
            raise BenchError("learns from labels, which this protocol hides")
        self._templates = np.unique(np.concatenate([each.given.templates for each in kept]))
        labels = np.concatenate([np.asarray(each.label, np.float64) for each in kept])
        if labels.min() == labels.max():
            raise BenchError("all labels to learn from are alike")
        self.threshold = 0.5 if np.isin(labels, (0, 1)).all() else None
        rows = np.concatenate([self._rows(each.given) for each in kept])
        self._scorer = self._make(rows, labels, context.seed)

    def answer(self, given: SessionBlock) -> Floats:
        """Score sessions."""
        return self._scorer.score(self._rows(given))

    def _rows(self, given: SessionBlock) -> Floats:
        return counts(given, self._templates)


def _trees(rows: Floats, labels: Floats, seed: int) -> Scorer:
    return BoostedTrees.learn(rows, labels, seed=seed)


def _few_trees(rows: Floats, labels: Floats, seed: int) -> Scorer:
    return BoostedTrees.learn(rows, labels, trees=FEW_TREES, leaves=FEW_LEAVES, rate=FEW_RATE, seed=seed)


def _dense(rows: Floats, labels: Floats, seed: int) -> Scorer:
    return DenseStudent.learn(rows, labels, seed=seed, told=tell)


def _linear(rows: Floats, labels: Floats, seed: int) -> Scorer:
    return LinearStudent.learn(rows, labels)


_FORM = ("sessions",)
MODELS = (
    ModelSpec(
        "boosted_trees",
        _FORM,
        partial(OfCounts, _trees),
        "gradient boosting on template counts, LightGBM",
        needs_labels=True,
        needs=NEEDS_TREES,
        students=("few_trees",),
        parameters={"trees": 200, "leaves": 15},
    ),
    ModelSpec(
        "few_trees",
        _FORM,
        partial(OfCounts, _few_trees),
        "ten small trees on template counts",
        needs_labels=True,
        needs=NEEDS_TREES,
        parameters={"trees": FEW_TREES, "leaves": FEW_LEAVES},
    ),
    ModelSpec(
        "dense_counts",
        _FORM,
        partial(OfCounts, _dense),
        "a small dense network on template counts",
        needs_labels=True,
        random=True,
        needs=NEEDS_NETWORK,
        quick=False,
        parameters={"width": 16},
    ),
    ModelSpec("linear_counts", _FORM, partial(OfCounts, _linear), "ridge on template counts", needs_labels=True),
)
