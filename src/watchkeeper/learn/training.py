"""The one training loop: batches in a seeded order, Adam, progress, a checkpoint now and then.

Enters: a torch module, a number of examples and a function that gives the loss of some of them. Leaves: the module,
trained. Bounded: no more than `steps_max` steps, however many examples there are, and how many is known beforehand, so
that the time left can be told. Where a test of the module is given, its best state is kept, not its last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.checkpoints import Checkpoints, State
from watchkeeper.learn.framework import torch as torch_module

ALIKE_BATCHES = 16
"""Of how many batches the examples are put in order by length."""
TOLD_EVERY_S = 0.5
"""How often progress is told within long epochs."""


class Progress(NamedTuple):
    """How far a training is. epoch: 1..epochs. loss: mean of the epoch's batches until now.

    step: of `steps`, 0 where only whole epochs are told. accuracy: of the last test of the module, None before any.
    """

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float
    remaining_s: float
    step: int = 0
    steps: int = 0
    accuracy: float | None = None

    @property
    def percent(self) -> float:
        """Give what is done, 0..100."""
        return 100.0 * self.step / self.steps if self.steps else 100.0 * self.epoch / self.epochs


Told = Callable[[Progress], None]


def untold(progress: Progress) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Training:
    """How to train. rate: of Adam. decay: its weight decay. steps_max: bounds epochs times batches; one at least.

    steps_min: further epochs are trained until there were as many steps. tests: how many times the module is tested
    on the way where a test is given.
    """

    epochs: int = 20
    batch: int = 128
    rate: float = 1e-3
    decay: float = 0.0
    steps_max: int = 2_000
    steps_min: int = 0
    tests: int = 10

    def planned(self, examples: int) -> tuple[int, int]:
        """Give how many epochs there will be and of how many batches each."""
        batches = max(1, min(self.steps_max, -(-examples // self.batch)))
        wanted = max(self.epochs, -(-self.steps_min // batches))
        return max(1, min(wanted, self.steps_max // batches)), batches


def train(
    module: Any,
    examples: int,
    loss_of: Callable[[Any], Any],
    training: Training,
    *,
    told: Told = untold,
    test: Callable[[], float] | None = None,
    checkpoints: Checkpoints | None = None,
    lengths: npt.NDArray[np.int64] | None = None,
) -> None:
    """Train in place. loss_of: gives the mean loss of the examples with these numbers, a tensor (batch,) of int64.

    test: gives how good the module is, higher is better; it must draw nothing at random. checkpoints: where to go on
    from and what to keep; a training that goes on gives the weights that it would have given in one go, on a CPU, and
    tells first where it goes on.
    lengths: (examples,) of sequences: batches are then of like length, for a step costs what its longest one does.
    The order is drawn from torch's generator (see framework.seeded). Cost: min(epochs x batches, steps_max) steps.
    """
    run = _Run(module, examples, training, told, test, checkpoints)
    run.lengths = lengths
    module.train()
    while run.step < run.epochs * run.batches:
        run.epoch_of(loss_of)
    run.end()
    module.eval()


class _Run:
    """One training: what is counted on the way, and what of it a checkpoint holds."""

    def __init__(
        self,
        module: Any,
        examples: int,
        training: Training,
        told: Told,
        test: Callable[[], float] | None,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._torch = torch_module()
        self._module, self._examples, self._training = module, examples, training
        self._told, self._test, self._checkpoints = told, test, checkpoints
        self.epochs, self.batches = training.planned(examples)
        self._steps = self.epochs * self.batches
        self._optimizer = self._torch.optim.Adam(module.parameters(), lr=training.rate, weight_decay=training.decay)
        self._test_every = max(1, self._steps // max(1, training.tests))
        self.lengths: npt.NDArray[np.int64] | None = None
        self.step, self._loss = 0, 0.0
        self._before_s, self._begun_step, self._begun_s = 0.0, 0, time.perf_counter()
        self._best: dict[str, Any] | None = None
        self._best_test = -float("inf")
        self._last_test: float | None = None
        self._told_s = self._begun_s
        self._order_drawn: Any = None
        if checkpoints is not None:
            self._take_up(checkpoints.load())

    def epoch_of(self, loss_of: Callable[[Any], Any]) -> None:
        """Train one epoch, or what is left of it."""
        place = next(self._module.parameters()).device
        generator = self._torch.get_rng_state()
        if self._order_drawn is not None:  # the order of an epoch that was broken off is drawn again
            self._torch.set_rng_state(self._order_drawn)
        order_drawn = self._torch.get_rng_state()
        batches = self._batches()
        if self._order_drawn is not None:
            self._torch.set_rng_state(generator)
            self._order_drawn = None
        begin = self.step % self.batches
        self._loss = self._loss if begin else 0.0
        for chosen in batches[begin:]:
            self._optimizer.zero_grad()
            loss = loss_of(chosen.to(place))
            loss.backward()
            self._optimizer.step()
            self._loss += float(loss.detach())
            self.step += 1
            self._after_step(order_drawn)

    def end(self) -> None:
        """Bring the best state back."""
        if self._best is not None:
            self._module.load_state_dict(self._best)

    def _batches(self) -> list[Any]:
        """Draw the batches of an epoch; of like length where lengths are known, and in an order drawn again."""
        size = self._training.batch
        order = self._torch.randperm(self._examples)[: self.batches * size]
        if self.lengths is None:
            return list(order.split(size))
        lengths = self._torch.from_numpy(self.lengths)
        batches = [
            batch
            for part in order.split(ALIKE_BATCHES * size)
            for batch in part[lengths[part].argsort(stable=True)].split(size)
        ]
        return [batches[at] for at in self._torch.randperm(len(batches)).tolist()]

    def _after_step(self, order_drawn: Any) -> None:
        ends_epoch = self.step % self.batches == 0
        if self._test is not None and (self.step % self._test_every == 0 or self.step == self._steps):
            self._test_module(self._test)
        if ends_epoch or time.perf_counter() - self._told_s > TOLD_EVERY_S:
            self._tell()
        if self._checkpoints is not None and self._checkpoints.due(self.step):
            self._checkpoints.save(self._state(order_drawn))

    def _test_module(self, test: Callable[[], float]) -> None:
        self._module.eval()
        with self._torch.no_grad():
            quality = self._last_test = test()
        self._module.train()
        if quality > self._best_test:
            self._best_test = quality
            self._best = {name: each.detach().clone() for name, each in self._module.state_dict().items()}

    def _tell(self) -> None:
        """Tell how far it is; the time left is by the steps of this run, for an earlier one may have been faster."""
        self._told_s = time.perf_counter()
        here_s = self._told_s - self._begun_s
        each_s = here_s / max(1, self.step - self._begun_step)
        done = (self.step - 1) % self.batches + 1
        self._told(
            Progress(
                (self.step - 1) // self.batches + 1,
                self.epochs,
                self._loss / done,
                self._before_s + here_s,
                each_s * (self._steps - self.step),
                self.step,
                self._steps,
                self._last_test,
            )
        )

    def _state(self, order_drawn: Any) -> State:
        """Give everything that going on needs."""
        arrays = {f"module/{name}": each for name, each in self._module.state_dict().items()}
        arrays |= {f"best/{name}": each for name, each in (self._best or {}).items()}
        for at, each in self._optimizer.state_dict()["state"].items():
            arrays |= {f"adam/{at}/{name}": value for name, value in each.items()}
        arrays |= {"random/cpu": self._torch.get_rng_state(), "random/order": order_drawn}
        if self._torch.cuda.is_available():
            arrays["random/cuda"] = self._torch.cuda.get_rng_state()
        numbers = {
            "step": float(self.step),
            "loss": self._loss,
            "best": self._best_test,
            "elapsed_s": self._before_s + time.perf_counter() - self._begun_s,
        }
        if self._last_test is not None:
            numbers["test"] = self._last_test
        return State({name: each.detach().cpu().numpy() for name, each in arrays.items()}, numbers)

    def _take_up(self, state: State | None) -> None:
        if state is None:
            return
        tensor = self._torch.from_numpy
        own = self._module.state_dict()
        self._module.load_state_dict({name: tensor(state.arrays[f"module/{name}"]) for name in own})
        if any(name.startswith("best/") for name in state.arrays):
            place = next(self._module.parameters()).device
            self._best = {name: tensor(state.arrays[f"best/{name}"]).to(place) for name in own}
        adam = self._optimizer.state_dict()
        for at in range(sum(1 for _ in self._module.parameters())):
            names = ("step", "exp_avg", "exp_avg_sq")
            adam["state"][at] = {name: tensor(state.arrays[f"adam/{at}/{name}"]) for name in names}
        self._optimizer.load_state_dict(adam)
        if self._torch.cuda.is_available() and "random/cuda" in state.arrays:
            self._torch.cuda.set_rng_state(tensor(state.arrays["random/cuda"]))
        self._torch.set_rng_state(tensor(state.arrays["random/cpu"]))
        self.step = self._begun_step = int(state.numbers["step"])
        self._loss, self._best_test = state.numbers["loss"], state.numbers["best"]
        self._last_test, self._before_s = state.numbers.get("test"), state.numbers["elapsed_s"]
        if self.step % self.batches:
            self._order_drawn = tensor(state.arrays["random/order"])
        self._tell()
