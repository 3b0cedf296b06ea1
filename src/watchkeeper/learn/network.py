"""A trained network: weights, settings, the same in one ONNX file, and further training.

Enters: settings and examples. Leaves: numbers told by ONNX Runtime. torch is imported by `learned` only, so that what
was trained elsewhere is loaded and asked without it. Knows nothing of logs and metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from watchkeeper.learn import networks
from watchkeeper.learn.checkpoints import Checkpoints
from watchkeeper.learn.framework import device, seeded
from watchkeeper.learn.framework import torch as torch_module
from watchkeeper.learn.onnx_graph import Run, Weights, runner, stored
from watchkeeper.learn.training import Told, Training, train, untold

BATCH = 512
Array = npt.NDArray[Any]
Loss = Callable[[Any, Any, Any], Any]
"""(torch, what the module told, the numbers of the examples (batch,)) to the mean loss."""
Test = Callable[[Any, Callable[[Any], Any]], float]
"""(torch, the module's forward pass) to a number, higher is better."""


class Network:
    """Weights under settings. `more` are the caller's own settings, kept in the file beside those of the network."""

    def __init__(self, settings: networks.Settings, weights: Weights, more: networks.Settings | None = None) -> None:
        self.settings, self.weights, self.more = dict(settings), weights, dict(more or {})
        self._run: Run | None = None

    @classmethod
    def learned(
        cls,
        settings: networks.Settings,
        given: Callable[[Any, Any], Any],
        loss: Loss,
        examples: int,
        training: Training,
        *,
        seed: int,
        begin: Weights | None = None,
        told: Told = untold,
        more: networks.Settings | None = None,
        test: Test | None = None,
        checkpoints: Checkpoints | None = None,
        lengths: npt.NDArray[np.int64] | None = None,
    ) -> Network:
        """Train. given: (torch, numbers of examples) to what enters the network. begin: weights to go on from.

        test: how good the module is, from (torch, a function that runs it); the best state on the way is kept.
        lengths: of the examples, see `train`.

        Raises MissingExtra without torch. The same seed and examples give the same weights on one machine.
        """
        torch = torch_module()
        with seeded(torch, seed):
            module = networks.build(torch, settings)
            if begin is not None:
                module.load_state_dict({name: torch.tensor(each) for name, each in begin.items()})
            module.to(device(torch))

            def loss_of(chosen: Any) -> Any:
                return loss(torch, networks.forward(torch, module, settings, given(torch, chosen)), chosen)

            def quality() -> float:
                return test(torch, partial(networks.forward, torch, module, settings)) if test else 0.0

            train(
                module,
                examples,
                loss_of,
                training,
                told=told,
                test=quality if test else None,
                checkpoints=checkpoints,
                lengths=lengths,
            )
        return cls(settings, weights_of(module), more)

    def ask(self, given: Array) -> npt.NDArray[np.float32]:
        """Give what the network tells of (n, ...) examples, in batches of BATCH."""
        if self._run is None:
            self._run = runner(self.onnx())
        if not len(given):
            shape = (0, self.settings["outputs"])
            each = self.settings.get("every") is True
            return np.zeros((0, self.settings["steps"], shape[1]) if each else shape, np.float32)
        return np.concatenate([self._run(given[at : at + BATCH]) for at in range(0, len(given), BATCH)])

    def onnx(self) -> bytes:
        """Give the model file."""
        return networks.graph(self.weights, self.settings, {"more": self.more})

    @classmethod
    def from_onnx(cls, content: bytes) -> Network:
        """Take up what `onnx` gave; raises ValueError when it does not fit."""
        settings, weights = stored(content)
        more = settings.pop("more")
        return cls(settings, weights, more)


def weights_of(module: Any) -> Weights:
    """Give a module's weights by name."""
    return {name: each.detach().cpu().numpy().copy() for name, each in module.state_dict().items()}
