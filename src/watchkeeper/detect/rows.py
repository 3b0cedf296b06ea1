"""Detectors of rows without order: PCA, ECOD, isolation forest and half-space trees, each learned once.

Enters: a matrix (n, d) of what is held to be normal. Leaves: a score a row, higher is stranger; none sets a threshold.
They know no time and no names: what the rows are (template counts, metrics of one step, call paths) is the caller's.
Sources: Xu et al., SOSP 2009 (PCA); Li et al., "ECOD", TKDE 2023; Liu et al., "Isolation Forest", ICDM 2008; Tan et
al., "Fast Anomaly Detection for Streaming Data", IJCAI 2011 (half-space trees).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_LEAST = 1e-9


class PrincipalComponents:
    """Distance from the space of the directions that hold `kept` of the variance. Cost: d^2 a row to learn, d k after.

    >>> model = PrincipalComponents(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    >>> model.score(np.array([[5.0, 5.0], [0.0, 4.0]])).round(2).tolist()
    [0.0, 8.0]
    """

    def __init__(self, rows: Floats, *, kept: float = 0.95) -> None:
        self.mean = rows.mean(axis=0)
        variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))
        shares = np.cumsum(variances[::-1]) / max(float(variances.sum()), _LEAST)
        self.directions = directions[:, ::-1][:, : int(np.searchsorted(shares, kept)) + 1]  # (d, k)

    def score(self, rows: Floats) -> Floats:
        """Give the squared distance of each row (n,), >= 0."""
        moved = rows - self.mean
        rest = moved - moved @ self.directions @ self.directions.T
        return np.asarray((rest**2).sum(axis=1))


class TailProbabilities:
    """ECOD: the sum over columns of how far out in the empirical tail a value lies. Cost: d log n a row."""

    def __init__(self, rows: Floats) -> None:
        self.sorted = np.sort(rows, axis=0)
        moved = rows - rows.mean(axis=0)
        skew = (moved**3).mean(axis=0) / np.maximum((moved**2).mean(axis=0) ** 1.5, _LEAST)
        self.skewed_left = skew < 0

    def score(self, rows: Floats) -> Floats:
        """Give the greatest of the sums of left, right and skew-chosen tails, (n,), >= 0."""
        count = len(self.sorted)
        left, right = np.empty(rows.shape), np.empty(rows.shape)
        for column in range(rows.shape[1]):
            known = self.sorted[:, column]
            left[:, column] = np.searchsorted(known, rows[:, column], "right")
            right[:, column] = count - np.searchsorted(known, rows[:, column], "left")
        far_left, far_right = (-np.log(np.maximum(each, 0.5) / (count + 1)) for each in (left, right))
        chosen = np.where(self.skewed_left, far_left, far_right)
        return np.asarray(np.maximum.reduce([far_left.sum(axis=1), far_right.sum(axis=1), chosen.sum(axis=1)]))


class IsolationForest:
    """Rows that few random cuts set apart are strange. Trees are complete, of depth log2 of the sample.

    Cost: trees x depth a row. Same seed, same forest.
    """

    def __init__(self, rows: Floats, *, seed: int, trees: int = 100, sample: int = 256) -> None:
        random = np.random.default_rng(seed)
        size = min(sample, len(rows))
        self.depth = max(1, math.ceil(math.log2(max(size, 2))))
        self.usual = _usual_depth(size)
        nodes = 2**self.depth - 1
        self.columns = np.zeros((trees, nodes), np.int64)
        self.cuts = np.full((trees, nodes), np.nan)
        self.counts = np.zeros((trees, 2 * nodes + 1), np.int64)
        for tree in range(trees):
            drawn = rows[random.choice(len(rows), size, replace=False)]
            self._grow(tree, drawn, random)

    def _grow(self, tree: int, rows: Floats, random: np.random.Generator) -> None:
        ahead = [(0, rows)]
        while ahead:
            node, here = ahead.pop()
            self.counts[tree, node] = len(here)
            if node >= self.cuts.shape[1] or len(here) <= 1:
                continue
            low, high = here.min(axis=0), here.max(axis=0)
            wide = np.flatnonzero(high > low)
            if not len(wide):
                continue
            column = int(random.choice(wide))
            cut = float(random.uniform(low[column], high[column]))
            self.columns[tree, node], self.cuts[tree, node] = column, cut
            below = here[:, column] < cut
            ahead += [(2 * node + 1, here[below]), (2 * node + 2, here[~below])]

    def score(self, rows: Floats) -> Floats:
        """Give 2^(-depth / usual depth) of each row (n,), 0..1."""
        total = np.zeros(len(rows))
        places = np.arange(len(rows))
        for columns, cuts, counts in zip(self.columns, self.cuts, self.counts, strict=True):
            node = np.zeros(len(rows), np.int64)
            depth = np.zeros(len(rows))
            for _ in range(self.depth):
                inner = node < len(cuts)
                cut = np.where(inner, cuts[np.minimum(node, len(cuts) - 1)], np.nan)
                going = ~np.isnan(cut)
                value = rows[places, columns[np.minimum(node, len(cuts) - 1)]]
                node = np.where(going, 2 * node + 1 + (value >= cut), node)
                depth += going
            total += depth + np.array([_usual_depth(size) for size in range(counts.max() + 1)])[counts[node]]
        return np.asarray(2.0 ** (-total / len(self.cuts) / self.usual))


class HalfSpaceTrees:
    """Mass of the cell that a row falls into, over random half-space cuts; windows of the stream refresh the mass.

    Online: `score_learn` scores each window by the mass of the last one. Cost: trees x depth a row.
    """

    def __init__(self, low: Floats, high: Floats, *, seed: int, trees: int = 25, depth: int = 12) -> None:
        random = np.random.default_rng(seed)
        width = np.maximum(high - low, _LEAST)
        nodes = 2**depth - 1
        self.depth, self.window = depth, 250
        self.columns = random.integers(0, len(low), (trees, nodes))
        self.cuts = np.empty((trees, nodes))
        self.mass = np.zeros((trees, 2 * nodes + 1))
        for tree in range(trees):
            middle = random.random(len(low))
            reach = 2 * np.maximum(middle, 1 - middle)
            lows, highs = {0: low + (middle - reach) * width}, {0: low + (middle + reach) * width}
            for node in range(nodes):
                column = self.columns[tree, node]
                under, over = lows.pop(node), highs.pop(node)
                cut = (under[column] + over[column]) / 2
                self.cuts[tree, node] = cut
                left, right = 2 * node + 1, 2 * node + 2
                lows[left], highs[left] = under, _with(over, column, cut)
                lows[right], highs[right] = _with(under, column, cut), over

    def score_learn(self, rows: Floats) -> Floats:
        """Score rows in order, in windows, each by what was learned before it; higher is stranger, (n,)."""
        scores = []
        for begin in range(0, len(rows), self.window):
            window = rows[begin : begin + self.window]
            paths = self._paths(window)  # (trees, n, depth + 1)
            scores.append(self._score(paths))
            mass = np.zeros_like(self.mass)
            for tree, path in enumerate(paths):
                mass[tree] = np.bincount(path.ravel(), minlength=mass.shape[1])
            if len(window) == self.window or not self.mass.any():
                self.mass = mass
        return np.concatenate(scores) if scores else np.zeros(0)

    def _paths(self, rows: Floats) -> Ints:
        node = np.zeros((len(self.cuts), len(rows)), np.int64)
        steps = [node]
        trees = np.arange(len(self.cuts))[:, None]
        for _ in range(self.depth):
            values = rows[np.arange(len(rows)), self.columns[trees, node]]
            node = 2 * node + 1 + (values >= self.cuts[trees, node])
            steps.append(node)
        return np.stack(steps, axis=2)

    def _score(self, paths: Ints) -> Floats:
        trees = np.arange(len(self.cuts))[:, None, None]
        mass = self.mass[trees, paths]  # (trees, n, depth + 1)
        small = mass < 0.1 * self.window
        first = np.where(small.any(axis=2), small.argmax(axis=2), self.depth)
        there = np.take_along_axis(mass, first[:, :, None], axis=2)[:, :, 0]
        return np.asarray(-np.log1p(there * 2.0**first).sum(axis=0))


def _with(values: Floats, column: int, value: float) -> Floats:
    changed = values.copy()
    changed[column] = value
    return changed


def _usual_depth(count: int) -> float:
    """Give the mean depth of an unsuccessful search in a binary tree of `count` values."""
    if count <= 1:
        return 0.0
    return 2.0 * (math.log(count - 1) + 0.5772156649) - 2.0 * (count - 1) / count if count > 2 else 1.0
