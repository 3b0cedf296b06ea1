"""The joint deviation of one entity: how far its metrics together are from what was expected of them.

Enters: blocks of one machine's (pod's, service's) metrics at a regular step. Leaves: one score a step, and the share
of each metric in it. Each metric is expected from its own past at several horizons and from the
other metrics; a residual counts by the logarithm of how far it exceeds its band (joint_bands), summed over metrics and
averaged over the last minutes.
Score first, learn after. Knows no names, no units, no thresholds: a finding is made from the score elsewhere.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from watchkeeper.detect.joint_bands import Flags, Floats, ResidualBands
from watchkeeper.detect.joint_forecast import PastForecast, PeersForecast
from watchkeeper.errors import NewerFormat, StoreError

SCHEMA_VERSION = 2
DAY_S = 86_400.0
HORIZONS_S = (0.0, 600.0, 1200.0, 2400.0, 4800.0)
"""How long ago the past ends that a metric is expected from; 0 stands for one step."""
FADE_S = 300.0
"""Half-life of the running mean of a step's evidence: what lasts counts, a lone step of noise does not."""
SMOOTH_S = 3600.0
LEVEL_S = 10 * DAY_S
SCALE_S = DAY_S
SHAPE_S = 100 * DAY_S
PRIOR_S = 4 * 3600.0
QUIET_S = 2 * 3600.0
WEIGHT_PEERS = 2.0
CHUNK = 32
"""Steps between two lessons; a block may end anywhere in between."""
_CHUNKS_PER_FIT = 4
_STANDARD_MAX = 10.0
_SPREADS_MAX = 5.0
LEVEL_PRIOR_S = 1800.0
_OWN = (
    *("_phase", "_lessons", "_seen", "_faded", "_level", "_level_sum", "_level_weight", "_squares"),
    *("_recent", "_recent_valid", "_last_value"),
)
_GROWING = ("recent", "recent_valid")


