"""Small models that learn the scores of a large one: a dense network and a linear rule.

Enters: rows (n, d), and the score that a teacher gave each. Leaves: a score a row, near the teacher's. The linear one
needs no package to learn or to score; the dense one is trained by torch and asked by ONNX Runtime. Source: Hinton et
al., "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.network import Network
from watchkeeper.learn.training import Told, Training, untold

Floats = npt.NDArray[np.float64]
WIDTH = 16
RIDGE = 1.0
TRAINING = Training(epochs=100, batch=64, rate=5e-3, steps_max=1_500)
SCHEMA_VERSION = 1


class LinearStudent:
    """Ridge regression. State: d + 1 numbers.

    >>> student = LinearStudent.learn(np.array([[0.0], [1.0], [2.0]] * 50), np.array([1.0, 3.0, 5.0] * 50))
    >>> student.score(np.array([[3.0]])).round(1).tolist()
    [7.0]
    """

    def __init__(self, factors: Floats, offset: float) -> None:
        self.factors, self.offset = factors, offset

    @classmethod
    def learn(cls, rows: Floats, scores: Floats) -> LinearStudent:
        """Solve for the factors."""
        middle = rows.mean(axis=0)
        moved = rows - middle
        factors = np.linalg.solve(moved.T @ moved + RIDGE * np.eye(rows.shape[1]), moved.T @ (scores - scores.mean()))
        return cls(factors, float(scores.mean() - middle @ factors))

    def score(self, rows: Floats) -> Floats:
        """Give the score of each row (n,)."""
        return np.asarray(rows @ self.factors + self.offset)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give the state as arrays for one npz."""
        return {
            "schema_version": np.array(SCHEMA_VERSION),
            "factors": self.factors,
            "offset": np.array(self.offset),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> LinearStudent:
        """Take up what `arrays` gave; raises ValueError for a newer version."""
        if int(arrays["schema_version"]) > SCHEMA_VERSION:
            raise ValueError(f"written by a newer version ({int(arrays['schema_version'])})")
        return cls(np.asarray(arrays["factors"], np.float64), float(arrays["offset"]))


class DenseStudent:
    """One hidden layer of WIDTH."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @classmethod
    def learn(
        cls, rows: Floats, scores: Floats, *, training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> DenseStudent:
        """Train by the squared error of the standardised score."""
        middle, spread = float(scores.mean()), max(float(scores.std()), 1e-6)
        entering = rows.astype(np.float32)
        right = ((scores - middle) / spread).astype(np.float32)

        def given(torch: Any, chosen: Any) -> Any:
            return torch.from_numpy(entering)[chosen.cpu()].to(chosen.device)

        def loss(torch: Any, answer: Any, chosen: Any) -> Any:
            return ((answer[:, 0] - torch.from_numpy(right)[chosen.cpu()].to(chosen.device)) ** 2).mean()

        settings = {"kind": "dense", "inputs": rows.shape[1], "outputs": 1, "width": WIDTH}
        more = {"middle": middle, "spread": spread}
        return cls(Network.learned(settings, given, loss, len(rows), training, seed=seed, told=told, more=more))

    def score(self, rows: Floats) -> Floats:
        """Give the score of each row (n,)."""
        told = self.network.ask(rows.astype(np.float32))[:, 0].astype(np.float64)
        return np.asarray(told * self.network.more["spread"] + self.network.more["middle"])

    def onnx(self) -> bytes:
        """Give the model file."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> DenseStudent:
        """Take up what `onnx` gave; needs no torch."""
        return cls(Network.from_onnx(content))
