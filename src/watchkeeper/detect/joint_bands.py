"""Bands around residuals: how large a residual is usual, of each channel and metric, whatever its unit.

Enters: residuals of a block. Leaves: by how much each is beyond its band. A band is a local scale, which follows the
last day, times a shape, the 99th percentile of residual over scale, which is learned for months. So a metric whose
unit or noise changes is understood again within hours, and what its tail looks like is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

BINS = 80
_BINS_PER_OCTAVE = 4
_LOWEST_OCTAVE = -12
_QUANTILE = 0.99
_RATIO_MIN = 1.0
_RESIDUALS_MIN = 200.0
_CLIP_BANDS = 10.0
"""A residual teaches the local scale at most this many bands, so that an incident does not widen its own band."""
EXCESS_MAX = 10.0
"""Largest excess of one residual, as a natural logarithm: what a metric that never moved scores when it moves."""


class ResidualBands:
    """Keeps scale and shape for (channels, metrics); state: (BINS + 3) floats for each."""

    def __init__(self, channels: int, metrics: int, scale_keep: float, prior_steps: float) -> None:
        """Take the share of the local scale that one step keeps, and the weight of old scales in a new segment."""
        self.scale_keep = scale_keep
        self.prior_steps = prior_steps
        self.histogram = np.zeros((channels, metrics, BINS))
        self.squares = np.zeros((channels, metrics))
        self.weight = np.zeros((channels, metrics))
        self.shape = np.full((channels, metrics), np.inf)

    @property
    def scale(self) -> Floats:
        """Root mean square of residuals over about the last day, (channels, metrics)."""
        return np.sqrt(self.squares / np.maximum(self.weight, 1e-12))

    @property
    def band(self) -> Floats:
        """Give the band, (channels, metrics); infinite while too little is learned."""
        known = np.isfinite(self.shape)
        return np.where(known, self.scale * np.where(known, self.shape, 1.0), np.inf)

    def excess(self, residuals: Floats) -> Floats:
        """Give log(|residual| / band) where that is above 0, else 0, (channels, T, metrics), at most EXCESS_MAX."""
        sizes, band = np.abs(residuals), self.band[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(sizes > band, sizes / band, 1.0)
        return np.minimum(np.log(ratios), EXCESS_MAX)

    def learn(self, residuals: Floats, valid: Flags, *, shape_too: bool) -> None:
        """Take in residuals (C, T, metrics) of the first C channels where `valid`; with `shape_too` their tails too."""
        channels, steps, metrics = residuals.shape
        sizes, scale, band = np.abs(residuals), self.scale[:channels], self.band[:channels]
        if shape_too:
            with np.errstate(divide="ignore", invalid="ignore"):
                places = np.floor((np.log2(sizes / scale[:, None]) - _LOWEST_OCTAVE) * _BINS_PER_OCTAVE)
            places = np.clip(np.where(sizes > 0, places, 0.0), 0, BINS - 1).astype(np.int64)
            places += (np.arange(channels)[:, None, None] * metrics + np.arange(metrics)) * BINS
            weights = (valid & (self.weight[:channels, None] > 0)).astype(np.float64)
            histogram = self.histogram[:channels]
            histogram += np.bincount(places.ravel(), weights.ravel(), histogram.size).reshape(histogram.shape)
        usual = np.where(np.isfinite(band) & (band > 0), band * _CLIP_BANDS, np.inf)
        clipped = np.where(valid, np.minimum(sizes, usual[:, None]), 0.0)
        keep = self.scale_keep**steps
        self.squares[:channels] = self.squares[:channels] * keep + np.einsum("ctm,ctm->cm", clipped, clipped)
        self.weight[:channels] = self.weight[:channels] * keep + valid.sum(axis=0)

    def refit(self, keep: float) -> None:
        """Let the learned tails fade by `keep` and take the shape from them anew."""
        self.histogram *= keep
        total = self.histogram.sum(axis=2)
        tail = np.cumsum(self.histogram[..., ::-1], axis=2)[..., ::-1] / np.maximum(total, 1e-12)[..., None]
        tail = np.concatenate([tail, np.zeros_like(tail[..., :1])], axis=2)
        place = np.maximum((tail > 1 - _QUANTILE).sum(axis=2) - 1, 0)[..., None]
        above, below = (np.take_along_axis(tail, place + step, axis=2)[..., 0] for step in (0, 1))
        inside = np.clip((above - (1 - _QUANTILE)) / np.maximum(above - below, 1e-12), 0, 1)
        ratio = 2.0 ** (_LOWEST_OCTAVE + (place[..., 0] + inside) / _BINS_PER_OCTAVE)
        ratio = np.where(place[..., 0] == 0, 0.0, ratio)
        self.shape = np.where(total >= _RESIDUALS_MIN, np.maximum(ratio, _RATIO_MIN), np.inf)

    def new_segment(self, channels: int) -> None:
        """Keep the shapes; let what comes outweigh the old scales of the first channels, which bear units, in hours."""
        kept = np.minimum(self.prior_steps / np.maximum(self.weight[:channels], 1e-12), 1.0)
        self.squares[:channels] *= kept
        self.weight[:channels] *= kept
