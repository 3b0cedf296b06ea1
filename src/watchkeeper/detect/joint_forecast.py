"""What each metric was expected to be: from its own past, and from the other metrics now.

Enters: centred and standardised values of one entity. Leaves: residuals, channel by channel. Learns by fading sums, so
that state is bounded; keeps no bands and gives no score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LAGS = 3
_LAG_RIDGE = 1e-3
_PEERS_RIDGE = 0.1


class PastForecast:
    """Expects a metric from three successive values `horizon` steps ago, by ridge regression, for each horizon."""

    def __init__(self, horizons: list[int], metrics: int) -> None:
        """Take the horizons in steps."""
        self.horizons = horizons
        self.moments = np.zeros((len(horizons), metrics, LAGS + 1, LAGS + 1))
        self.factors = np.zeros((len(horizons), metrics, LAGS))
        self.factors[:, :, 0] = 1.0
        self.reach = max(horizons) + LAGS - 1

    def residuals(self, centred: Floats, steps: int) -> Floats:
        """Give the residuals (horizons, steps, metrics) of the last `steps` rows; `reach` rows stand before them."""
        begin = len(centred) - steps
        found = np.repeat(centred[None, begin:], len(self.horizons), axis=0)
        for place, horizon in enumerate(self.horizons):
            for lag in range(LAGS):
                first = begin - horizon - lag
                found[place] -= self.factors[place, :, lag] * centred[first : first + steps]
        return found

    def learn(self, centred: Floats, weights: Floats) -> None:
        """Take in the last rows, weighted (horizons, steps, metrics); a weight carries 1 / variance."""
        steps = weights.shape[1]
        begin = len(centred) - steps
        for place, horizon in enumerate(self.horizons):
            lags = [centred[begin - horizon - lag : begin - horizon - lag + steps] for lag in range(LAGS)]
            rows = np.stack([centred[begin:], *lags]).transpose(2, 0, 1)  # (metrics, LAGS + 1, steps)
            self.moments[place] += (rows * weights[place].T[:, None]) @ rows.transpose(0, 2, 1)

    def refit(self, keep: float) -> None:
        """Let the sums fade by `keep` and solve for the factors anew; a metric that never moved stays as it was."""
        self.moments *= keep
        size = np.einsum("hmii->hm", self.moments) / (LAGS + 1)
        moved = size > 0
        scaled = self.moments / np.where(moved, size, 1.0)[:, :, None, None]
        solved = np.linalg.solve(scaled[:, :, 1:, 1:] + _LAG_RIDGE * np.eye(LAGS), scaled[:, :, 1:, :1])[..., 0]
        self.factors = np.where(moved[..., None], solved, np.array([1.0] + [0.0] * (LAGS - 1)))


class PeersForecast:
    """Expects a metric from all the others at the same step, by the inverse of their shrunk correlations."""

    def __init__(self, metrics: int) -> None:
        """Begin without any correlation."""
        self.sums = np.zeros((metrics, metrics))
        self.weight = 0.0
        self.factors = np.eye(metrics)

    def residuals(self, standard: Floats) -> Floats:
        """Give what the others do not tell of each metric, (T, metrics)."""
        found: Floats = standard @ self.factors
        return found

    def learn(self, standard: Floats) -> None:
        """Take in standardised values (T, metrics)."""
        self.sums += standard.T @ standard
        self.weight += len(standard)

    def refit(self, keep: float) -> None:
        """Let the sums fade by `keep` and invert anew."""
        self.sums *= keep
        self.weight *= keep
        shrunk = self.sums / max(self.weight, 1.0) + _PEERS_RIDGE * np.eye(len(self.sums))
        precision = np.linalg.inv(shrunk)
        self.factors = precision / np.diag(precision)
