"""Autoencoder of rows: what cannot be told again through a narrow layer is out of the ordinary.

Enters: rows (n, d) held to be normal: counts of templates, embeddings, metrics of one step. Leaves: a score a row, the
mean squared error of the standardised row, higher is stranger. Learns once; `resume` goes on from there, with the
standardisation of the first rows. Source: Sakurada and Yairi, "Anomaly Detection Using Autoencoders", MLSDA 2014.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.network import Network
from watchkeeper.learn.onnx_graph import Weights
from watchkeeper.learn.training import Told, Training, untold

Floats = npt.NDArray[np.float64]
TRAINING = Training(epochs=60, batch=64, rate=2e-3, steps_max=2_000)
SCALE_FLOOR = 1e-2


class Autoencoder:
    """See the module. Rows that occur more than once may be given once, with `counts` (n,) of how often."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._mean = np.array(network.more["mean"], np.float64)
        self._scale = np.array(network.more["scale"], np.float64)

    @classmethod
    def learn(
        cls,
        rows: Floats,
        *,
        counts: Floats | None = None,
        width: int = 64,
        standardise: str = "columns",
        training: Training = TRAINING,
        seed: int = 0,
        told: Told = untold,
    ) -> Autoencoder:
        """Train. standardise: `columns` by their own spread, `rows` by that of all numbers (embeddings), or `not`."""
        weights = np.ones(len(rows)) if counts is None else counts
        mean = np.average(rows, axis=0, weights=weights)
        variance = np.average((rows - mean) ** 2, axis=0, weights=weights)
        if standardise == "rows":
            variance = np.full_like(variance, variance.mean())
        if standardise == "not":
            mean, variance = np.zeros_like(mean), np.ones_like(mean)
        scale = np.maximum(np.sqrt(variance), SCALE_FLOOR)
        more = {"mean": mean.tolist(), "scale": scale.tolist()}
        return cls(_trained(rows, weights, width, training, seed, told, None, more))

    def resume(
        self,
        rows: Floats,
        *,
        counts: Floats | None = None,
        training: Training = TRAINING,
        seed: int = 0,
        told: Told = untold,
    ) -> Autoencoder:
        """Go on learning from other rows of the same columns; gives a new one."""
        weights = np.ones(len(rows)) if counts is None else counts
        width = int(self.network.settings["width"])
        begin = self.network.weights
        return type(self)(_trained(rows, weights, width, training, seed, told, begin, self.network.more))

    def score(self, rows: Floats) -> Floats:
        """Give the score of each row (n,), >= 0."""
        entering = _standard(rows, self._mean, self._scale)
        return np.asarray(((self.network.ask(entering) - entering) ** 2).mean(axis=1), np.float64)

    def onnx(self) -> bytes:
        """Give the model file."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> Autoencoder:
        """Take up what `onnx` gave; needs no torch."""
        return cls(Network.from_onnx(content))


def _standard(rows: Floats, mean: Floats, scale: Floats) -> npt.NDArray[np.float32]:
    return np.asarray((rows - mean) / scale, np.float32)


def _trained(
    rows: Floats,
    weights: Floats,
    width: int,
    training: Training,
    seed: int,
    told: Told,
    begin: Weights | None,
    more: dict[str, Any],
) -> Network:
    entering = _standard(rows, np.array(more["mean"]), np.array(more["scale"]))
    share = (weights / weights.mean()).astype(np.float32)
    settings = {"kind": "dense", "inputs": rows.shape[1], "outputs": rows.shape[1], "width": width}
    fitted = replace(training, batch=min(training.batch, max(8, len(rows) // 8)))

    def given(torch: Any, chosen: Any) -> Any:
        return torch.from_numpy(entering)[chosen.cpu()].to(chosen.device)

    def loss(torch: Any, answer: Any, chosen: Any) -> Any:
        error = ((answer - given(torch, chosen)) ** 2).mean(dim=1)
        return (error * torch.from_numpy(share)[chosen.cpu()].to(chosen.device)).mean()

    return Network.learned(settings, given, loss, len(rows), fitted, seed=seed, begin=begin, told=told, more=more)
