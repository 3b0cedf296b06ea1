"""Every ranker that the product registers, as a model of localization; the simple rules are the baselines."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.diagnose.base import Ranking
from watchkeeper.diagnose.rank.registry import RANKERS, SIMPLE, ranker
from watchkeeper.diagnose.window import IncidentWindow


class Ranked:
    """A ranker by its name; learns nothing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Make the ranker."""
        self._ranker = ranker(self._name)

    def answer(self, given: IncidentWindow) -> Ranking:
        """Rank the nodes."""
        return self._ranker.rank(given)


MODELS = tuple(
    ModelSpec(
        f"rank_{name}",
        ("incident",),
        partial(Ranked, name),
        f"the ranker {name}",
        trivial=name in SIMPLE,
        covers=(f"ranker:{name}",),
    )
    for name in RANKERS
)
