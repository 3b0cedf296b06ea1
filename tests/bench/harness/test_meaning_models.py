"""Models of meaning and the peers of the product's classifiers, run through the harness' own protocol on small data."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from watchkeeper.bench.base import Item, Split
from watchkeeper.bench.discover import catalogue
from watchkeeper.bench.forms import FORMS, SessionBlock
from watchkeeper.bench.models.semantic_neighbours import SemanticNeighbours
from watchkeeper.bench.protocol import run_split
from watchkeeper.embed.minilm import is_available

MODELS = catalogue().models
needs_minilm = pytest.mark.skipif(not is_available(), reason="the extra `embeddings` or its weights are not installed")


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def block(sessions: list[list[int]]) -> SessionBlock:
    lines = np.array([each for one in sessions for each in one], np.int64)
    return SessionBlock(np.cumsum([0, *map(len, sessions)]), lines, np.arange(len(lines), dtype=np.float64))


@needs_minilm
def test_a_new_template_that_means_the_same_is_less_strange_than_one_of_another_meaning() -> None:
    texts = {
        1: "Received block <*> of size <*> from <*>",
        2: "Deleting block <*>",
        3: "Got the block <*> with size <*> from <*>",
        4: "Kernel panic: not syncing, fatal exception",
    }
    train = Item("train", block([[1, 2], [1, 1, 2]]), np.zeros(2, bool))
    asked = Item("test", block([[1, 2], [3, 2], [4, 2]]), np.array([False, False, True]))
    split = Split("s", (train,), (asked,), (train,), facts={"texts": texts, "clean": True})
    outcome, _, _ = run_split(SemanticNeighbours, split, FORMS.get("sessions"), 0)
    known, same, other = outcome.answers[0]
    assert known == pytest.approx(0.0, abs=1e-4)
    assert 0.05 < same < other - 0.2
    assert outcome.threshold is not None
    assert not outcome.own


def classified(name: str, form: str, items: list[Item]) -> list[bool]:
    split = Split("s", tuple(items[::2] * 3), tuple(items[1::2]), labelled=True)
    outcome, _, _ = run_split(MODELS.get(name).make, split, FORMS.get(form), 0)
    return [max(answer, key=answer.get) == item.truth for item, answer in zip(split.test, outcome.answers, strict=True)]


@needs("lightgbm")
def test_boosting_learns_from_counts() -> None:
    random = np.random.default_rng(0)
    items = [
        Item(f"{at}", {"ok": 1.0 + random.integers(9), ("error" if at // 2 % 2 else "slow"): 3.0}, str(at // 2 % 2))
        for at in range(40)
    ]
    assert all(classified("category_boosting", "counts", items))
    assert all(classified("category_boosting", "counts", [Item(f"{at}", {"ok": 1.0}, "one") for at in range(6)]))


@pytest.mark.parametrize(
    "name",
    [pytest.param("category_tfidf", marks=needs("sklearn")), pytest.param("category_meaning", marks=needs_minilm)],
)
def test_texts_are_told_apart(name: str) -> None:
    said = {"hardware_node": "Power was lost in a hall", "config_or_deploy": "A setting was rolled out by mistake"}
    items = [Item(f"{label} {at}", f"{text} {at}", label) for at in range(2) for label, text in said.items()]
    items = [items[0], items[2], items[1], items[3]]
    assert all(classified(name, "narrative", items))
