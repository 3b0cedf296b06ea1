"""Questions of operations: OpsEval's by language and kind, HolmesGPT's with recorded evidence and unanswerable twins.

Enters: `opseval`, `holmesgpt_cases` and `runbooks`. Leaves: of OpsEval one split: a fifth of the questions, told by a
hash of their ids, to learn from, so that a question and its translation are on one side; the runbooks are known
beforehand. Of HolmesGPT three folds of whole groups: a case, its twin and the cases that share a fact are on one side.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import partial

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.cases import holmesgpt, opseval
from watchkeeper.bench.forms import Choice, Query
from watchkeeper.bench.scores.facts import checkable, fact
from watchkeeper.bench.tasks.questioning import Chosen, Facts, Open
from watchkeeper.datasets.read import open_member

FOLDS = 3
LEARN_OF = 5
_CLAUSE = re.compile(r"[、，；。;,\n]+")


def fold_of(name: str, folds: int) -> int:
    """Give the fold of an id, 0 to folds - 1: the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % folds


def runbooks(place: Place) -> dict[str, str]:
    """Give the text of each runbook."""
    with open_member("runbooks", "runbooks.jsonl", place.data) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return {f"{row['repo']}/{row['path']}": row["text"] for row in rows}


def evidence_folds(cases: Sequence[holmesgpt.Asked]) -> Iterator[Split]:
    """Give three folds of whole groups, each group in the fold that is the smallest until then."""
    told = holmesgpt.groups(cases)
    sizes, place = [0] * FOLDS, {}
    for group in sorted(set(told), key=lambda each: (-told.count(each), each)):
        place[group] = sizes.index(min(sizes))
        sizes[place[group]] += told.count(group)
    items = [Item(case.id, Query(case.question, case.evidence), Facts(case.facts)) for case in cases]
    for fold in range(FOLDS):
        train = tuple(item for item, group in zip(items, told, strict=True) if place[group] != fold)
        test = tuple(item for item, group in zip(items, told, strict=True) if place[group] == fold)
        yield Split(f"fold {fold}", train, test, labelled=True)


def _choices(place: Place, *, chinese: bool) -> Iterator[Split]:
    told = [one for one in opseval.questions(place.data) if one.chinese is chinese and one.choices]
    items = [Item(one.id, Choice(one.text, one.choices, len(one.right) > 1), Chosen(one.right)) for one in told]
    return _learned(items, place)


def _open(place: Place) -> Iterator[Split]:
    told = [one for one in opseval.questions(place.data) if one.chinese and not one.choices]
    items = []
    for one in told:
        facts = [fact(clause, one.text) for clause in _CLAUSE.split(one.answer) if clause.strip()]
        items.append(Item(one.id, Query(one.text), Open(one.answer, tuple(filter(checkable, facts)))))
    return _learned(items, place)


def _learned(items: Sequence[Item], place: Place) -> Iterator[Split]:
    train = tuple(item for item in items if not fold_of(item.id, LEARN_OF))
    test = tuple(item for item in items if fold_of(item.id, LEARN_OF))
    yield Split("all", train, test, labelled=True, facts={"documents": runbooks(place)})


def _evidence(place: Place) -> Iterator[Split]:
    return evidence_folds(holmesgpt.cases(place.data))


_TASK, _SOURCES = "questioning", ("opseval", "runbooks")
DATA = (
    DataSpec(
        "opseval_en",
        1,
        _TASK,
        "choice",
        "multiple choice in English",
        _SOURCES,
        partial(_choices, chinese=False),
        "full",
    ),
    DataSpec(
        "opseval_zh",
        1,
        _TASK,
        "choice",
        "multiple choice in Chinese",
        _SOURCES,
        partial(_choices, chinese=True),
        "full",
        quick=False,
    ),
    DataSpec(
        "opseval_open_zh",
        1,
        _TASK,
        "query",
        "open questions in Chinese",
        _SOURCES,
        _open,
        "full",
        quick=False,
        headline="token_f1",
    ),
    DataSpec(
        "holmesgpt",
        1,
        _TASK,
        "query",
        "questions and alerts with recorded evidence, and twins without the decisive lines",
        ("holmesgpt_cases",),
        _evidence,
        "full",
        headline="balanced",
    ),
)
