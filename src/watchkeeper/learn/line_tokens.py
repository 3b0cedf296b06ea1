"""Lines of logs as tokens, and the vocabulary of what was learned from.

Enters: lines or templates. Leaves: whole numbers. What varies is masked first, as in the training gateway's
requirements: escape codes, addresses, dates, durations, paths and numbers each become a token of their own, and the
places of templates too. Does not learn; the vocabulary only counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

PADDING, MASK, UNKNOWN, FIRST = 0, 1, 2, 3
TOKENS_MAX = 64
VOCABULARY_MAX = 10_000

_MASKS = tuple(
    (re.compile(pattern), token)
    for pattern, token in (
        (r"\x1b\[[0-9;]*[A-Za-z]", " "),
        (r"\b[a-z][a-z0-9+.-]*://\S+", " <url> "),
        (r"\b\d{4}-\d\d-\d\d(?:[T .-]\d\d[:.]\d\d[:.]\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?", " <date> "),
        (r"\b[\w./-]+\.go:\d+\b", " <code> "),
        (r"\b[\w.+-]+@[\w-]+\.[\w.]+\b", " <mail> "),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", " <ip> "),
        (r"\b\d+(?:\.\d+)?(?:ns|us|ms|s|m|h)\b", " <duration> "),
        (r"(?<![\w<])/[\w.+-]+(?:/[\w.+-]*)*", " <path> "),
        (r"<\*>", " <any> "),
        (r"\b\w*\d\w*[A-Za-z_]\w*\b|\b\w*[A-Za-z_]\w*\d\w*\b", " <word_with_digit> "),
        (r"(?<!\w)[+-]?\d+(?:\.\d+)?\b", " <number> "),
        (r"\[\s*\]|\{\s*\}", " <empty> "),
    )
)
_TOKEN = re.compile(r"<[a-z_]+>|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\sA-Za-z]")


def tokens(line: str) -> list[str]:
    """Give the tokens of a line, at most TOKENS_MAX, in small letters; words written together are taken apart.

    >>> tokens("Served blockMap /10.1.2.3:50 in 15ms")
    ['served', 'block', 'map', '/', '<ip>', 'in', '<duration>']
    """
    for pattern, token in _MASKS:
        line = pattern.sub(token, line)
    return [token.lower() for token in _TOKEN.findall(line)[:TOKENS_MAX]]


class Vocabulary:
    """The most frequent tokens; what is not among them is UNKNOWN."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._codes = {word: FIRST + at for at, word in enumerate(self.words)}

    def __len__(self) -> int:
        return FIRST + len(self.words)

    @classmethod
    def of(cls, lines: Iterable[Sequence[str]], *, size: int = VOCABULARY_MAX) -> Vocabulary:
        """Take the most frequent words; equally frequent ones in the order of the alphabet."""
        counts = Counter(word for line in lines for word in line)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(ordered[: size - FIRST])

    def widened(self, lines: Iterable[Sequence[str]], *, size: int = VOCABULARY_MAX) -> Vocabulary:
        """Give a vocabulary that has further words after those of this one."""
        more = [word for word in Vocabulary.of(lines, size=size).words if word not in self._codes]
        return Vocabulary([*self.words, *more][: size - FIRST])

    def encode(self, lines: Sequence[Sequence[str]]) -> npt.NDArray[np.int64]:
        """Give the codes of lines (n, TOKENS_MAX), padded at their end."""
        rows = np.full((len(lines), TOKENS_MAX), PADDING, np.int64)
        for at, line in enumerate(lines):
            codes = [self._codes.get(word, UNKNOWN) for word in line[:TOKENS_MAX]]
            rows[at, : len(codes)] = codes
        return rows
