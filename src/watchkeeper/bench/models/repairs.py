"""Who repairs the shop: nobody, a restart of the loudest service, an action drawn, and the product's own chooser."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.live.emergency import Emergency
from watchkeeper.remedy.catalogue import Order
from watchkeeper.remedy.choose import propose


class DoNothing:
    """Leaves it."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Learn nothing."""

    def answer(self, given: Emergency) -> str:
        """Do nothing."""
        return given.carry_out(None, "nothing is ever done")


class RestartLoudest(DoNothing):
    """Restarts the service with the most findings."""

    def answer(self, given: Emergency) -> str:
        """Restart it; nothing when no service has any."""
        findings = given.evidence().findings
        if not findings:
            return given.carry_out(None, "no service has findings")
        loudest = max(sorted(findings), key=lambda name: findings[name])
        return given.carry_out(Order("restart-process", loudest, "it has the most findings"))


class RandomAction(DoNothing):
    """Draws an action and a target of the catalogue."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Take the seed."""
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Emergency) -> str:
        """Do what is drawn."""
        orders = [
            Order(action.name, to, "drawn") for action in given.catalogue.actions.values() for to in action.targets
        ]
        return given.carry_out(orders[int(self._random.integers(len(orders)))])


class Product(DoNothing):
    """What Watchkeeper names, by the rules of `watchkeeper.remedy.choose`; nothing when it abstains."""

    def answer(self, given: Emergency) -> str:
        """Do what is proposed."""
        proposal = propose(given.evidence().named, given.catalogue)
        return given.carry_out(proposal.order, proposal.why)


_FORM, _TASKS = ("shop",), ("automatic-execution",)
MODELS = (
    ModelSpec("repair_nothing", _FORM, DoNothing, "does nothing", _TASKS, trivial=True),
    ModelSpec(
        "repair_loudest", _FORM, RestartLoudest, "restarts the loudest service", _TASKS, trivial=True, quick=False
    ),
    ModelSpec("repair_random", _FORM, RandomAction, "any action", _TASKS, trivial=True, random=True, quick=False),
    ModelSpec("repair_product", _FORM, Product, "acts on the cause that the product names", _TASKS),
)
