"""Next template: how surprising each line of a session is after the lines before it, by counts of what followed what.

Enters: sequences of template ids held to be normal. Leaves: a score a sequence, higher is stranger. Contexts of up to
`order` lines, longest first, backing off with a discount to shorter ones; the question that DeepLog (Du et al., CCS
2017) asks of an LSTM, answered by an n-gram model (Kneser and Ney, ICASSP 1995, in the simple absolute discount).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

DISCOUNT = 0.75
END = -1


class NextTemplate:
    """Counts of contexts. Memory: one entry for each context and follower seen. Cost: `order` look-ups a line.

    >>> model = NextTemplate(order=2)
    >>> model.learn([[1, 2, 3]] * 20)
    >>> model.score([1, 2, 3]) < model.score([1, 3, 2])
    True
    """

    def __init__(self, *, order: int = 3) -> None:
        self.order = order
        self._followers: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        self._known: set[int] = set()

    def learn(self, sequences: Iterable[Sequence[int]]) -> None:
        """Count; may be called again to go on."""
        for sequence in sequences:
            padded = [*sequence, END]
            self._known.update(padded)
            for at, template in enumerate(padded):
                for length in range(min(self.order, at) + 1):
                    self._followers[tuple(padded[at - length : at])][template] += 1

    def surprise(self, before: Sequence[int], template: int) -> float:
        """Give -log10 of the chance of a template after the lines before it, >= 0."""
        chance, left = 0.0, 1.0
        for length in range(min(self.order, len(before)), -1, -1):
            followers = self._followers.get(tuple(before[len(before) - length :]) if length else ())
            if not followers:
                continue
            total = followers.total()
            chance += left * max(followers[template] - DISCOUNT, 0.0) / total
            left *= DISCOUNT * len(followers) / total
        chance += left / (len(self._known) + 1)
        return -math.log10(max(chance, 1e-12))

    def score(self, sequence: Sequence[int]) -> float:
        """Give the greatest surprise of a sequence, its end included; 0 for an empty one."""
        padded = [*sequence, END]
        return max(
            (self.surprise(padded[max(0, at - self.order) : at], each) for at, each in enumerate(padded)), default=0
        )
