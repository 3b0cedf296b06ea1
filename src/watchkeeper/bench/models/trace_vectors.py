"""Trace detectors over call-path vectors: the product's profile, and the lookup of unseen structures beside it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.detect.traces.vectors import TraceVectorProfile

Floats = npt.NDArray[np.float64]


class Profile:
    """`detect.traces.vectors.TraceVectorProfile`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn once."""
        vectors = np.concatenate([example.given for example in examples])
        self._profile = TraceVectorProfile.learn(vectors, seed=context.seed)
        self.threshold = self._profile.threshold

    def answer(self, given: Floats) -> Floats:
        """Score traces."""
        return self._profile.score(given)


class UnseenStructure:
    """Flags traces whose set of call paths the training part does not have."""

    threshold = 0.5

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Keep the structures."""
        self.known = {row.tobytes() for example in examples for row in example.given > 0}

    def answer(self, given: Floats) -> Floats:
        """Give 1 or 0."""
        return np.array([float(row.tobytes() not in self.known) for row in given > 0])


_FORM, _TASKS = ("vectors",), ("anomaly-detection",)
MODELS = (
    ModelSpec(
        "unseen_structure", _FORM, UnseenStructure, "lookup of call paths never seen together", _TASKS, trivial=True
    ),
    ModelSpec(
        "trace_profile",
        _FORM,
        Profile,
        "structure and durations of traces",
        _TASKS,
        covers=("detect.traces.vectors:TraceVectorProfile",),
    ),
)