class JointScorer:
    """Scores and learns one entity; state is about metrics x (700 + metrics + past steps) floats, bounded.

    Multiplying a metric by a constant, or adding one, changes no score. A block is scored the same whole or in parts.
    """

    def __init__(self, metrics: int, step_s: float) -> None:
        """Take the number of metrics and the seconds between two steps."""
        if metrics < 1 or not step_s > 0:
            raise ValueError(f"a joint scorer needs metrics and a step, not {metrics} metrics every {step_s} s")
        self.metrics, self.step_s = metrics, step_s
        self._past = PastForecast(sorted({max(1, round(each / step_s)) for each in HORIZONS_S}), metrics)
        self._peers = PeersForecast(metrics)
        channels = len(self._past.horizons) + 2
        self._weights = np.array([1.0] * (channels - 2) + [WEIGHT_PEERS] * 2)
        self._bands = ResidualBands(channels, metrics, 0.5 ** (step_s / SCALE_S), PRIOR_S / step_s)
        self._smooth = max(1, round(SMOOTH_S / step_s))
        self._fade = 0.5 ** (step_s / FADE_S)
        self._reach = max(self._past.reach, self._smooth)
        self._phase = 0  # steps since the last lesson
        self._lessons = 0
        self._seen = 0  # steps of this segment
        self._faded = np.zeros(metrics)  # running mean of each metric's evidence
        self._level = np.zeros(metrics)
        self._level_sum = np.zeros(metrics)
        self._level_weight = 0.0
        self._squares = np.zeros((2, metrics))  # weighted sum of squares around the level, and the weight
        self._recent = np.zeros((0, metrics))
        self._recent_valid = np.zeros((0, metrics), bool)
        self._last_value = np.full(metrics, np.nan)
        self._shares = np.zeros((0, metrics))

    def score_learn(self, block: npt.ArrayLike) -> Floats:
        """Give each step's score (T,), >= 0, higher = more anomalous, then learn the block (T, metrics).

        NaN is a missing point: it adds no evidence and teaches nothing. Scores are 0 in the first two hours of a
        segment and until the bands are known. Raises ValueError for another number of metrics. Cost: about 50 us a
        step of 38 metrics in blocks of 32 steps or more.
        """
        rows = np.asarray(block, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.metrics:
            raise ValueError(f"the block is {rows.shape}, not (T, {self.metrics})")
        scores: Floats = np.empty(len(rows))
        shares: Floats = np.empty(rows.shape)
        begin = 0
        while begin < len(rows):
            part = slice(begin, min(len(rows), begin + CHUNK - self._phase))
            scores[part], shares[part] = self._score(rows[part])
            begin = part.stop
            if self._phase == CHUNK:
                self._learn()
        self._shares = shares
        return scores

    def contributions(self) -> Floats:
        """Give each metric's share (T, metrics) in the last block, >= 0; a step's shares add up to its score."""
        return self._shares

    def new_segment(self) -> None:
        """Tell that the series begin anew after a gap, a restart or a change of units.

        Levels and scales are learned again from here on, quietly for two hours; what is kept is free of units: how the
        metrics move, their tails, how they go together.
        """
        if self._phase:
            self._learn()
        self._bands.new_segment(len(self._past.horizons))
        self._seen, self._level_weight = 0, 0.0
        self._faded[:] = 0.0
        kept = np.minimum(LEVEL_PRIOR_S / self.step_s / np.maximum(self._squares[1], 1e-12), 1.0)
        self._squares *= kept
        self._recent, self._recent_valid = self._recent[:0], self._recent_valid[:0]
        self._last_value[:] = np.nan

    def _score(self, rows: Floats) -> tuple[Floats, Floats]:
        """Append rows that stay within a chunk and score them."""
        valid = np.isfinite(rows)
        filled = self._filled(rows, valid)
        steps = len(rows)
        if not len(self._recent):
            self._recent = np.repeat(filled[:1], self._reach, axis=0)
            self._recent_valid = np.zeros(self._recent.shape, bool)
            self._level, self._level_sum = filled[0].copy(), np.zeros(self.metrics)
        self._recent = np.vstack([self._recent, filled])
        self._recent_valid = np.vstack([self._recent_valid, valid])
        excess = self._bands.excess(self._residuals(steps))
        excess[-2:, self._seen + np.arange(steps) < DAY_S / self.step_s] = 0.0  # the level is not known within a day
        shares = np.where(valid, np.einsum("ctm,c->tm", excess, self._weights), 0.0)
        shares[self._seen + np.arange(steps) < QUIET_S / self.step_s] = 0.0
        shares *= 1.0 - self._fade
        for share in shares:
            share += self._fade * self._faded
            self._faded = share
        self._faded = shares[-1].copy()
        self._seen += steps
        self._phase += steps
        return shares.sum(axis=1), shares

    def _filled(self, rows: Floats, valid: Flags) -> Floats:
        """Give rows with missing points as the last value known; a metric never heard stands at 0."""
        held = np.vstack([self._last_value, rows])
        places = np.where(np.isfinite(held), np.arange(len(held))[:, None], 0)
        np.maximum.accumulate(places, axis=0, out=places)
        filled = np.take_along_axis(held, places, axis=0)
        self._last_value = filled[-1].copy()
        fresh = ~np.isfinite(filled)
        return np.where(fresh, 0.0, filled)[1:]

    def _standard(self, rows: Floats) -> Floats:
        """Give values less level in units of their usual spread, within +-10."""
        spread = np.sqrt(self._squares[0] / np.maximum(self._squares[1], 1e-12))
        apart = rows - self._level
        with np.errstate(divide="ignore", invalid="ignore"):
            standard = np.where(apart == 0, 0.0, apart / spread)
        return np.clip(standard, -_STANDARD_MAX, _STANDARD_MAX)

    def _residuals(self, steps: int) -> Floats:
        """Give the residuals (channels, steps, metrics) of the last steps."""
        past = self._past.residuals(self._recent - self._level, steps)
        standard = self._standard(self._recent[-(steps + self._smooth) :])
        peers = self._peers.residuals(standard)
        sums = np.cumsum(np.vstack([np.zeros((1, self.metrics)), peers]), axis=0)
        smooth = (sums[self._smooth :] - sums[: -self._smooth])[-steps:] / self._smooth
        return np.concatenate([past, peers[None, -steps:], smooth[None]])

    def _learn(self) -> None:
        """Learn the steps since the last lesson."""
        steps = self._phase
        valid, rows = self._recent_valid[-steps:], self._recent[-steps:]
        residuals = self._residuals(steps)
        scale, band = self._bands.scale, self._bands.band
        pasts = len(self._past.horizons)
        settled = (
            self._seen > DAY_S / self.step_s
        )  # before, the level is a guess, and far values would teach wrong ties
        learned = residuals if settled else residuals[:pasts]
        self._bands.learn(learned, valid, shape_too=self._seen > QUIET_S / self.step_s)
        beyond = np.abs(residuals[:pasts]) / np.where(band > 0, band, np.inf)[:pasts, None]
        variance = np.where(scale > 0, scale, np.inf)[:pasts, None] ** 2
        self._past.learn(self._recent - self._level, valid / np.maximum(beyond, 1.0) / variance)
        if settled:
            self._peers.learn(np.where(valid, self._standard(rows), 0.0))
        self._learn_level(rows, valid)
        self._lessons += 1
        self._phase = 0
        if self._lessons % _CHUNKS_PER_FIT == 0:
            keep = 0.5 ** (_CHUNKS_PER_FIT * CHUNK * self.step_s / SHAPE_S)
            for each in (self._bands, self._past, self._peers):
                each.refit(keep)
        self._recent, self._recent_valid = self._recent[-self._reach :], self._recent_valid[-self._reach :]

    def _learn_level(self, rows: Floats, valid: Flags) -> None:
        """Move the level and the spread around it; a far value widens the spread no more than a near one."""
        steps = len(rows)
        keep = 0.5 ** (steps * self.step_s / LEVEL_S)
        spread = np.sqrt(self._squares[0] / np.maximum(self._squares[1], 1e-12))
        apart = np.where(valid, rows - self._level, 0.0)
        limit = np.where(spread > 0, _SPREADS_MAX * spread, np.inf)
        clipped = np.clip(apart, -limit, limit)
        self._squares = self._squares * keep + np.stack([(clipped**2).sum(axis=0), valid.sum(axis=0)])
        self._level_sum = self._level_sum * keep + apart.sum(axis=0)
        self._level_weight = self._level_weight * keep + steps
        moved = self._level_sum / (self._level_weight + LEVEL_PRIOR_S / self.step_s)
        self._level = self._level + moved
        self._level_sum -= moved * self._level_weight

    def save(self, path: Path) -> None:
        """Write the whole state to one npz file (no pickle)."""
        arrays = {name: getattr(holder, field) for name, (holder, field) in self._fields().items()}
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(file, schema_version=np.array(SCHEMA_VERSION), step_s=np.array(self.step_s), **arrays)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> JointScorer:
        """Take a saved state up; raises NewerFormat of a newer version, StoreError when it cannot be read."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays = dict(archive)
            version = int(arrays["schema_version"])
            if version > SCHEMA_VERSION:
                raise NewerFormat(
                    f"{path} was written by a newer Watchkeeper (version {version}, this one reads {SCHEMA_VERSION}); "
                    "upgrade, or delete it to learn anew"
                )
            scorer = cls(arrays["level"].shape[0], float(arrays["step_s"]))
            for name, (holder, field) in scorer._fields().items():
                now, saved = getattr(holder, field), arrays[name]
                if name not in _GROWING and np.shape(now) != saved.shape:
                    raise ValueError(f"{name} is {saved.shape}, not {np.shape(now)}")
                setattr(holder, field, saved if saved.ndim else type(now)(saved))
        except (OSError, EOFError, KeyError, ValueError, TypeError, IndexError, zipfile.BadZipFile) as error:
            raise StoreError(f"the joint scorer in {path} cannot be read: {error}; delete it to learn anew") from error
        return scorer

    def _fields(self) -> dict[str, tuple[object, str]]:
        """Name each part of the state by where it lives."""
        parts: tuple[tuple[object, tuple[str, ...]], ...] = (
            (self._bands, ("histogram", "squares", "weight", "shape")),
            (self._past, ("moments", "factors")),
            (self._peers, ("sums", "weight", "factors")),
        )
        named = {f"{type(holder).__name__}.{field}": (holder, field) for holder, fields in parts for field in fields}
        return {**named, **{field.lstrip("_"): (self, field) for field in _OWN}}
