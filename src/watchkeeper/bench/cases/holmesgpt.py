"""HolmesGPT's cases with recorded evidence: a question, what its tools were told, and the facts expected of an answer.

Enters: the data set `holmesgpt_cases` where it lies. Leaves: the cases of which some fact can be quoted from the
evidence, with these facts only; the others judge how a chat program behaves (links, runbooks, steps, graphs). A twin of
each has the decisive lines taken out: what remains cannot answer, and the right answer is none. Names of files and the
calls of the tools are no evidence. Cases with more than EVIDENCE_CHARS_MAX of evidence are left out for their cost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.bench.scores.facts import Fact, checkable, fact, pieces, stems, tells
from watchkeeper.datasets.read import open_member

_REQUESTS = ("investigate_request.json", "issue_data.json", "workload_health_request.json")
_CALLS = ('{"toolset_name', '{"schema_version')
_BEHAVIOUR = re.compile(r"\bsteps?\b|\btool calls?\b|\brunbooks?\b|https?://", re.IGNORECASE)
EVIDENCE_CHARS_MAX = 200_000
_FRAME = frozenset({"stdout:", "stderr:"})


@dataclass(frozen=True)
class Asked:
    """A question with evidence, one text a recording; no facts: it cannot be answered from it.

    part: `test_ask_holmes` asks a question, the others ask to explain an alert. kin: the facts of the case, of its twin
    as well, for cases that share one must not be on both sides of a split.
    """

    id: str
    part: str
    question: str
    evidence: tuple[str, ...]
    facts: tuple[Fact, ...]
    kin: tuple[Fact, ...]


def cases(folder: Path) -> list[Asked]:
    """Give the cases in the set's order, each followed by its twin `ID without`; raises DataSetError when absent."""
    with open_member("holmesgpt_cases", "holmesgpt_cases.jsonl", folder) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return [each for row in rows for each in _answerable(row)]


def without(evidence: Sequence[str], facts: Sequence[Fact]) -> tuple[str, ...]:
    """Take out the lines that tell the facts, the rarest of their words first, until no lines together tell one."""
    texts = [list(pieces([text])) for text in evidence]
    # What is taken out for one fact makes neighbours of lines that may tell another.
    while any(tells([frozenset(stems(line)) for line in text], one) for text in texts for one in facts):
        for one in facts:
            texts = _taken(texts, one)
    return tuple("\n".join(text) for text in texts)


def _taken(texts: list[list[str]], one: Fact) -> list[list[str]]:
    """Each step takes the rarest word's lines out; words in no line come to nothing."""
    told = [[frozenset(stems(line)) for line in text] for text in texts]
    seen = Counter(word for text in told for line in text for word in line & one.words)
    for word in sorted(one.words, key=lambda each: (seen[each], each)):
        if not any(tells(text, one) for text in told):
            break
        kept = [[at for at, line in enumerate(text) if word not in line] for text in told]
        texts = [[text[at] for at in places] for text, places in zip(texts, kept, strict=True)]
        told = [[text[at] for at in places] for text, places in zip(told, kept, strict=True)]
    return texts


def _answerable(row: Mapping[str, Any]) -> Iterator[Asked]:
    question = _question(row)
    evidence = tuple(_recorded(text) for name, text in sorted(row["evidence"].items()) if name.endswith(".txt"))
    expected = _expected(row["case"]["expected_output"])
    behaves = any(_BEHAVIOUR.search(line) for line in expected)
    if not question or behaves or sum(map(len, evidence)) > EVIDENCE_CHARS_MAX:
        return
    told = [[frozenset(stems(line)) for line in pieces([text])] for text in evidence]
    facts = [fact(each, question) for each in expected]
    found = tuple(one for one in facts if checkable(one) and any(tells(text, one) for text in told))
    if found:
        part = row["id"].partition("/")[0]
        yield Asked(row["id"], part, question, evidence, found, found)
        yield Asked(f"{row['id']} without", part, question, without(evidence, found), (), found)


def _question(row: Mapping[str, Any]) -> str:
    """Give what was asked: the prompt (the first of several wordings), or the alert that is to be explained."""
    asked = row["case"].get("user_prompt")
    if asked:
        return str(asked if isinstance(asked, str) else asked[0])
    told = [json.loads(row["evidence"].get(name) or "{}") for name in _REQUESTS]
    texts = [str(one.get(key) or "") for one in told for key in ("title", "description", "name", "ask")]
    return " ".join(dict.fromkeys(text for text in texts if text))


def _expected(told: str | Sequence[str]) -> list[str]:
    lines = told.splitlines() if isinstance(told, str) else list(told)
    return [line.strip().lstrip("-0123456789. ") if isinstance(told, str) else line for line in lines if line.strip()]


def _recorded(text: str) -> str:
    """Give what a tool told, without the calls before it."""
    lines = text.splitlines()
    while lines and lines[0].lstrip().startswith(_CALLS):
        lines = lines[1:]
    return "\n".join(line for line in lines if line.strip() and line.strip() not in _FRAME)


def groups(asked: Sequence[Asked]) -> list[int]:
    """Give the number of each case's group: cases that share a fact but for its numbers are of one."""
    told = [[{word for word in one.words if not word[0].isdigit()} for one in case.kin] for case in asked]
    group = list(range(len(asked)))
    for at, mine in enumerate(told):
        for before in range(at):
            if any(_alike(one, other) for one in mine for other in told[before]):
                old, new = group[at], group[before]
                group = [new if each == old else each for each in group]
    return group


def _alike(one: set[str], other: set[str]) -> bool:
    return one == other or (bool(one & other) and len(one & other) / len(one | other) >= 0.5)
