"""The classifier of meanings: with a small encoder of its own, and with the published one where it is installed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from watchkeeper.diagnose.base import Category
from watchkeeper.diagnose.category import meaning
from watchkeeper.diagnose.category.features import words
from watchkeeper.diagnose.category.meaning import DESCRIPTIONS, MeaningClassifier, text_classifier
from watchkeeper.diagnose.category.text import TextClassifier, sentences_of
from watchkeeper.embed.minilm import Embedder, is_available
from watchkeeper.errors import NewerFormat, StoreError

TEXTS = [
    *(f"Storage {at} . Power was lost in the data center hall {at}. Requests failed." for at in range(6)),
    *(f"Compute {at} . An incorrect setting was rolled out to region {at}. Requests failed." for at in range(6)),
]
LABELS = ["hardware_node"] * 6 + ["config_or_deploy"] * 6


def hashed(texts: Sequence[str]) -> np.ndarray:
    """Encode by the sum of a fixed random direction for each word: near when words are shared."""
    rows = np.zeros((len(texts), 384), np.float32)
    for row, text in enumerate(texts):
        for word in words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            rows[row] += np.random.default_rng(seed).normal(size=384)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


@pytest.fixture(scope="module")
def learned() -> MeaningClassifier:
    classifier = MeaningClassifier(hashed)
    classifier.fit(TEXTS, LABELS)
    return classifier


def test_it_learns_and_tells_probabilities(learned: MeaningClassifier) -> None:
    chances = learned.probabilities("Queue . Power was lost in a building.")
    assert sum(chances.values()) == pytest.approx(1.0)
    assert chances["hardware_node"] > 0.8
    assert learned.probabilities("An incorrect setting was rolled out")["config_or_deploy"] > 0.8


def test_it_names_the_description_that_spoke(learned: MeaningClassifier) -> None:
    assert learned.why("Power was lost in a data center", "hardware_node")[0] == "power was lost in a data center"


def test_one_sentence_decides_how_near_a_text_is(learned: MeaningClassifier) -> None:
    at = list(DESCRIPTIONS).index(Category.MEMORY)
    rows = learned.rows(["The service ran out of memory", "Many words here. The service ran out of memory. And more."])
    assert rows[:, at] == pytest.approx([1.0, 1.0], abs=1e-6)


def test_the_order_of_examples_does_not_count_for_what_is_read(learned: MeaningClassifier) -> None:
    assert np.allclose(learned.rows(TEXTS[::-1])[::-1], learned.rows(TEXTS))


def test_state_survives_and_damage_is_told(learned: MeaningClassifier, tmp_path) -> None:
    path = tmp_path / "model.npz"
    learned.save(path)
    other = MeaningClassifier(hashed)
    with pytest.raises(ValueError, match="after fit or load"):
        other.probabilities("x")
    other.load(path)
    assert other.probabilities(TEXTS[0]) == learned.probabilities(TEXTS[0])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StoreError, match="cannot be read"):
        other.load(path)


def test_a_newer_state_is_left_alone(learned: MeaningClassifier, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "MEANING_SCHEMA_VERSION", 2)
    learned.save(tmp_path / "model.npz")
    monkeypatch.setattr(meaning, "MEANING_SCHEMA_VERSION", 1)
    with pytest.raises(NewerFormat):
        MeaningClassifier(hashed).load(tmp_path / "model.npz")


def test_one_class_or_one_text_is_enough_to_answer() -> None:
    classifier = MeaningClassifier(hashed)
    classifier.fit(["disk is full"], ["resource_disk"])
    assert classifier.probabilities("anything") == {"resource_disk": 1.0}


def test_every_category_that_can_be_told_in_words_is_described() -> None:
    assert all(DESCRIPTIONS.values())
    assert {Category.APPLICATION, Category.CHANGE, Category.NETWORK, Category.UNKNOWN} <= set(DESCRIPTIONS)


def test_sentences_are_parted_and_empty_ones_left_out() -> None:
    assert sentences_of("Title . Reads failed. Writes, too. 42") == ["Title", "Reads failed.", "Writes, too. 42"]


def test_without_the_extra_words_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "is_available", lambda: False)
    assert isinstance(text_classifier(), TextClassifier)


@pytest.mark.skipif(not is_available(), reason="the extra `embeddings` or its weights are not installed")
def test_with_the_published_encoder_words_need_not_be_shared() -> None:
    classifier = MeaningClassifier(Embedder().encode)
    classifier.fit(TEXTS, LABELS)
    assert isinstance(text_classifier(), MeaningClassifier)
    power = classifier.probabilities("The electricity supply of a site was interrupted")["hardware_node"]
    assert power > classifier.probabilities("A wrong option was deployed")["hardware_node"] + 0.05
