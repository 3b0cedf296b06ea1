"""The learned rates of many series of counts at once: level, spread, band, recent history.

Enters: the counts of every series of one service in one closed window. Leaves: nothing; the arrays are read by the
judge (service.py). A count out of its band is learned from at a tenth of the weight and no higher than the band, so an
anomaly does not become normal while it lasts unless it lasts long. Knows no times and no templates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

HISTORY = 36
HORIZON_WINDOWS = 360
DISPERSION_FLOOR = 0.02
DISPERSION_UNCERTAIN = 0.1
ANOMALOUS_WEIGHT = 0.1

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ARRAYS = (
    "mean",
    "variance",
    "windows",
    "zeros",
    "lines",
    "first_ns",
    "last_ns",
    "severity",
    "history",
    "history_window",
)


class SeriesBank:
    """Series 0 .. size-1, each with what was learned of it.

    mean, variance: of the count in a window, exponentially weighted over some HORIZON_WINDOWS. windows: learned from.
    zeros: windows without a line, running. lines, first_ns, last_ns, severity: counted over the whole life.
    """

    def __init__(self, capacity: int = 32) -> None:
        self.size = 0
        self.mean: Floats = np.zeros(capacity)
        self.variance: Floats = np.zeros(capacity)
        self.windows: Ints = np.zeros(capacity, np.int64)
        self.zeros: Ints = np.zeros(capacity, np.int64)
        self.lines: Ints = np.zeros(capacity, np.int64)
        self.first_ns: Ints = np.zeros(capacity, np.int64)
        self.last_ns: Ints = np.zeros(capacity, np.int64)
        self.severity: Ints = np.zeros(capacity, np.int64)
        self.history: npt.NDArray[np.int32] = np.zeros((capacity, HISTORY), np.int32)
        self.history_window: Ints = np.full(HISTORY, -1, np.int64)

    @property
    def capacity(self) -> int:
        """Give how many series there is room for before the arrays grow."""
        return len(self.mean)

    def add(self, first_ns: int) -> int:
        """Begin one more series; gives its index."""
        if self.size == self.capacity:
            for name in _ARRAYS[:-1]:
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        self.first_ns[self.size] = self.last_ns[self.size] = first_ns
        self.size += 1
        return self.size - 1

    def dispersion(self, index: Any = slice(None)) -> Floats:
        """Give the excess spread of the series, never below what few windows can rule out.

        Two parts: the scatter between windows, and that the level itself was learned from so many lines only (the
        predictive distribution of a Poisson rate with a Jeffreys prior is a negative binomial of size lines + 1/2).
        """
        mean = self.mean[: self.size][index]
        seen = np.clip(self.windows[: self.size][index], 1, HORIZON_WINDOWS)
        excess = (self.variance[: self.size][index] - mean) / np.maximum(mean, 1e-9) ** 2
        scatter = np.clip(excess, DISPERSION_FLOOR + DISPERSION_UNCERTAIN / seen, 100.0)
        return np.asarray(scatter + 1.0 / (mean * seen + 0.5), np.float64)

    def expected(self, index: Any = slice(None)) -> Floats:
        """Give the count expected in a window, a little above the mean while few windows were seen."""
        return np.asarray(
            self.mean[: self.size][index] + 0.5 / np.maximum(self.windows[: self.size][index], 1), np.float64
        )

    def upper(self, index: Any = slice(None)) -> Floats:
        """Give the upper end of the band: three standard deviations over what is expected, and one line more."""
        expected = self.expected(index)
        return np.asarray(expected + 3 * np.sqrt(expected + self.dispersion(index) * expected**2) + 1, np.float64)

    def close(self, window: int, counts: Ints, anomalous: Ints) -> None:
        """Learn one window. counts: (size,). anomalous: indices of series that were out of their band."""
        n = self.size
        value = counts.astype(np.float64)
        weight = np.maximum(1.0 / (self.windows[:n] + 1.0), 1.0 / HORIZON_WINDOWS)
        if len(anomalous):
            value[anomalous] = np.minimum(value[anomalous], self.upper(anomalous))
            weight[anomalous] = np.minimum(weight[anomalous], ANOMALOUS_WEIGHT) * ANOMALOUS_WEIGHT
        step = value - self.mean[:n]
        self.variance[:n] = (1 - weight) * (self.variance[:n] + weight * step**2)
        self.mean[:n] += weight * step
        self.windows[:n] += 1
        self.zeros[:n] = np.where(counts == 0, self.zeros[:n] + 1, 0)
        place = window % HISTORY
        self.history[:n, place] = np.minimum(counts, 2**31 - 1)
        self.history_window[place] = window

    def sums(self, window: int, span: int) -> Ints:
        """Give the lines (size,) that came in the closed ones of the `span` windows up to `window`."""
        places = np.flatnonzero((self.history_window > window - span) & (self.history_window <= window))
        return np.asarray(self.history[: self.size, places].sum(axis=1), np.int64)

    def points(self, index: int) -> list[tuple[int, int]]:
        """Give (window, count) of the last closed windows, oldest first."""
        order = np.argsort(self.history_window)
        return [
            (int(self.history_window[place]), int(self.history[index, place]))
            for place in order.tolist()
            if self.history_window[place] >= 0
        ]

    def keep(self, indices: Ints) -> None:
        """Forget every series but these, which are renumbered in the order given."""
        capacity = max(32, len(indices))
        for name in _ARRAYS[:-1]:
            array = getattr(self, name)
            kept = np.zeros((capacity, *array.shape[1:]), array.dtype)
            kept[: len(indices)] = array[indices]
            setattr(self, name, kept)
        self.size = len(indices)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays to save."""
        kept = {name: getattr(self, name)[: self.size].copy() for name in _ARRAYS[:-1]}
        return {**kept, "history_window": self.history_window.copy()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> SeriesBank:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        size = len(arrays["mean"])
        bank = cls(capacity=max(32, size))
        for name in _ARRAYS[:-1]:
            getattr(bank, name)[:size] = arrays[name]
        bank.history_window[:] = arrays["history_window"]
        bank.size = size
        return bank
