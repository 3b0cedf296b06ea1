"""Models of what is left: the product's wear library and capacity forecast, LightGBM, and rules of thumb.

Enters: sensors of one unit until now, or the course of something that fills up. Leaves: cycles left, or seconds until
the limit (None: not within the horizon).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Filling
from watchkeeper.detect.metrics.forecast import forecast
from watchkeeper.diagnose.risk.wear import learn_wear

Floats = npt.NDArray[np.float64]
AHEAD_MAX = 125.0
"""Beyond so many cycles sensors tell nothing yet (Heimes, "Recurrent neural networks for remaining useful life
estimation", PHM 2008)."""
WIDTHS = (5, 20)


class MeanLife:
    """The mean life less the age."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the mean."""
        self._life = float(np.mean([len(example.given) for example in examples]))

    def answer(self, given: Any) -> float:
        """Give what is left of it."""
        return max(self._life - len(given), 0.0)


class Alike:
    """The product's: units whose end looked alike."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        self._library = learn_wear([example.given for example in examples])

    def answer(self, given: Any) -> float:
        """Ask the library."""
        return self._library.remaining(given).cycles


class LightGbmLeft:
    """LightGBM on means, slopes and age at each cycle; what is further off than AHEAD_MAX counts as that."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn."""
        import lightgbm

        told = [example.given for example in examples]
        rows = np.concatenate([_courses(each) for each in told])
        left = np.concatenate([np.minimum(np.arange(len(each))[::-1], AHEAD_MAX) for each in told])
        chosen = {"objective": "regression", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 50}
        fixed = {"feature_fraction": 0.5, "num_threads": 1, "deterministic": True, "verbose": -1, "seed": context.seed}
        trees = lightgbm.train({**chosen, **fixed}, lightgbm.Dataset(rows, left), 200)
        self.state = trees.model_to_string()
        self._predict = trees.predict

    def answer(self, given: Any) -> float:
        """Give what the last cycle tells."""
        return float(self._predict(_courses(given)[-1:])[0])


def _courses(sensors: Floats) -> Floats:
    """Give (T, columns): means of the last cycles and of before, and the age; of cycles until then only."""
    sums = np.concatenate([np.zeros((1, sensors.shape[1])), np.cumsum(sensors, axis=0)])
    until = np.arange(1, len(sensors) + 1)
    means = []
    for width in WIDTHS:
        begin = np.maximum(until - width, 0)
        means.append((sums[until] - sums[begin]) / (until - begin)[:, None])
    return np.column_stack([*means, means[0] - means[1], until])


class Forecast:
    """The product's forecast of a series that has a limit."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Filling) -> float | None:
        """Give when it is full."""
        told = forecast(given.times_unix_ns, given.values, limit=given.limit, horizon_s=given.horizon_s)
        return told.time_to_limit_s


class StraightLine(Forecast):
    """Least squares through all that is known, whether or not there is a trend."""

    def answer(self, given: Filling) -> float | None:
        """Give when the line is full."""
        seconds = (given.times_unix_ns - given.times_unix_ns[-1]) / 1e9
        slope, now = np.polyfit(seconds, given.values, 1)
        if slope <= 0.0:
            return None
        left_s = max((given.limit - float(now)) / float(slope), 0.0)
        return left_s if left_s <= given.horizon_s else None


class NeverFull(Forecast):
    """Never tells of a limit."""

    def answer(self, given: Filling) -> float | None:
        """Give None."""
        return None


_ONE = ("failure-prediction",)
MODELS = (
    ModelSpec("wear_alike", ("cycles",), Alike, "the product's library of worn units", _ONE, needs_labels=True),
    ModelSpec(
        "lightgbm_left",
        ("cycles",),
        LightGbmLeft,
        "LightGBM on courses",
        _ONE,
        random=True,
        needs_labels=True,
        needs=("lightgbm",),
    ),
    ModelSpec("mean_life", ("cycles",), MeanLife, "mean life less age", _ONE, True, needs_labels=True),
    ModelSpec("capacity_forecast", ("filling",), Forecast, "the product's forecast with bands", _ONE),
    ModelSpec("straight_line", ("filling",), StraightLine, "least squares through everything", _ONE, trivial=True),
    ModelSpec("never_full", ("filling",), NeverFull, "never tells of a limit", _ONE, trivial=True),
)
