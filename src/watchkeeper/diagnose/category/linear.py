"""Two linear models of words, in numpy: regularised softmax regression and complement naive Bayes.

Enters: rows of weights (tf-idf or counts) and class numbers. Leaves: class probabilities and what each word added.
For texts, where hundreds of weak words add up; events are better learned by `forest`.

Sources: Rennie et al., "Tackling the poor assumptions of naive Bayes text classifiers", ICML 2003; Nesterov, "A method
of solving a convex programming problem", 1983.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STEPS = 300


@dataclass(frozen=True)
class Linear:
    """Weights (D, C) and bias (C,); a row's scores are `row @ weights + bias`, its probabilities their softmax."""

    weights: Floats
    bias: Floats

    def probabilities(self, rows: Floats) -> Floats:
        """Give (M, C), rows sum to 1."""
        return softmax(rows @ self.weights + self.bias)

    def contributions(self, row: Floats) -> Floats:
        """Give (D, C): what each feature of this row added to each class, beyond what it adds to all of them."""
        each = row[:, None] * self.weights
        return np.asarray(each - each.mean(axis=1, keepdims=True))


def softmax(scores: Floats) -> Floats:
    """Give probabilities of scores (M, C), along the last axis."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def softmax_regression(rows: Floats, labels: Ints, classes: int, *, penalty: float, even: float = 1.0) -> Linear:
    """Fit by accelerated gradient steps on the mean log-loss + penalty / 2 x the squares of the weights.

    penalty: > 0. even: 0 = rows weigh the same, 1 = classes do. Cost: STEPS x N x D x C.
    """
    weight = _row_weights(labels, classes, even)
    one_hot = np.eye(classes)[labels]
    # The loss of a softmax curves at most half as much as the rows' squared length (plus the bias's own 1).
    step = 1.0 / (0.5 * float((weight * ((rows**2).sum(axis=1) + 1.0)).sum()) + penalty)
    point = np.zeros((rows.shape[1] + 1, classes))
    ahead, momentum = point, 1.0
    with_bias = np.hstack([rows, np.ones((len(rows), 1))])
    for _ in range(STEPS):
        wrong = (softmax(with_bias @ ahead) - one_hot) * weight[:, None]
        slope = with_bias.T @ wrong + penalty * np.vstack([ahead[:-1], np.zeros((1, classes))])
        following = ahead - step * slope
        grown = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = following + (momentum - 1.0) / grown * (following - point)
        point, momentum = following, grown
    return Linear(point[:-1], point[-1])


def complement_bayes(rows: Floats, labels: Ints, classes: int, *, smoothing: float) -> Linear:
    """Fit complement naive Bayes; smoothing: > 0, added to each count. Cost: N x D."""
    weights = np.zeros((rows.shape[1], classes))
    for number in range(classes):
        others = rows[labels != number].sum(axis=0) + smoothing
        weights[:, number] = -np.log(others / others.sum())
    return Linear(weights, np.zeros(classes))


def _row_weights(labels: Ints, classes: int, even: float) -> Floats:
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    weight = (1.0 / counts[labels]) ** even
    return np.asarray(weight / weight.sum())
