"""Gates of a release: the product's, the naive comparison, and rules of thumb.

Enters: a Rollout. Leaves: a score for each change; what is above the threshold is held.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.diagnose.risk.release import FAILURES, LATENCY, Rollout, judge

Pairs = list[tuple[str, float]]


HELD = 1_000.0
"""Added to the score of what the gate holds, so that one threshold tells held ones apart."""


class Gate:
    """The product's: held ones first, then by all evidence, as `judge` orders them."""

    threshold = HELD

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Rollout) -> Pairs:
        """Give the scores."""
        return [(one.change, one.score + HELD * one.held) for one in judge(given)]


class Naive(Gate):
    """The mean failures of the new pods above those of the unchanged ones, ties by the latency; holds above 5 %."""

    threshold = 0.05

    def answer(self, given: Rollout) -> Pairs:
        """Compare means."""
        told = []
        for change in given.changes:
            means = {}
            for aspect in (FAILURES, LATENCY):
                for new in (True, False):
                    values = [
                        one.values[one.times_s >= change.ready_s]
                        for one in given.series
                        if one.service == change.service and one.aspect == aspect and (one.pod in change.pods) == new
                    ]
                    every = np.concatenate(values) if values else np.zeros(0)
                    every = every[np.isfinite(every)]
                    means[aspect, new] = float(every.mean()) if len(every) else 0.0
            slower = max(means[LATENCY, True] - means[LATENCY, False], 0.0)
            told.append((change.name, means[FAILURES, True] - means[FAILURES, False] + 1e-3 * slower))
        return told


class Newest(Gate):
    """The change that began last is to blame."""

    threshold = np.inf

    def answer(self, given: Rollout) -> Pairs:
        """Give the times."""
        return [(change.name, change.begun_s) for change in given.changes]


class Drawn(Gate):
    """Draws a score for each change; half of them are held."""

    threshold = 0.5

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the seed."""
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Rollout) -> Pairs:
        """Draw."""
        return [(change.name, float(self._random.random())) for change in given.changes]


_RELEASE = ("release",)
MODELS = (
    ModelSpec("release_gate", _RELEASE, Gate, "the product's gate"),
    ModelSpec("naive_comparison", _RELEASE, Naive, "means of new pods against unchanged ones", trivial=True),
    ModelSpec("newest_change", _RELEASE, Newest, "the change that began last", trivial=True),
    ModelSpec("random_change", _RELEASE, Drawn, "draws a score", trivial=True, random=True),
)
