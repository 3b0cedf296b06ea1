"""Runbooks of alerts: from what an alert means to what is to be done, with the alert's name masked on both sides.

Enters: the data set `runbooks`. Leaves: one split; asked is the section Meaning (with Impact), to be found are the
sections Diagnosis and Mitigation among those of all runbooks. Two repositories have runbooks of equal text or equal
alerts; each of these is right.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.bench.base import DataSpec, Item, Place, Split
from watchkeeper.bench.forms import Query
from watchkeeper.datasets.read import open_member

_SECTION = re.compile(r"^##+\s+(.*?)\s*$", re.MULTILINE)
_ASKED, _FOUND = ("meaning", "impact"), ("diagnosis", "mitigation")
WORDS_MIN = 5


def sections(text: str) -> dict[str, str]:
    """Give the text under each heading of the second level or below, by the heading in small letters."""
    parts = _SECTION.split(text)
    return {head.lower(): body.strip() for head, body in zip(parts[1::2], parts[2::2], strict=True)}


def masked(text: str, alert: str) -> str:
    """Take an alert's name out, written together or as words."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", alert)
    for name in (alert, r"[\s_-]*".join(map(re.escape, words))):
        if name:
            text = re.sub(name, "ALERT", text, flags=re.IGNORECASE)
    return text


def splits(place: Place) -> Iterator[Split]:
    """Give all runbooks that have both sides."""
    with open_member("runbooks", "runbooks.jsonl", place.data) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    documents, asked = {}, {}
    for row in rows:
        found = sections(row["text"])
        name = f"{row['repo']}/{row['path']}"
        document = _joined(found, _FOUND, row["alert"])
        question = _joined(found, _ASKED, row["alert"])
        if min(len(document.split()), len(question.split())) >= WORDS_MIN:
            documents[name], asked[name] = document, (question, row["alert"].lower())
    same: dict[str, set[str]] = defaultdict(set)
    for name, text in documents.items():
        same[text].add(name)
        same[asked[name][1]].add(name)
    items = tuple(
        Item(name, Query(question), frozenset(same[documents[name]] | same[alert]))
        for name, (question, alert) in asked.items()
    )
    yield Split("all", (), items, facts={"documents": documents})


def _joined(found: Mapping[str, Any], wanted: tuple[str, ...], alert: str) -> str:
    return masked("\n".join(text for head, text in found.items() if head.startswith(wanted)), alert)


DATA = (
    DataSpec(
        "runbooks",
        1,
        "mitigation",
        "query",
        "what an alert means to what is to be done, alert names masked",
        ("runbooks",),
        splits,
    ),
)
