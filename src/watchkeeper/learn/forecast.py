"""Forecast of all metrics of a machine one step ahead, by an LSTM or a small Transformer.

Enters: steps (T, d) held to be normal, then the next steps block by block. Leaves: a score a step, the mean over the
metrics of the squared residual in units of what residuals usually are, clipped, higher is stranger. Learns once; of
what is scored it keeps the last WINDOW steps only. Source: Malhotra et al., "Long Short Term Memory Networks for
Anomaly Detection in Time Series", ESANN 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.network import Network
from watchkeeper.learn.training import Told, Training, untold

Floats = npt.NDArray[np.float64]
WINDOW = 16
CLIP = 10.0
SCALE_FLOOR = 1e-3
TRAINING = Training(epochs=8, batch=128, rate=2e-3, steps_max=400)
NETWORKS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "recurrent", "layers": 1, "width": 64},
    "transformer": {"kind": "encoder", "heads": 4, "dropout": 0.0, "width": 64},
}


class SeriesForecast:
    """See the module. Not for several threads."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._mean = np.array(network.more["mean"])
        self._scale = np.array(network.more["scale"])
        self._usual = np.array(network.more["usual"])
        self._before = np.zeros((WINDOW, len(self._mean)), np.float32)

    @classmethod
    def learn(
        cls, values: Floats, *, kind: str = "lstm", training: Training = TRAINING, seed: int = 0, told: Told = untold
    ) -> SeriesForecast:
        """Train on (T, d) steps; the residuals of the last fifth, not trained on, tell what is usual."""
        mean = values.mean(axis=0)
        scale = np.maximum(values.std(axis=0), SCALE_FLOOR)
        steps = _standard(values, mean, scale)
        held = max(WINDOW + 2, round(0.8 * len(steps)))
        metrics = values.shape[1]
        settings = {
            **NETWORKS[kind],
            "given": "values",
            "inputs": metrics,
            "outputs": metrics,
            "steps": WINDOW,
            "every": False,
        }

        def given(torch: Any, chosen: Any) -> Any:
            return torch.from_numpy(_windows(steps, chosen.cpu().numpy())).to(chosen.device)

        def loss(torch: Any, answer: Any, chosen: Any) -> Any:
            right = torch.from_numpy(steps)[chosen.cpu() + WINDOW].to(chosen.device)
            return torch.nn.functional.smooth_l1_loss(answer, right)

        count = max(1, min(held, len(steps)) - WINDOW)
        network = Network.learned(settings, given, loss, count, training, seed=seed, told=told)
        places = np.arange(min(held, len(steps) - WINDOW - 1), len(steps)) - WINDOW
        rest = steps[places + WINDOW] - network.ask(_windows(steps, places))
        usual = np.maximum(np.sqrt((rest**2).mean(axis=0)), 0.05)
        network.more = {"mean": mean.tolist(), "scale": scale.tolist(), "usual": usual.tolist()}
        model = cls(network)
        model._before = steps[-WINDOW:]
        return model

    def score(self, values: Floats) -> Floats:
        """Give the score of each of the next steps (n, d), in 0..CLIP^2."""
        steps = np.concatenate([self._before, _standard(values, self._mean, self._scale)])
        rest = steps[WINDOW:] - self.network.ask(_windows(steps, np.arange(len(values))))
        self._before = steps[-WINDOW:]
        return np.asarray((np.minimum(np.abs(rest / self._usual), CLIP) ** 2).mean(axis=1), np.float64)

    def onnx(self) -> bytes:
        """Give the model file; the last steps are not in it."""
        return self.network.onnx()

    @classmethod
    def from_onnx(cls, content: bytes) -> SeriesForecast:
        """Take up what `onnx` gave; needs no torch. It begins as if the steps before had been the means."""
        return cls(Network.from_onnx(content))


def _standard(values: Floats, mean: Floats, scale: Floats) -> npt.NDArray[np.float32]:
    return np.asarray(np.clip((np.nan_to_num(values) - mean) / scale, -CLIP, CLIP), np.float32)


def _windows(steps: npt.NDArray[np.float32], places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(steps[places[:, None] + np.arange(WINDOW)])
