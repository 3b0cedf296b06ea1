"""Extremely randomised trees in numpy: many small trees over counts, each node split at a random place.

Enters: a matrix of features and class numbers. Leaves: class probabilities, and for one row how much each feature moved
them. Chosen because failures show as a few rare events among hundreds, which trees find without any scaling.

Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006. Contributions along the
path of a row: Saabas, "Interpreting random forests", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CELLS_AT_ONCE = 4_000_000
"""How many values are held while trees grow side by side: bounds memory at about 100 MiB."""
_LEAST = 1e-12


@dataclass(frozen=True)
class Forest:
    """Trees laid end to end: `feature` (N,) (-1 at a leaf), `threshold` (N,), `left` and `right` (N,), `value` (N, C).

    roots (T,): where each tree begins. value: share of each class among the weighted rows of a node, sums to 1.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    value: Floats
    roots: Ints

    def probabilities(self, rows: Floats) -> Floats:
        """Give (M, C), the mean of the trees' leaves, rows sum to 1; all trees at once. Cost: M x trees x depth."""
        trees, classes = len(self.roots), self.value.shape[1]
        total = np.zeros((len(rows), classes))
        step = max(1, CELLS_AT_ONCE // max(trees * classes, 1))
        for begin in range(0, len(rows), step):
            part = rows[begin : begin + step]
            at = np.repeat(self.roots, len(part))
            row = np.tile(np.arange(len(part)), trees)
            walking = np.flatnonzero(self.feature[at] >= 0)
            while len(walking):
                here = at[walking]
                low = part[row[walking], self.feature[here]] <= self.threshold[here]
                at[walking] = np.where(low, self.left[here], self.right[here])
                walking = walking[self.feature[at[walking]] >= 0]
            total[begin : begin + step] = self.value[at].reshape(trees, len(part), classes).sum(axis=0)
        return np.asarray(total / max(trees, 1))

    def contributions(self, row: Floats) -> Floats:
        """Give (D, C): how much each feature of this row moved the probability of each class from the roots' mean."""
        moved = np.zeros((len(row), self.value.shape[1]))
        for root in self.roots:
            at = int(root)
            while self.feature[at] >= 0:
                feature = self.feature[at]
                following = self.left[at] if row[feature] <= self.threshold[at] else self.right[at]
                moved[feature] += self.value[following] - self.value[at]
                at = int(following)
        return moved / max(len(self.roots), 1)


def grow(rows: Floats, labels: Ints, classes: int, *, trees: int = 200, seed: int = 0, features: int = 0) -> Forest:
    """Grow a forest on `rows` (N, D) with `labels` (N,) in 0..classes-1; classes weigh the same however many rows.

    features: how many are tried at a node, 0 = the square root of D. Every tree sees all rows and grows until its
    leaves are pure or alike. Cost: about trees x depth x N x D.
    """
    counts = np.bincount(labels, minlength=classes)
    weight = len(labels) / (np.maximum(counts, 1) * max(int((counts > 0).sum()), 1))
    weights = np.eye(classes)[labels] * weight[labels][:, None]
    tried = min(features or max(1, round(rows.shape[1] ** 0.5)), rows.shape[1])
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // max(rows.size, 1))
    parts = [_batch(rows, weights, tried, min(at_once, trees - begun), random) for begun in range(0, trees, at_once)]
    begins = np.cumsum([0, *(len(part.feature) for part in parts)])
    return Forest(
        feature=np.concatenate([part.feature for part in parts]),
        threshold=np.concatenate([part.threshold for part in parts]),
        left=np.concatenate([part.left + begin for part, begin in zip(parts, begins, strict=False)]),
        right=np.concatenate([part.right + begin for part, begin in zip(parts, begins, strict=False)]),
        value=np.concatenate([part.value for part in parts]),
        roots=np.concatenate([part.roots + begin for part, begin in zip(parts, begins, strict=False)]),
    )


def _batch(rows: Floats, weights: Floats, tried: int, trees: int, random: np.random.Generator) -> Forest:
    """Grow trees side by side, one level of all of them at a time."""
    members = np.tile(np.arange(len(rows)), trees)
    sizes = np.full(trees, len(rows))
    node = np.arange(trees)
    told: list[tuple[Ints, Ints, Floats, Ints, Floats]] = []
    used = trees
    while len(node):
        starts = np.cumsum(sizes) - sizes
        total = np.add.reduceat(weights[members], starts, axis=0)  # (n, C)
        level = _level(rows, weights, members, starts, sizes, total, tried, random)
        feature, threshold, low = level
        splits = feature >= 0
        left = np.full(len(node), -1)
        left[splits] = used + 2 * np.arange(splits.sum())
        told.append((node, feature, threshold, left, total / total.sum(axis=1, keepdims=True)))
        used += 2 * int(splits.sum())
        segment = np.repeat(np.arange(len(node)), sizes)
        stays = splits[segment]
        child = left[segment[stays]] + ~low[stays]
        order = np.argsort(child, kind="stable")
        members = members[stays][order]
        node, sizes = np.unique(child, return_counts=True)
    node, feature, threshold, left, value = (np.concatenate(column) for column in zip(*told, strict=True))
    place = np.argsort(node)
    left = left[place]
    right = np.where(left >= 0, left + 1, -1)
    return Forest(feature[place], threshold[place], left, right, value[place], np.arange(trees))


def _level(
    rows: Floats,
    weights: Floats,
    members: Ints,
    starts: Ints,
    sizes: Ints,
    total: Floats,
    tried: int,
    random: np.random.Generator,
) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
    """Give for each node (n,) the feature (-1: a leaf) and threshold, and for each member whether it lies low.

    Of `tried` features that vary within the node, each cut at one random place, the one is taken that leaves the least
    Gini impurity.
    """
    values = rows[members]  # (R, D)
    lowest, highest = np.minimum.reduceat(values, starts, axis=0), np.maximum.reduceat(values, starts, axis=0)
    varies = (highest > lowest) & ((total > 0).sum(axis=1) > 1)[:, None]
    picked = np.argsort(np.where(varies, random.random(varies.shape), 2.0), axis=1)[:, :tried]  # (n, K)
    usable = np.take_along_axis(varies, picked, axis=1)
    lowest, highest = np.take_along_axis(lowest, picked, axis=1), np.take_along_axis(highest, picked, axis=1)
    cuts = lowest + random.random(picked.shape) * (highest - lowest)
    segment = np.repeat(np.arange(len(sizes)), sizes)
    low = np.take_along_axis(values, picked[segment], axis=1) <= cuts[segment]  # (R, K)
    below_all, below_square, above_square = np.zeros(picked.shape), np.zeros(picked.shape), np.zeros(picked.shape)
    for number in range(weights.shape[1]):
        below = np.add.reduceat(low * weights[members, number][:, None], starts, axis=0)
        below_all += below
        below_square += below**2
        above_square += (total[:, number][:, None] - below) ** 2
    above_all = total.sum(axis=1)[:, None] - below_all
    gain = below_square / np.maximum(below_all, _LEAST) + above_square / np.maximum(above_all, _LEAST)
    gain[~usable] = -1.0
    best = np.argmax(gain, axis=1)
    every = np.arange(len(sizes))
    feature = np.where(usable[every, best], picked[every, best], -1)
    return feature, cuts[every, best], low[np.arange(len(members)), best[segment]]
