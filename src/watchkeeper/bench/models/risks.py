"""Models of risk on rows with named columns: the product's, LightGBM, logistic regression, and rules of thumb.

Enters: blocks of rows and, in the training part, whether each failed. Leaves: a probability a row. All learn from every
failure and the same drawn part of the other rows, weighed up again. The rules tell the share that failed among rows
that are alike in one thing (age, past failures); `oldest_first` orders by age alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.diagnose.risk.boosting import boost, thinned

Floats = npt.NDArray[np.float64]
PARTS = 20
"""Into how many equal parts of the rows age is cut."""


class Learned(NamedTuple):
    """Rows (n, d) to learn from, whether each failed, and how many rows each stands for."""

    rows: npt.NDArray[Any]
    failed: npt.NDArray[np.bool_]
    weights: Floats


def gathered(examples: Iterable[Example], seed: int) -> Learned:
    """Draw what is learned from; holds references only until it is drawn."""
    told = list(examples)
    failed = np.concatenate([np.asarray(example.label, bool) for example in told])
    kept, weights = thinned(failed, np.random.default_rng(seed))
    ends = np.cumsum([len(example.given) for example in told])
    block = np.searchsorted(ends, kept, "right")
    starts = np.concatenate([[0], ends[:-1]])
    rows = [told[at].given[kept[block == at] - starts[at]] for at in np.unique(block)]
    return Learned(np.concatenate(rows), failed[kept], weights)


class Boost:
    """The product's own."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        told = gathered(examples, context.seed)
        columns = tuple(context.facts["columns"])
        self._learned = boost(told.rows, told.failed, columns, weights=told.weights, seed=context.seed)

    def answer(self, given: Any) -> Floats:
        """Give risks."""
        return self._learned.risks(given)


class LightGbm:
    """LightGBM with small trees and strong penalties, as suits few failures."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        import lightgbm

        told = gathered(examples, context.seed)
        chosen = {
            "objective": "binary",
            "learning_rate": 0.05,
            "num_leaves": 15,
            "min_data_in_leaf": 100,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 10.0,
            "num_threads": 1,
            "deterministic": True,
            "verbose": -1,
            "seed": context.seed,
        }
        data = lightgbm.Dataset(told.rows, told.failed.astype(np.float64), weight=told.weights)
        trees = lightgbm.train(chosen, data, 150)
        self.state = trees.model_to_string()
        self._predict = trees.predict

    def answer(self, given: Any) -> Floats:
        """Give risks."""
        return np.asarray(self._predict(given), np.float64)


class Logistic:
    """scikit-learn's logistic regression on the ranks of the columns, 0 for the least value and 1 for the most."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        from sklearn.linear_model import LogisticRegression

        told = gathered(examples, context.seed)
        self._quantiles = np.quantile(told.rows.astype(np.float64), np.linspace(0, 1, 101), axis=0)
        model = LogisticRegression(C=1.0, max_iter=1_000)
        model.fit(self._ranks(told.rows), told.failed, sample_weight=told.weights)
        self._weights, self._base = model.coef_[0].copy(), float(model.intercept_[0])

    def _ranks(self, rows: Any) -> Floats:
        columns = [np.searchsorted(cuts, rows[:, at], "right") for at, cuts in enumerate(self._quantiles.T)]
        return np.stack(columns, axis=1) / 101.0

    def answer(self, given: Any) -> Floats:
        """Give risks."""
        return np.asarray(1.0 / (1.0 + np.exp(-(self._ranks(given) @ self._weights + self._base))))


class ShareByAge:
    """The share that failed among those of about the same age."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count."""
        self._column = list(context.facts["columns"]).index(context.facts["age"])
        told = gathered(examples, context.seed)
        age = told.rows[:, self._column]
        self._cuts = np.unique(np.quantile(age, np.linspace(0, 1, PARTS + 1)[1:-1]))
        self._shares = _shares(np.searchsorted(self._cuts, age), told, len(self._cuts) + 1)

    def answer(self, given: Any) -> Floats:
        """Give the shares."""
        return np.asarray(self._shares[np.searchsorted(self._cuts, given[:, self._column])])


class ShareByPast:
    """The share that failed among those with as many past failures (or marks of wear)."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count."""
        names = list(context.facts["columns"])
        self._columns = [names.index(name) for name in context.facts["past"]]
        told = gathered(examples, context.seed)
        past = self._past(told.rows)
        self._cuts = np.unique(past)
        if len(self._cuts) > PARTS:
            self._cuts = np.unique(np.quantile(past, np.linspace(0, 1, PARTS + 1), method="lower"))
        self._shares = _shares(np.searchsorted(self._cuts, past), told, len(self._cuts) + 1)

    def _past(self, rows: Any) -> Floats:
        return np.asarray(rows[:, self._columns].sum(axis=1), np.float64)

    def answer(self, given: Any) -> Floats:
        """Give the shares."""
        return self._shares[np.searchsorted(self._cuts, self._past(given))]


class OldestFirst:
    """The age as a share of the oldest age learned from: an order, and no probability."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Find the oldest."""
        self._column = list(context.facts["columns"]).index(context.facts["age"])
        self._oldest = max((float(example.given[:, self._column].max()) for example in examples), default=1.0)

    def answer(self, given: Any) -> Floats:
        """Give ages."""
        return np.asarray(given[:, self._column] / max(self._oldest, 1e-9), np.float64)


def _shares(place: npt.NDArray[np.int64], told: Learned, count: int) -> Floats:
    """Give the share that failed of each place, smoothed by one row of the mean share."""
    heavy = np.bincount(place, told.weights, count)
    failed = np.bincount(place, told.weights * told.failed, count)
    mean = failed.sum() / heavy.sum()
    return np.asarray((failed + mean) / (heavy + 1.0))


_ROWS = ("rows",)
_RISKS = ("failure-prediction", "failure-prevention")
_drawn = partial(ModelSpec, forms=_ROWS, tasks=_RISKS, random=True, needs_labels=True)  # rows to learn from are drawn
MODELS = (
    _drawn(name="risk_boosted", make=Boost, about="the product's boosted symmetric trees"),
    _drawn(name="lightgbm", make=LightGbm, about="LightGBM", needs=("lightgbm",)),
    _drawn(name="logistic", make=Logistic, about="logistic regression on ranks", needs=("sklearn",)),
    _drawn(name="share_by_age", make=ShareByAge, about="share that failed at that age", trivial=True),
    _drawn(name="share_by_past", make=ShareByPast, about="share that failed after as many failures", trivial=True),
    ModelSpec("oldest_first", _ROWS, OldestFirst, "the oldest fails first", _RISKS, trivial=True),
)
