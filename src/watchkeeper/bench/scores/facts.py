"""Facts in an answer: a deterministic matcher of words, so that no model judges another.

Enters: an expected fact as people word it, the question, and the texts of an answer. Leaves: whether the fact is told.
What counts are the words that the question did not hold already: repeating the question tells nothing. Words are
stemmed; those about the judging itself ("the answer must mention") and function words are left out. A fact is told
when SHARE of its words stand in NEIGHBOURS texts that follow each other. It is blind to negation and to synonyms: it
measures what was found, not how well it is worded.

Source of the token F1: Rajpurkar et al., "SQuAD", EMNLP 2016.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

SHARE = 0.6
NEIGHBOURS = 3
TEXTS_READ = 3
PIECE_CHARS = 300
"""Of an answer the first TEXTS_READ texts of PIECE_CHARS characters are read: quoting everything tells nothing more."""

_WORD = re.compile(r"[A-Za-z]{2,}|\d+(?:[.:-]\d+)*|[\u3040-\u30ff\u3400-\u9fff]+")
_CASE = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_ENDINGS = (("ies", "y"), ("ing", ""), ("edly", ""), ("ed", ""), ("es", ""), ("s", ""), ("ly", ""))
_FUNCTION = (
    "a an the is are was were be been being to of in on at for from by with and or not no it its this that these those "
    "as has have had do does did can could may might will would should must there their they them than then which who "
    "what when where why how all any some each one either both into over about because due also only just if but so "
    "such very more most other same etc"
)
_JUDGING = (
    "answer output mention mentions mentioning state explicitly holmes user tell tells told say says show shows "
    "suggest suggests identify conclude include includes following summary whichever order provide valid "
    "acceptable need needs flag pass test experiencing"
)

_LEFT_OUT = frozenset(_FUNCTION.split())


class Fact(NamedTuple):
    """A statement and the words that tell it; none when the question holds them all."""

    text: str
    words: frozenset[str]


def stems(text: str) -> list[str]:
    """Give the stemmed words of a text in order, without function words; of Chinese and Japanese, pairs of characters.

    >>> stems("The pods of nginx are failing")
    ['pod', 'nginx', 'fail']
    """
    found: list[str] = []
    for word in _WORD.findall(_CASE.sub(" ", text)):
        if _IDEOGRAPH.match(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        elif word.lower() not in _LEFT_OUT:
            found.append(_stem(word.lower()))
    return found


def fact(text: str, question: str = "") -> Fact:
    """Give the words of a statement that neither the question holds nor the judging is worded with."""
    aside = {*stems(question), *map(_stem, _JUDGING.split())}
    return Fact(text, frozenset(stems(text)) - aside)


def checkable(one: Fact) -> bool:
    """Tell whether there is enough to match: two words, or a number."""
    return len(one.words) > 1 or any(word[0].isdigit() for word in one.words)


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Cut texts into lines of PIECE_CHARS at most, the empty ones left out."""
    for text in texts:
        for line in text.splitlines():
            told = line.strip()
            for at in range(0, len(told), PIECE_CHARS):
                yield told[at : at + PIECE_CHARS]


def tells(texts: Sequence[Collection[str]], one: Fact) -> bool:
    """Tell whether NEIGHBOURS of the texts, each as its stems, hold SHARE of a fact's words."""
    return any(_share(texts[at : at + NEIGHBOURS], one) >= SHARE for at in range(len(texts)))


def recall(answer: Sequence[str], facts: Sequence[Fact]) -> float:
    """Give the share of facts that an answer tells, 0..1; only its beginning is read."""
    read = [frozenset(stems(text[:PIECE_CHARS])) for text in answer[:TEXTS_READ]]
    return sum(tells(read, one) for one in facts) / len(facts)


def unsupported(answer: Sequence[str], evidence: Sequence[str]) -> list[bool]:
    """Tell of each text of an answer whether the evidence does not hold it.

    It does when it has the text letter by letter (but for spaces), or SHARE of its words in NEIGHBOURS lines.
    """
    whole = [" ".join(text.split()) for text in evidence]
    told = [" ".join(text.split()) for text in answer]
    doubtful = [text for text in told if not any(text in one for one in whole)]
    lines = [frozenset(stems(piece)) for piece in pieces(evidence)] if doubtful else []
    failing = {text for text in doubtful if not tells(lines, Fact(text, frozenset(stems(text))))}
    return [text in failing for text in told]


def token_f1(answer: Sequence[str], reference: str) -> float:
    """Give the harmonic mean of precision and recall of the stems of an answer, 0..1."""
    ours, theirs = Counter(stems(" ".join(answer))), Counter(stems(reference))
    common = sum((ours & theirs).values())
    return 2 * common / (sum(ours.values()) + sum(theirs.values())) if common else 0.0


def _share(texts: Sequence[Collection[str]], one: Fact) -> float:
    return sum(any(word in text for text in texts) for word in one.words) / len(one.words) if one.words else 0.0


def _stem(word: str) -> str:
    for ending, put in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: len(word) - len(ending)] + put
    return word
