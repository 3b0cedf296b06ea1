"""Logs, traces and metrics of the same stretches of time: each by itself, and joined by calibrated ranks.

Enters: ModalityBlocks. Leaves: scores. Each modality has the same simple detector; its ranks are calibrated by scores
of normal rows that it did not learn from, so that the detectors speak one language (detect/fusion.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import ModalityBlock
from watchkeeper.detect.fusion import CalibratedRank, fused
from watchkeeper.detect.rows import IsolationForest

Floats = npt.NDArray[np.float64]
ALL = ("logs", "traces", "metrics")
FOLDS = 5
SCALE_FLOOR, CLIP = 0.1, 10.0


class Deviation:
    """The mean over columns of the squared, clipped distance from the median in robust deviations."""

    def __init__(self, rows: Floats, seed: int) -> None:
        self._standard = Standard(rows)

    def score(self, rows: Floats) -> Floats:
        """Give a score a row."""
        return np.asarray((self._standard.of(rows) ** 2).mean(axis=1))


class Forest:
    """Isolation forest on the standardised columns."""

    def __init__(self, rows: Floats, seed: int) -> None:
        self._standard = Standard(rows)
        self._forest = IsolationForest(self._standard.of(rows), seed=seed)

    def score(self, rows: Floats) -> Floats:
        """Give a score a row."""
        return self._forest.score(self._standard.of(rows))


class Standard:
    """Columns by their median and spread; what was not measured is 0, as usual as can be."""

    def __init__(self, rows: Floats) -> None:
        known = np.where(np.isfinite(rows), rows, 0.0)
        counted = np.maximum(np.isfinite(rows).sum(axis=0), 1)
        self.middle = known.sum(axis=0) / counted
        spread = np.sqrt((np.where(np.isfinite(rows), rows - self.middle, 0.0) ** 2).sum(axis=0) / counted)
        self.scale = np.maximum(spread, SCALE_FLOOR)

    def of(self, rows: Floats) -> Floats:
        """Give standardised rows."""
        return np.asarray(np.clip(np.nan_to_num((rows - self.middle) / self.scale), -CLIP, CLIP))


class Fused:
    """One detector a modality, joined."""

    def __init__(self, chosen: Sequence[str], make: type[Deviation] | type[Forest]) -> None:
        self._chosen, self._make = tuple(chosen), make

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn; ranks are calibrated by cross-fitting, so that no row is scored by what learned from it."""
        blocks = [example.given for example in examples]
        self._detectors, self._ranks = [], []
        for name in self._chosen:
            rows = np.concatenate([getattr(block, name) for block in blocks])
            fold = np.arange(len(rows)) % FOLDS
            normal = np.zeros(len(rows))
            for each in range(min(FOLDS, len(rows))):
                normal[fold == each] = self._make(rows[fold != each], context.seed).score(rows[fold == each])
            self._detectors.append(self._make(rows, context.seed))
            self._ranks.append(CalibratedRank(normal))

    def answer(self, given: ModalityBlock) -> Floats:
        """Score rows; a modality of which nothing was measured in a row does not count."""
        parts = []
        for name, detector, rank in zip(self._chosen, self._detectors, self._ranks, strict=True):
            rows = getattr(given, name)
            scores = np.where(np.isfinite(rows).any(axis=1), detector.score(rows), np.nan)
            parts.append(rank.score(scores))
        return fused(parts)


_FORM = ("modalities",)
MODELS = (
    *(
        ModelSpec(f"{name}_alone", _FORM, partial(Fused, (name,), Deviation), f"deviation of {name} alone")
        for name in ALL
    ),
    ModelSpec("fused_ranks", _FORM, partial(Fused, ALL, Deviation), "deviations of all three, calibrated ranks joined"),
    ModelSpec(
        "fused_forests",
        _FORM,
        partial(Fused, ALL, Forest),
        "isolation forests of all three, calibrated ranks joined",
        random=True,
        quick=False,
    ),
)
