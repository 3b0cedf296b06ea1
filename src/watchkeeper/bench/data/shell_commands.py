"""Requests in English and the one-line shell commands that people wrote for them (nl2bash).

Enters: the data set `nl2bash`. Leaves: one split in which the training and the test part share neither a request
(letters and digits alone count) nor a command template (structure, utilities, flags in order, types of arguments).
Of test requests that hang together PART_MAX is asked, so that no usual command outweighs the rest. In the easier split
`nl2bash_commands` only requests and whole commands are not shared. `nl2bash_few` asks fewer, to be quick.
Pairs whose command does not parse are left out. A request may have several right commands.
Source: Lin et al., "NL2Bash: A Corpus and Semantic Parser for Natural Language Interface to Linux", LREC 2018.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.forms import Query
from watchkeeper.datasets.read import read_members
from watchkeeper.remedy.shell import Unparsable, parse

TEST_SHARE = 0.1
PART_MAX = 1
FEW, FEW_TRAIN = 60, 1_500
_MEMBERS = {"all.nl": "requests", "all.cm": "commands"}


def splits(place: Place) -> Iterator[Split]:
    """Give the split by template."""
    yield made(place, lambda command: parse(command).template)


def few(place: Place) -> Iterator[Split]:
    """Give the split by template with FEW requests, drawn by their text, and FEW_TRAIN pairs to learn from."""
    whole = made(place, lambda command: parse(command).template)
    train = sorted(whole.train, key=lambda item: _drawn(item.given.text))[:FEW_TRAIN]
    yield replace(whole, train=tuple(train), test=whole.test[:: len(whole.test) // FEW])


def commands(place: Place) -> Iterator[Split]:
    """Give the split by whole commands, white space aside."""
    yield made(place, lambda command: " ".join(command.split()))


def made(place: Place, key: Callable[[str], str]) -> Split:
    """Give a split whose parts share neither request nor what `key` gives of a command."""
    read = {
        _MEMBERS[name.rsplit("/", 1)[-1]]: content.decode("utf-8", "replace").split("\n")
        for name, content in read_members("nl2bash", place.data, lambda each: each.endswith(tuple(_MEMBERS)))
    }
    pairs = []
    for request, command in zip(read["requests"], read["commands"], strict=True):
        try:
            parse(command.strip())
            pairs.append((request.strip(), command.strip(), key(command.strip())))
        except Unparsable:
            continue
    train: list[Item] = []
    test: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for at, ((request, command, _), part) in enumerate(zip(pairs, parts(pairs), strict=True)):
        if _drawn(part) >= TEST_SHARE:
            train.append(Item(f"train-{at}", Query(request), command))
        else:
            test[part][normal(request)].append((request, command))
    asked = tuple(
        Item(f"test-{hashlib.sha256(text.encode()).hexdigest()[:12]}", Query(same[0][0]), tuple(c for _, c in same))
        for part in test.values()
        for text, same in sorted(part.items(), key=lambda each: _drawn(each[0]))[:PART_MAX]
    )
    return Split("unseen", tuple(train), asked, labelled=True)


def normal(request: str) -> str:
    """Give a request's letters and digits alone, in small letters."""
    return " ".join(re.findall(r"[a-z0-9]+", request.lower()))


def parts(pairs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Give each pair (request, command, template) the name of its part: pairs that share text or template share it.

    The name is the first text of the part in alphabetical order, so that it is the same in whatever order pairs come.
    """
    above: dict[str, str] = {}

    def root(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    for request, _, template in pairs:
        low, high = sorted((root("text " + normal(request)), root("template " + template)))
        above[high] = low
    return [root("text " + normal(request)) for request, _, _ in pairs]


def _drawn(name: str) -> float:
    """Give a number in 0..1 that the name alone decides."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


_SOURCES = ("nl2bash",)
_STRICT = "English to shell commands; neither text nor command template shared between train and test"
_EASY = "English to shell commands; neither text nor whole command shared between train and test"
DATA = (
    DataSpec("nl2bash", 1, "command", "query", _STRICT, _SOURCES, splits, "full", quick=False),
    DataSpec("nl2bash_commands", 1, "command", "query", _EASY, _SOURCES, commands, "full", quick=False),
    DataSpec("nl2bash_few", 1, "command", "query", f"{_STRICT}; few of both", _SOURCES, few, "full"),
)
