"""Gradient-boosted trees on rows with labels, or on the scores of a teacher.

Enters: rows (n, d) with a label or a score each. Leaves: a score a row, higher is stranger. State is LightGBM's own
text, which is data and runs nothing. Needs the extra `bench`. Source: Ke et al., "LightGBM", NeurIPS 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.framework import extra

Floats = npt.NDArray[np.float64]
TREES, LEAVES, RATE = 200, 15, 0.05
ROWS_A_LEAF = 5


class BoostedTrees:
    """See the module. `state` is LightGBM's text."""

    def __init__(self, state: str) -> None:
        self.state = state
        self._booster: Any = None

    @classmethod
    def learn(
        cls,
        rows: Floats,
        labels: Floats,
        *,
        trees: int = TREES,
        leaves: int = LEAVES,
        rate: float = RATE,
        seed: int = 0,
    ) -> BoostedTrees:
        """Train. labels: (n,) 0 or 1, both among them, or any scores: what is not 0 or 1 is fitted by least squares."""
        lightgbm = extra("lightgbm", group="bench")
        graded = not np.isin(labels, (0, 1)).all()
        told = {
            "objective": "regression" if graded else "binary",
            "num_leaves": leaves,
            "learning_rate": rate,
            "min_data_in_leaf": ROWS_A_LEAF,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        booster = lightgbm.train(told, lightgbm.Dataset(rows, label=labels.astype(np.float64)), trees)
        return cls(str(booster.model_to_string()))

    def score(self, rows: Floats) -> Floats:
        """Give the score of each row (n,): the chance of label 1, or the score that a teacher would give."""
        if self._booster is None:
            self._booster = extra("lightgbm", group="bench").Booster(model_str=self.state)
        return np.asarray(self._booster.predict(rows, num_threads=1), np.float64)
