"""OpsEval's questions of operations: multiple choice and open ones, in English and Chinese.

Enters: the data set `opseval` where it lies; its licences contradict each other, so nothing of it is kept or passed on.
Leaves: questions with their choices apart and the right ones as numbers, or with the answer as text. Questions whose
letters have no choice are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.datasets.read import open_member

_LETTERS = re.compile(r"\s*[A-J](?:\s*[,，、]?\s*[A-J])*[\s.。]*")
_CHOICE = re.compile(r"^\s*([A-J])\s*[.:：、．)]\s*(.+?)\s*$", re.MULTILINE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
CHOICES_MIN = 2


@dataclass(frozen=True)
class Question:
    """One question. choices: () for an open one, whose right answer is `answer`; else `right` are their numbers."""

    id: str
    domain: str
    text: str
    chinese: bool
    choices: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    answer: str = ""


def questions(folder: Path) -> list[Question]:
    """Give the questions in the set's order, each text once; raises DataSetError when the set is absent."""
    with open_member("opseval", "opseval.jsonl", folder) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    told = [each for each in map(question, rows) if each is not None]
    return list({(one.text, one.choices): one for one in reversed(told)}.values())[::-1]


def question(row: Mapping[str, Any]) -> Question | None:
    """Give a row as a question; None when it cannot be answered as it stands."""
    asked, answer = str(row["question"]), str(row["answer"]).strip()
    chinese = bool(_CHINESE.search(asked))
    if not _LETTERS.fullmatch(answer):
        return Question(row["id"], row["domain"], asked.strip(), chinese, answer=answer) if answer else None
    listed = _CHOICE.findall(asked)
    in_order = [letter for letter, _ in listed] == [chr(65 + at) for at in range(len(listed))]
    if in_order and len(listed) >= CHOICES_MIN:
        choices = tuple(text for _, text in listed)
        asked = asked[: next(_CHOICE.finditer(asked)).start()]
    else:
        choices = tuple(str(each) for each in row.get("choices") or ())
    right = frozenset(ord(letter) - 65 for letter in re.findall("[A-J]", answer))
    if len(choices) < CHOICES_MIN or max(right) >= len(choices):
        return None
    return Question(row["id"], row["domain"], asked.strip(), chinese, choices, right)
