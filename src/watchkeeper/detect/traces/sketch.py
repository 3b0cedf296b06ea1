"""A quantile sketch of latencies with a bound on the relative error, for many operations at once.

Buckets grow by a constant factor, so that a quantile is right to RELATIVE_ERROR whatever the unit (DDSketch: Masson,
Rim, Lee, VLDB 2019). Counts fade by half in HALF_LIFE_WINDOWS. Latencies outside LOW_S..HIGH_S fall into the first or
last bucket. Holds counts only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.traces.bands import EXCESS_MIN, EXCESS_PRIOR, EXCESS_PRIOR_WEIGHT, TAIL_SHARE, Bands

RELATIVE_ERROR = 0.025
LOW_S, HIGH_S = 1e-6, 1e4
HALF_LIFE_WINDOWS = 360.0
_STEP = math.log((1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR))
BUCKETS = math.ceil(math.log(HIGH_S / LOW_S) / _STEP) + 1
_MIDDLES = math.log(LOW_S) + _STEP * (np.arange(BUCKETS) + 0.5)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class SketchBank:
    """Sketches 0 .. size-1."""

    def __init__(self) -> None:
        self.counts = np.zeros((32, BUCKETS), np.float32)

    def add(self, which: Ints, seconds: Floats) -> None:
        """Count latencies (n,) into the sketches `which` (n,)."""
        if not len(which):
            return
        while int(which.max()) >= len(self.counts):
            self.counts = np.concatenate([self.counts, np.zeros_like(self.counts)])
        place = ((np.log(np.clip(seconds, LOW_S, HIGH_S)) - math.log(LOW_S)) / _STEP).astype(np.int64)
        np.add.at(self.counts, (which, np.clip(place, 0, BUCKETS - 1)), 1.0)

    def fade(self, windows: int = 1) -> None:
        """Let what was counted weigh less, as after so many windows."""
        self.counts *= 0.5 ** (windows / HALF_LIFE_WINDOWS)

    def quantile(self, which: int, share: float) -> float:
        """Give a quantile in seconds, right to RELATIVE_ERROR; NaN when nothing was counted."""
        counts = self._of(np.array([which]))[0]
        total = counts.sum()
        if total <= 0:
            return math.nan
        return float(math.exp(_MIDDLES[int(np.searchsorted(np.cumsum(counts), share * total))]))

    def bands(self, which: Ints) -> Bands:
        """Give the bands (k,) of single latencies of these sketches, NaN where nothing was counted."""
        counts = self._of(which)
        total = counts.sum(axis=1)
        running = np.cumsum(counts, axis=1)
        middle_at = np.argmax(running >= 0.5 * total[:, None], axis=1)
        start_at = np.argmax(running >= (1 - TAIL_SHARE) * total[:, None], axis=1)
        start = _MIDDLES[start_at]
        above = np.maximum(_MIDDLES[None, :] - start[:, None], 0.0)
        beyond = (counts * (above > 0)).sum(axis=1)
        excess = ((counts * above).sum(axis=1) + EXCESS_PRIOR_WEIGHT * EXCESS_PRIOR) / (beyond + EXCESS_PRIOR_WEIGHT)
        share = (beyond + 0.5) / (total + 1.0)
        known = np.where(total > 0, 0.0, np.nan)
        return Bands(_MIDDLES[middle_at] + known, start + known, np.maximum(excess, EXCESS_MIN), share, total)

    def _of(self, which: Ints) -> Floats:
        held = np.zeros((len(which), BUCKETS))
        here = which < len(self.counts)
        held[here] = self.counts[which[here]]
        return held

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays."""
        return {"sketches": self.counts.copy()}

    def restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take up what `arrays` gave; raises KeyError or ValueError when it does not fit."""
        counts = arrays["sketches"]
        if counts.ndim != 2 or counts.shape[1] != BUCKETS:
            raise ValueError(f"sketches of {counts.shape} are not of {BUCKETS} buckets")
        self.counts = counts.astype(np.float32)
