"""Online detectors of series: the product's joint scorer of a machine and its univariate scorer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.detect.joint import JointScorer
from watchkeeper.detect.univariate import UnivariateScorer

Floats = npt.NDArray[np.float64]


class Joint:
    """`detect.joint.JointScorer`: learns from every step once it is scored."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Go through the train part."""
        self._scorer = JointScorer(int(context.facts["metrics"]), float(context.facts["step_s"]))
        for example in examples:
            self._scorer.score_learn(example.given)

    def answer(self, given: Floats) -> Floats:
        """Score the next steps, then learn from them."""
        return self._scorer.score_learn(given)


class Univariate:
    """`detect.univariate.UnivariateScorer`, the highest score of any metric of a step."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Go through the train part."""
        self._scorer = UnivariateScorer(int(context.facts["metrics"]))
        for example in examples:
            self._scorer.take_block(np.ascontiguousarray(example.given.T))

    def answer(self, given: Floats) -> Floats:
        """Score the next steps, then learn from them."""
        return np.asarray(np.nan_to_num(self._scorer.take_block(np.ascontiguousarray(given.T)).max(axis=0)))


_FORM = ("series",)
MODELS = (
    ModelSpec("joint", _FORM, Joint, "all metrics of a machine together, online", covers=("detect.joint:JointScorer",)),
    ModelSpec(
        "univariate", _FORM, Univariate, "each metric by itself, online", covers=("detect.univariate:UnivariateScorer",)
    ),
)
