"""Why a log model holds a line to be usual or strange, token by token, and which known lines are nearest to it.

Enters: a line and the model's known lines. Leaves: an Explanation, plain data. Does not judge: log_model.py does.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.learn.line_tokens import words

NEIGHBOURS = 3
STRANGERS_MAX = 5
KNOWN_MAX = 50_000


class TokenGuess(NamedTuple):
    """One token. rank: 1 for the best guess. chance: 0..1. hit: whether the rank is among the best that count."""

    token: str
    rank: int
    chance: float
    hit: bool


class Neighbour(NamedTuple):
    """A known line. times: how often it was learned. likeness: 0..1, share of rare words in common."""

    line: str
    times: int
    likeness: float


@dataclass(frozen=True)
class Explanation:
    """One verdict. line: as it came. masked: what the model saw. template: the pattern miner's.

    source: `known` (a form that was learned: the model is not asked), `cache` (judged before) or `model`.
    score: share of the tokens that were told right, 0..1, lower = stranger. chance: geometric mean of the tokens'
    chances, 0..1. measure: which of the two decides, `share` or `chance`; strange: it is below `threshold`. budget:
    share of new normal forms that may be flagged; bound: what held-out lines bear out; both 1 for a threshold set by
    hand.
    """

    line: str
    masked: str
    template: str
    source: str
    known_count: int
    tokens: tuple[TokenGuess, ...]
    score: float
    chance: float
    measure: str
    threshold: float
    budget: float
    bound: float
    strange: bool
    neighbours: tuple[Neighbour, ...]

    @property
    def strangers(self) -> tuple[str, ...]:
        """Give the tokens that were told worst, the least likely first, STRANGERS_MAX at most."""
        missed = [each for each in self.tokens if not each.hit] or list(self.tokens)
        worst = sorted(missed, key=lambda each: each.chance)[:STRANGERS_MAX]
        return tuple(dict.fromkeys(each.token for each in worst))

    def as_dict(self) -> dict[str, Any]:
        """Give plain data for JSON."""
        told = asdict(self)
        told["tokens"] = [each._asdict() for each in self.tokens]
        told["neighbours"] = [each._asdict() for each in self.neighbours]
        return {**told, "strangers": list(self.strangers)}


class KnownLines:
    """Finds the known lines that share most with one, among the KNOWN_MAX most frequent of them.

    Cost: some 10 ms a line asked about; a second and some 10 MB to make, for as many.
    """

    def __init__(self, lines: Sequence[str], counts: npt.NDArray[np.int64]) -> None:
        chosen = np.sort(np.argsort(-counts, kind="stable")[:KNOWN_MAX])
        self._lines, self._counts = [lines[at] for at in chosen.tolist()], counts[chosen]
        numbers: dict[str, int] = {}
        flat, sizes = array("q"), array("q")
        for line in self._lines:
            own = {numbers.setdefault(word, len(numbers)) for word in words(line)}
            flat.extend(own)
            sizes.append(len(own))
        self._numbers = numbers
        self._word = np.array(flat, np.int64)
        self._line = np.repeat(np.arange(len(sizes)), np.array(sizes, np.int64))
        seen = np.bincount(self._word, minlength=len(numbers))
        self._rarity = np.log1p(len(self._lines) / np.maximum(seen, 1))
        self._total = np.bincount(self._line, weights=self._rarity[self._word], minlength=len(self._lines))

    def nearest(self, line: str, count: int = NEIGHBOURS) -> tuple[Neighbour, ...]:
        """Give the nearest, by the weight of words in common over the weight of all words of both; rare words weigh."""
        if not self._lines:
            return ()
        own = set(words(line))
        known = [self._numbers[word] for word in own if word in self._numbers]
        asked = np.zeros(len(self._rarity))
        asked[known] = self._rarity[known]
        common = np.bincount(self._line, weights=asked[self._word], minlength=len(self._lines))
        foreign = (len(own) - len(known)) * np.log1p(len(self._lines))
        union = np.maximum(self._total + asked.sum() + foreign - common, 1e-12)
        likeness = common / union
        best = np.lexsort((-self._counts, -likeness))[:count]
        return tuple(
            Neighbour(self._lines[at], int(self._counts[at]), round(float(likeness[at]), 4))
            for at in best.tolist()
            if likeness[at] > 0
        )
