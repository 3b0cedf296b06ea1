"""The log model as it ships, over sessions: known forms, the masked-token network for new ones, its own threshold.

Enters: SessionBlocks and the fact `texts`. Leaves: a score a session, that of its strangest line: 0 for a form that was
learned, else 1 less the measure that the model chose on forms held out. Lines with failure words are left out of what
is learned, as in any training of the product. Needs the extra `learning`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import SessionBlock
from watchkeeper.bench.models.log_sessions import joined
from watchkeeper.bench.models.networks import NEEDS
from watchkeeper.bench.progress import tell
from watchkeeper.learn.line_counts import LineCounts, has_failure_words
from watchkeeper.learn.line_tokens import masked
from watchkeeper.learn.log_model import TRAINING, LogModel
from watchkeeper.learn.training import Training

Floats = npt.NDArray[np.float64]
NO_TEXT = 1.0
"""The score of a line that no text is known of."""


class Learned:
    """`learn.log_model.LogModel`."""

    def __init__(
        self,
        training: Training = TRAINING,
        *,
        leaves_out_failures: bool = True,
        own_threshold: bool = True,
        exact: bool = False,
    ) -> None:
        self._training, self._leaves_out, self._own = training, leaves_out_failures, own_threshold
        self._exact = exact
        self.threshold: float | None = None

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Train, choose the measure and calibrate on forms held out."""
        self._texts: Mapping[int, str] = context.facts["texts"]
        self._told: dict[int, float] = {}
        templates, counts = np.unique(joined(examples).templates, return_counts=True)
        known = [at for at, each in enumerate(templates.tolist()) if each in self._texts]
        texts = [self._texts[int(templates[at])] for at in known]
        calm = ~has_failure_words(texts) | (not self._leaves_out)
        counted = LineCounts()
        kept = [at for at, each in enumerate(calm.tolist()) if each]
        counted.add_forms([masked(texts[at]) for at in kept], counts[known][kept])
        self.model = LogModel.learn(counted, training=self._training, seed=context.seed, told=tell)
        if self._exact:
            told = self.model
            self.model = LogModel(told.exact, told.counts, told.calibration, told.quality)
        self.threshold = 1.0 - self.model.threshold if self._own else None

    def answer(self, given: SessionBlock) -> Floats:
        """Score sessions."""
        templates, which = np.unique(given.templates, return_inverse=True)
        ahead = [each for each in templates.tolist() if each not in self._told]
        told = self.model.judge_forms([masked(self._texts[each]) for each in ahead if each in self._texts])
        share = self.model.calibration.measure == "share"
        values = iter([1.0 - (verdict.score if share else verdict.chance) for verdict in told])
        self._told |= {each: next(values) if each in self._texts else NO_TEXT for each in ahead}
        scores = np.zeros(len(given))
        np.maximum.at(scores, given.sessions, np.array([self._told[each] for each in templates.tolist()])[which])
        return scores

    def notes(self) -> dict[str, float]:
        """Give what the model told of itself on forms held out."""
        told = self.model.calibration
        return {
            "forms": float(len(self.model.counts)),
            "held": float(told.held),
            "bound": told.bound,
            "accuracy": self.model.quality["accuracy"],
            "separation": self.model.quality["separation"],
            "int8": float(self.model.quantised),
        }


MODELS = tuple(
    ModelSpec(
        name,
        ("sessions",),
        make,
        about,
        random=True,
        needs=NEEDS,
        quick=False,
        covers=("learn.log_model:LogModel",),
        parameters={"layers": 1, "width": 256, "heads": 8, "vocabulary": 10_000},
    )
    for name, make, about in (
        ("log_model", Learned, "known forms, then masked tokens (as it ships), own threshold"),
        (
            "log_model_by_session",
            partial(Learned, own_threshold=False),
            "the same, its threshold by the budget of sessions that all models have",
        ),
        (
            "log_model_exact",
            partial(Learned, own_threshold=False, exact=True),
            "the same, asked with the weights as they were trained, not rounded to 8 bits",
        ),
        (
            "log_model_all_lines",
            partial(Learned, leaves_out_failures=False),
            "the same, learned from lines with failure words too",
        ),
    )
)
