"""Reciprocal rank fusion by hand, and search by an encoder of known vectors."""

import numpy as np
import pytest

from watchkeeper.diagnose.fusion import PASSAGE_WORDS, FusedIndex, MeaningIndex, fused, passages

AXES = ("disk", "network", "memory")
LIKE = {"storage": "disk", "link": "network"}


class Axes:
    """Counts the words of three topics, so that a synonym is as near as the word."""

    def encode(self, texts):
        rows = np.array(
            [[sum(LIKE.get(word, word) == axis for word in text.split()) for axis in AXES] for text in texts],
            np.float32,
        )
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


DOCUMENTS = {"one": "disk volume grew", "two": "network flaps", "three": "memory leak"}


def test_ranks_are_joined_by_hand():
    scores = dict(fused([["a", "b"], ["b", "c"]]))
    assert scores["b"] == pytest.approx(1 / 62 + 1 / 61)
    assert scores["a"] == pytest.approx(1 / 61)
    assert [name for name, _ in fused([["a", "b"], ["b", "c"]])] == ["b", "a", "c"]


def test_a_synonym_is_found_by_meaning_and_the_word_by_both():
    assert MeaningIndex(DOCUMENTS, Axes()).search("storage", 1)[0][0] == "one"
    assert FusedIndex(DOCUMENTS, Axes()).search("storage", 1)[0][0] == "one"
    assert FusedIndex(DOCUMENTS, Axes()).search("flaps", 1)[0][0] == "two"


def test_a_document_counts_by_its_nearest_passage():
    long = " ".join(["network"] * 3 * PASSAGE_WORDS + ["memory"] * PASSAGE_WORDS)
    found = MeaningIndex({"long": long, "short": "memory network"}, Axes()).search("memory")
    assert found[0] == ("long", pytest.approx(1.0))


def test_passages_hold_every_word_of_a_text():
    words = [str(at) for at in range(301)]
    assert {word for passage in passages(" ".join(words)) for word in passage.split()} == set(words)
    assert passages("") == [""]


def test_nothing_is_found_among_nothing():
    assert MeaningIndex({}, Axes()).search("disk") == []
