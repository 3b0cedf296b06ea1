"""The one training loop: batches in a seeded order, Adam, progress after each epoch.

Enters: a torch module, a number of examples and a function that gives the loss of some of them. Leaves: the module,
trained. Bounded: no more than `steps_max` steps, however many examples there are. Saves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from watchkeeper.learn.framework import torch as torch_module


class Progress(NamedTuple):
    """How far a training is. epoch: 1..epochs. loss: mean of the epoch's batches."""

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float
    remaining_s: float

    @property
    def percent(self) -> float:
        """Give what is done, 0..100."""
        return 100.0 * self.epoch / self.epochs


Told = Callable[[Progress], None]


def untold(progress: Progress) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Training:
    """How to train. rate: of Adam. decay: its weight decay. steps_max: bounds epochs times batches; one at least."""

    epochs: int = 20
    batch: int = 128
    rate: float = 1e-3
    decay: float = 0.0
    steps_max: int = 2_000


def train(
    module: Any, examples: int, loss_of: Callable[[Any], Any], training: Training, *, told: Told = untold
) -> None:
    """Train in place. loss_of: gives the mean loss of the examples with these numbers, a tensor (batch,) of int64.

    The order is drawn from torch's generator (see framework.seeded). Cost: min(epochs x batches, steps_max) steps.
    """
    torch = torch_module()
    place = next(module.parameters()).device
    optimizer = torch.optim.Adam(module.parameters(), lr=training.rate, weight_decay=training.decay)
    batches = max(1, min(training.steps_max, -(-examples // training.batch)))
    epochs = max(1, min(training.epochs, training.steps_max // batches))
    begun_s = time.perf_counter()
    module.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for chosen in torch.randperm(examples)[: training.steps_max * training.batch].split(training.batch):
            optimizer.zero_grad()
            loss = loss_of(chosen.to(place))
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        elapsed_s = time.perf_counter() - begun_s
        told(Progress(epoch, epochs, total / batches, elapsed_s, elapsed_s / epoch * (epochs - epoch)))
    module.eval()
