"""How much a new template says in the words of those already known: a message reworded is less of a surprise.

Enters: template ids, whose texts it asks for. Leaves: the likeness to the nearest known one, 0..1. Words that many
templates have weigh little. Judges no severity: the caller tells which known templates may vouch for a new one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

TEMPLATES_MAX = 20_000
LOOKED_AT_MAX, CANDIDATES_MAX = 1_000, 100

_WORD = re.compile(r"[^\W\d_]{2,}")

Words = frozenset[str]


class Likeness:
    """An index of the words of known templates.

    text: gives a template's text, "" when it is not known. Memory: the words of at most TEMPLATES_MAX templates, the
    oldest forgotten first. Cost: a look-up weighs at most CANDIDATES_MAX templates, those that share the rarest words
    first: a few tenths of a millisecond.

    >>> texts = {1: "disk <*> mounted read-only", 2: "user <*> logged in", 3: "disk <*> of <*> mounted read-only"}
    >>> known = Likeness(texts.__getitem__)
    >>> known.add(1), known.add(2)
    (None, None)
    >>> known.nearest(3, lambda template: True) > 0.6, known.nearest(3, lambda template: template == 2)
    (True, 0.0)
    """

    def __init__(self, text: Callable[[int], str]) -> None:
        self._text = text
        self._words: dict[int, Words] = {}
        self._having: dict[str, dict[int, None]] = {}

    def add(self, template: int) -> None:
        """Take a template as known; one that is known already is left as it is."""
        if template in self._words:
            return
        self._words[template] = words = self._of(template)
        for word in words:
            self._having.setdefault(word, {})[template] = None
        if len(self._words) > TEMPLATES_MAX:
            self._forget(next(iter(self._words)))

    def nearest(self, template: int, eligible: Callable[[int], bool]) -> float:
        """Give the greatest likeness, 0..1, of a template to another known one that is eligible; 0 without any.

        The likeness of two is the weight of the words that both have over that of all their words (weighted Jaccard),
        a word's weight being the logarithm of the inverse share of known templates that have it.
        """
        own, best = self._of(template), 0.0
        weights: dict[str, float] = {}
        for other in self._candidates(template, own, eligible):
            theirs = self._words[other]
            every = self._weight(own | theirs, weights)
            best = max(best, self._weight(own & theirs, weights) / every if every > 0 else 0.0)
        return best

    def _candidates(self, template: int, own: Words, eligible: Callable[[int], bool]) -> list[int]:
        seen: set[int] = {template}
        found: list[int] = []
        for word in sorted(own, key=lambda one: (len(self._having.get(one, ())), one)):
            for other in self._having.get(word, ()):
                if len(found) == CANDIDATES_MAX or len(seen) > LOOKED_AT_MAX:
                    return found
                if other not in seen and eligible(other):
                    found.append(other)
                seen.add(other)
        return found

    def _weight(self, words: Words, weights: dict[str, float]) -> float:
        count = len(self._words) + 1
        for word in words:
            if word not in weights:
                weights[word] = math.log(count / (len(self._having.get(word, ())) + 0.5))
        return math.fsum(weights[word] for word in words)

    def _of(self, template: int) -> Words:
        words = self._words.get(template)
        return frozenset(map(_plain, _WORD.findall(self._text(template)))) if words is None else words

    def _forget(self, template: int) -> None:
        for word in self._words.pop(template):
            having = self._having[word]
            del having[template]
            if not having:
                del self._having[word]


def _plain(word: str) -> str:
    """Give a word in small letters and without the s of a plural."""
    word = word.lower()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
