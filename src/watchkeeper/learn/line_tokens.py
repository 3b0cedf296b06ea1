"""Lines of logs as tokens, and the vocabulary of what was learned from.

Enters: lines or templates. Leaves: whole numbers. What varies is masked first, as in the training gateway's
requirements: escape codes, addresses, dates, durations, paths and numbers each become a token of their own, and the
places of templates too. Does not learn; the vocabulary only counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import overload

import numpy as np
import numpy.typing as npt

from watchkeeper.patterns.reference import mask

PADDING, MASK, UNKNOWN, FIRST = 0, 1, 2, 3
TOKENS_MAX = 64
VOCABULARY_MAX = 10_000

LINE_CHARACTERS_MAX = 2_000
"""What is read of a line; a line of TOKENS_MAX tokens is shorter."""

_HEX = r"[0-9A-Fa-f]{1,4}"
_CLOCK = r"\d\d[:.]\d\d[:.]\d\d(?:[.,]\d+)?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_MASKS = tuple(
    (re.compile(pattern), token)
    for pattern, token in (
        (r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)", ""),
        (r"\b[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+", " <url> "),
        (rf"\b\d{{4}}[-/]\d\d[-/]\d\d(?:[T .-]{_CLOCK})?(?:Z|\b ?[+-]\d\d:?\d\d\b)?", " <date> "),
        (rf"\b\d\d?/{_MONTH}/\d{{4}}(?::{_CLOCK})?(?: [+-]\d{{4}}\b)?", " <date> "),
        (
            rf"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?\d\d? {_MONTH} \d{{4}}(?: {_CLOCK})?(?: [A-Z]{{3}}\b)?",
            " <date> ",
        ),
        (rf"\b{_MONTH} {{1,2}}\d\d?(?:,? \d{{4}}\b)?(?: {_CLOCK})?", " <date> "),
        (rf"(?<![\w.:]){_CLOCK}(?![\w:])", " <date> "),
        (r"(?<![\w./@-])[\w./@-]+\.go:\d+(?::\d+)?\b", " <code> "),
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b", " <mail> "),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+|/\d\d?)?\b", " <ip> "),
        (rf"(?<![\w:.])(?:{_HEX}:){{7}}{_HEX}(?:/\d+)?(?![\w:])", " <ip> "),
        (
            rf"(?<![\w:.])(?=[0-9A-Fa-f:]*\d)(?:{_HEX}(?::{_HEX}){{0,6}})?::(?:{_HEX}(?::{_HEX}){{0,6}})?(?![\w:])",
            " <ip> ",
        ),
        (r"\b(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h|d))+\b", " <duration> "),
        (r"(?<![\w<:/])/[\w.+@-]+(?:/[\w.+@-]*)*|(?<!\w)[A-Za-z]:(?:\\[\w.+-]+)+", " <path> "),
        (r"<\*>", " <any> "),
        (r"\b(?=\w*\d)(?=\d*[^\W\d])\w+\b", " <word_with_digit> "),
        (r"(?<!\w)[+-]?\d+(?:\.\d+)?\b", " <number> "),
        (r"\[\s*\]|\{\s*\}", " <empty> "),
    )
)
_TOKEN = re.compile(r"<[a-z_]+>|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\sA-Za-z]")
_KIND = re.compile(r"<[a-z_]+>")


def masked(line: str) -> str:
    """Give a line in which what varies is masked, one space between words.

    Reads LINE_CHARACTERS_MAX characters; every mask takes time linear in them.

    >>> masked("Served blockMap /10.1.2.3:50 in 15ms to /var/x by kube-proxy7")
    'Served blockMap / <ip> in <duration> to <path> by kube- <word_with_digit>'
    """
    line = line[:LINE_CHARACTERS_MAX]
    for pattern, token in _MASKS:
        line = pattern.sub(token, line)
    return " ".join(line.split())


def form_of(line: str) -> str:
    """Give a masked line in which names that vary are masked too, as the pattern miner finds them.

    What stands at a `<*>` of the line's template becomes the token of its kind, `<any>` where it has none. So all lines
    of a template are alike but for the kinds of their values. Ends with its token TOKENS_MAX. Cost: some 100 us.

    >>> form_of("took 12ms for user=ann")
    'took <duration> for user= <any>'
    """
    encoded = line[:LINE_CHARACTERS_MAX].encode("utf-8", "replace")
    parts, end = [], 0
    for begin, until in mask(encoded).spans:
        kind = _kind_of(encoded[begin:until].decode("utf-8", "replace"))
        parts += [encoded[end:begin].decode("utf-8", "replace"), f" {kind} "]
        end = until
    form = masked("".join((*parts, encoded[end:].decode("utf-8", "replace"))))
    last = next(islice(_TOKEN.finditer(form), TOKENS_MAX - 1, None), None)
    return form if last is None else form[: last.end()]


def _kind_of(value: str) -> str:
    """Give the mask of a value: that of its one kind, else of a word with a digit, else `<any>`."""
    hidden = masked(value)
    kinds = _KIND.findall(hidden)
    if kinds and not any(each.isalpha() for each in _KIND.sub("", hidden)):
        return str(kinds[0])
    return "<word_with_digit>" if any(each.isdigit() for each in value) else "<any>"


def tokens(line: str) -> list[str]:
    """Give the tokens of a line, at most TOKENS_MAX, in small letters; words written together are taken apart.

    >>> tokens("Served blockMap /10.1.2.3:50 in 15ms")
    ['served', 'block', 'map', '/', '<ip>', 'in', '<duration>']
    """
    return words(masked(line))


def words(masked_line: str) -> list[str]:
    """Give the tokens of a line that is masked already."""
    return [token.lower() for token in _TOKEN.findall(masked_line)[:TOKENS_MAX]]


class WordsOf(Sequence[list[str]]):
    """The words of masked lines, made anew whenever they are asked for: kept, they would take ten times their text."""

    def __init__(self, masked_lines: Sequence[str]) -> None:
        self._lines = masked_lines

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, at: int) -> list[str]: ...
    @overload
    def __getitem__(self, at: slice) -> WordsOf: ...
    def __getitem__(self, at: int | slice) -> list[str] | WordsOf:
        if isinstance(at, slice):
            return WordsOf(self._lines[at])
        return words(self._lines[at])


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

    def encode(self, lines: Sequence[Sequence[str]]) -> npt.NDArray[np.int32]:
        """Give the codes of lines (n, TOKENS_MAX), padded at their end."""
        rows = np.full((len(lines), TOKENS_MAX), PADDING, np.int32)
        for at, line in enumerate(lines):
            codes = [self._codes.get(word, UNKNOWN) for word in line[:TOKENS_MAX]]
            rows[at, : len(codes)] = codes
        return rows
